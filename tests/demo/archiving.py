"""Continuous archiving: back to the second before a mistake; and a volume that is lost for good."""

from __future__ import annotations

import json

from demo.provider import Provider
from demo.telling import NOW, STARTED, apply, expect, kubectl, psql, restore, tell

ROWS = "SELECT count(*) FROM ledger"
TIMELINE = "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"
RESCUED = """\
apiVersion: postbase.sh/v1alpha1
kind: Database
metadata: {name: shop-rescued}
spec:
  projectRef: {name: shop}
  postgresVersion: "15"
%s\
  pitr: {enabled: true}
  bootstrap:
    restore: {from: {name: shop-main}, latest: {}}
"""


def archiving(_: Provider) -> None:
    tell("Every change goes to the object store from now on; PostgreSQL is not restarted for it")
    psql("CREATE TABLE ledger (n int PRIMARY KEY, at timestamptz DEFAULT clock_timestamp())")
    started = psql(STARTED)
    kubectl(
        *("patch", "database", "shop-main", "--type=merge"),
        '--patch={"spec": {"pitr": {"enabled": true}}}',
    )
    kubectl("wait", "database/shop-main", "--for=condition=Archiving", "--timeout=120s", show=True)
    window = "--for=jsonpath={.status.pitr.recoveryWindow.from}"
    kubectl("wait", "database/shop-main", window, "--timeout=180s")
    expect("the start of PostgreSQL", psql(STARTED), started)
    kubectl("get", "databases", "shop-main", "-o", "wide", show=True)


def to_the_second(provider: Provider) -> None:
    tell("Rows, one after another; and then a mistake")
    write(1, 8)
    moment = psql(NOW)
    write(9, 10)
    psql("DELETE FROM ledger WHERE n <= 5")
    later = psql(NOW)

    tell("What a restore to the second before it would do and give: nothing is touched")
    restore("only-plans", f'{{targetTime: "{moment}"}}', dry_run=True)
    plan = json.loads(kubectl("get", "pitrrestore", "only-plans", "-o", "json"))["status"]["plan"]
    print(json.dumps(plan, indent=1))
    expect("the rows", psql(ROWS), "5")

    tell("And the restore")
    restore("undo-the-delete", f'{{targetTime: "{moment}"}}')
    provider.follow("shop-main")
    expect("the rows", psql(f"{ROWS} WHERE n <= 8"), "8")
    expect("what came later", psql(f"{ROWS} WHERE n > 8"), "0")
    write(20, 20)
    other, left = psql(NOW), int(psql(TIMELINE), 16)

    tell("Taken back: the rows of after are there, and the deleted ones are not")
    restore("undo-that-restore", "{previous: {}}")
    provider.follow("shop-main")
    expect("the rows", psql(ROWS), "5")
    expect("the last one", psql("SELECT max(n) FROM ledger"), "10")

    tell("Each branch can still be had to a second: this one, and the one that was just left")
    expect("the way to the second after the mistake", timelines("present", later), "[1]")
    expect("the way to row 20, by its timeline", timelines("left", other, left), f"[1, {left}]")
    kubectl("get", "database", "shop-main", "-o", "jsonpath={.status.pitr.branches}", show=True)
    restore("row-20", f'{{targetTime: "{other}", timeline: {left}}}', new="shop-branch")
    provider.client("shop-branch")
    expect("the last row of that branch", psql("SELECT max(n) FROM ledger"), "20")
    expect("the rows that were not deleted on it", psql(f"{ROWS} WHERE n <= 8"), "8")
    kubectl("delete", "database", "shop-branch", "--wait=false", show=True)
    provider.client("shop-main")


def timelines(name: str, moment: str, timeline: int | None = None) -> str:
    """Along which the log would be followed."""
    branch = f", timeline: {timeline}" if timeline is not None else ""
    restore(name, f'{{targetTime: "{moment}"{branch}}}', dry_run=True)
    plan = json.loads(kubectl("get", "pitrrestore", name, "-o", "json"))["status"]["plan"]
    return str(plan["timelines"])


def a_lost_volume(provider: Provider) -> None:
    tell(f"A last row; a second later {provider.loses}")
    write(11, 11)
    psql("SELECT pg_sleep(1)")
    provider.lose_volume("shop-main")


def out_of_the_store(provider: Provider) -> None:
    tell("A new Database, out of the object store alone")
    apply(RESCUED % provider.spec)
    kubectl("wait", "database/shop-rescued", "--for=condition=Ready", "--timeout=240s", show=True)
    provider.client("shop-rescued")
    expect("the rows", psql(ROWS), "6")
    expect("the last one", psql("SELECT max(n) FROM ledger"), "11")
    expect("the first table", psql("SELECT item FROM orders WHERE id = 1"), "coffee")
    kubectl("get", "databases,backups,pitrrestores", show=True)


def write(first: int, last: int) -> None:
    for n in range(first, last + 1):
        psql(f"INSERT INTO ledger (n) VALUES ({n})")  # noqa: S608 - numbers of our own
