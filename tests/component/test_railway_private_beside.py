"""A private Database on Railway from its beginning to its backup: no proxy was ever made, and what
is known of its server came out of a log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import pytest

from component.job_runs import keys
from component.railway_operator import Operator, said
from component.railway_private import hurry, inside, private_database, proxies_ever
from component.railway_private_runs import ROWS, TABLE, Private, restored
from component.railway_receivers import ON, Site, archiving, process
from component.servers import Servers, servers
from postbase_operator.api.database import Database
from postbase_operator.api.project import ProjectDefaults
from postbase_operator.archive.backup_order import ORDER
from postbase_operator.archive.record import BackupRecord
from postbase_operator.objectstore.s3 import S3Store
from postbase_operator.planning.database_backups import REQUEST, Backups
from postbase_operator.planning.final_backup import final
from railway.double import RailwayDouble

__all__ = ["servers"]


@pytest.fixture(scope="module")
def railway() -> Iterator[RailwayDouble]:
    with RailwayDouble() as double:
        yield double


@pytest.fixture
async def ours(site: Site) -> AsyncIterator[Operator]:
    async with process(site) as made:
        yield made


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)
    monkeypatch.setattr("postbase_operator.railway.backups.backup_runs.SAID_EVERY", 0.2)


@pytest.mark.parametrize("archived", [True, False], ids=["archived", "not-archived"])
async def test_it_is_backed_up_and_serves_on_and_restores_to_the_same_rows(
    ours: Operator, site: Site, s3_store: S3Store, servers: Servers, archived: bool
) -> None:
    if archived:  # Ready may be told before it is deployed anew for the archive
        db = await archiving(ours, expose="Private")
    else:
        db = await ours.ready(private_database(postgresVersion="15", pitr={"enabled": False}))
    inside(ours, site.place, db, TABLE)
    rows = inside(ours, site.place, db, ROWS)
    made = Private(ours, site, db, None, rows)
    done = await made.completed(made.backup())
    record = BackupRecord.from_bytes(s3_store.get(str(made.folder(done).record)))
    assert record.system_id == db.status.system_id
    assert [each.name for each in record.extensions] == ["plpgsql"]
    assert str(made.folder(done).progress) not in keys(s3_store)
    assert proxies_ever(site.double, site.place) == 0
    target = servers.bare(15)
    restored(s3_store, record, target)
    assert target.sql(ROWS, dbname="app") == rows

    for _ in range(3):  # whatever else it is told, the order stays, and no deployment comes of it
        before = len(site.deployments())
        db = await ours.ready(db)
        assert len(site.deployments()) == before
    assert ORDER in site.service().variables
    assert said(db)[0] == "True"


async def test_the_last_one_is_taken_while_it_is_deleted(ours: Operator, site: Site) -> None:
    db = await ours.ready(private_database(postgresVersion="15", deletionPolicy="FinalBackup"))
    body = db.to_wire()
    body["metadata"]["deletionTimestamp"] = datetime.now(UTC).isoformat()
    body["status"]["phase"] = "Deleting"
    going = Database.model_validate(body)
    found = final(going, (), ProjectDefaults(), datetime.now(UTC))
    await ours.platform.carry_out(going, found.todo)
    (asked,) = ours.schedule.made
    assert asked.spec.method.value == "Physical"
    made = Private(ours, site, going, None, [])
    await made.completed(made.backup(origin="final"))
    await ours.gone(going, keep=True)
    assert site.services() == []


async def test_those_by_request_and_for_recovery_are_physical(ours: Operator, site: Site) -> None:
    ours.backups = Backups(has_store=True)
    db = await ours.ready(private_database(postgresVersion="15", pitr=ON))
    body = db.to_wire()
    body["metadata"]["annotations"] = {REQUEST: "before the migration"}
    db = Database.model_validate(body)
    await ours.until(db, lambda _: len(ours.schedule.made) >= 2)
    assert {each.origin.value for each in ours.schedule.made} == {"manual", "pitr"}
    assert {each.spec.method.value for each in ours.schedule.made} == {"Physical"}
