"""Databases on Railway that begin with an archive: our real process fills the volume and a real
PostgreSQL recovers it, as services of the double; the archive was written by our receiver."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from component.railway_operator import Operator, said
from component.railway_receivers import Site, streams
from component.railway_restores import (
    COPY,
    Parts,
    archiving,
    backed_up,
    copy_of,
    latest_of,
    ours,
    patience,
    railway,
    site,
    written,
)
from postbase_operator.api.database import Database
from postbase_operator.archive.staging import FOLDER, NAMES
from postbase_operator.planning.archived import Wish
from postbase_operator.planning.restore import plan_restore
from postbase_operator.planning.restore_rehearsal import rehearsal
from postbase_operator.planning.restore_seen import ADMITTED, RestoreSeen
from postbase_operator.railway.fill_service import RUN_AS
from unit.planning.test_filling import restore

__all__ = ["ours", "patience", "railway", "site"]


def count(ours: Operator, db: Database, table: str) -> int:
    query = f"SELECT count(*) FROM {table}"  # noqa: S608 - of the test
    return int(ours.sql(db, query, app=True)[0][0])


@pytest.mark.timeout(2400)
async def test_all_of_an_archive_into_a_new_service_and_volume(
    ours: Operator, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = await archiving(ours)
    await written(ours, site, source, "before")
    await backed_up(ours, site, source, tmp_path / "pod", monkeypatch)
    await written(ours, site, source, "after")
    copy = copy_of(bootstrap=latest_of(source))
    copy = await ours.ready(copy)
    assert count(ours, copy, "before") == count(ours, copy, "after") == 2000

    parts = Parts(site, copy)
    (service,) = parts.services
    assert len(parts.volumes) == len(parts.proxies) == 1
    images = [each.image.rpartition("/")[2] for each in reversed(parts.deployments)]
    assert (
        images
        == [f"{site.double.settings.operator_image}:1".rpartition("/")[2]] + ["postgres-ssl:15"] * 2
    )
    assert service.start_command is None
    assert service.restart_policy == "ALWAYS"
    assert {*NAMES, RUN_AS} & set(service.variables) == set()
    assert not (parts.folder(site) / "pgdata" / FOLDER).exists()
    secrets = (site.store.secret_access_key, ours.ring.passwords[copy.metadata.uid])
    logs = "\n".join(line for each in parts.deployments for _, line in each.logs)
    assert not [each for each in secrets if each in copy.model_dump_json() + logs]

    # A server as any other: a password of its own, its own system's id, nothing that waits.
    assert ours.ring.passwords[copy.metadata.uid] != ours.ring.passwords[source.metadata.uid]
    front = ours.ring.fronts[copy.metadata.uid]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(
            host=front.host,
            port=front.port,
            user="postgres",
            password=ours.ring.passwords[source.metadata.uid],
            dbname="postgres",
        )
    assert copy.status.system_id == source.status.system_id
    assert ours.sql(copy, "SELECT name FROM pg_settings WHERE pending_restart") == []
    assert ours.sql(copy, "SHOW ssl_cert_file")[0][0].endswith("certs/server.crt")
    assert ours.sql(copy, "SHOW hot_standby") == [("on",)]
    assert said(copy)[0] == "True"


@pytest.mark.timeout(2400)
async def test_to_a_moment_and_to_a_backup_as_it_is(
    ours: Operator, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = await archiving(ours)
    backup = await backed_up(ours, site, source, tmp_path / "pod", monkeypatch)
    moment = await written(ours, site, source, "before")
    await written(ours, site, source, "after")
    wanted = {"from": {"databaseUID": source.metadata.uid}, "targetTime": moment.isoformat()}
    copy = await ours.ready(copy_of(bootstrap={"restore": wanted}, deletionPolicy="Delete"))
    assert count(ours, copy, "before") == 2000
    with pytest.raises(psycopg.errors.UndefinedTable):
        count(ours, copy, "after")
    await ours.gone(copy)
    by_name = copy_of(bootstrap={"backupRef": {"name": backup.metadata.name}})
    copy = await ours.ready(by_name)
    with pytest.raises(psycopg.errors.UndefinedTable):
        count(ours, copy, "before")


@pytest.mark.timeout(2400)
async def test_a_pitr_restore_makes_a_new_database_that_archives_by_itself(
    ours: Operator, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = await archiving(ours)
    await backed_up(ours, site, source, tmp_path / "pod", monkeypatch)
    await written(ours, site, source, "t")
    wish = restore(
        databaseRef={"name": source.metadata.name},
        source={"latest": {}},
        target={"newDatabase": {"name": "shop-copy"}},
    )
    now, ask = datetime.now(UTC), ours.platform.restoring
    known = RestoreSeen(
        source, await ours.platform.observe(source), offer=await ask.offer(source, Wish())
    )
    shown = rehearsal(wish, known, now)
    assert shown is not None
    assert await ask.rehearse(shown) == ADMITTED
    planned = plan_restore(wish, known, now)
    assert planned.status.plan is not None
    assert planned.status.plan.last_commit_time is not None
    begun = plan_restore(wish.model_copy(update={"status": planned.status}), known, now)
    await ours.platform.carry_out(source, begun.steps)
    (made,) = ours.schedule.databases
    body = made.to_wire()
    body["metadata"] |= {"uid": COPY, "generation": 1, "creationTimestamp": now.isoformat()}
    before = len(ours.schedule.made)
    copy = await ours.ready(Database.model_validate(body))
    assert count(ours, copy, "t") == 2000
    copy = await ours.until(copy, streams)
    assert len(site.services()) == 2
    first = [each for each in ours.schedule.made[before:] if each.origin.value == "pitr"]
    assert [each.spec.database_ref.name for each in first][:1] == ["shop-copy"]
    assert ours.sql(source, "SELECT count(*) FROM t", app=True) == [(2000,)]  # untouched
