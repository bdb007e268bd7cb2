"""A backup by hand, a mistake, its restore, and the restore taken back; then the schedule."""

from __future__ import annotations

from demo.provider import Provider
from demo.telling import apply, expect, kubectl, psql, restore, tell

CHECKSUM = "SELECT count(*), md5(string_agg(v, '' ORDER BY n)) FROM items"
BACKUP = """\
apiVersion: postbase.sh/v1alpha1
kind: Backup
metadata: {name: before-the-mistake}
spec: {databaseRef: {name: shop-main}, method: Physical}
"""


def a_backup(_: Provider) -> None:
    tell("A table of 100,000 rows, and a backup of it, by kubectl apply")
    psql("CREATE TABLE items AS SELECT n, md5(n::text) AS v FROM generate_series(1, 100000) n")
    apply(BACKUP)
    kubectl("wait", "backup/before-the-mistake", "--for=condition=Ready", "--timeout=120s")
    kubectl("get", "backups", show=True)


def a_mistake(provider: Provider) -> None:
    tell("A mistake")
    before = psql(CHECKSUM)
    psql("DROP TABLE items")
    psql("INSERT INTO orders (id, item) VALUES (2, 'tea, after the backup')")

    tell("The database as it was in the backup, in place: it serves until the copy is whole")
    restore("undo-the-mistake", "{backupRef: {name: before-the-mistake}}")
    provider.follow("shop-main")
    expect("the rows and their checksum", psql(CHECKSUM), before)
    expect("what came after the backup", psql("SELECT count(*) FROM orders WHERE id = 2"), "0")

    tell("The restore itself can be taken back")
    restore("undo-the-restore", "{previous: {}}")
    provider.follow("shop-main")
    expect("what came after", psql("SELECT item FROM orders WHERE id = 2"), "tea, after the backup")
    gone = psql("SELECT to_regclass('items') IS NULL")
    expect("the table is gone again", gone, "t")


def a_schedule(_: Provider) -> None:
    tell("And a backup by schedule: every minute, for a minute")
    schedule = '{"spec": {"backup": {"schedule": "* * * * *", "spread": "0s"}}}'
    kubectl("patch", "database", "shop-main", "--type=merge", f"--patch={schedule}")
    kubectl(
        *("wait", "database/shop-main", "--for=condition=BackupHealthy=True", "--timeout=150s"),
        show=True,
    )
    daily = '{"spec": {"backup": {"schedule": "0 3 * * *"}}}'
    kubectl("patch", "database", "shop-main", "--type=merge", f"--patch={daily}")
    kubectl("get", "backups,pitrrestores", show=True)
