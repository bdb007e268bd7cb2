"""What tests of restores on Railway begin with: a Database that archives, a base backup of it, and
rows before and after it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from component.job_runs import record_in
from component.railway_jobs import backup_of, started
from component.railway_operator import Operator, new_place, operator, railway_database
from component.railway_receivers import Site, position, reached, streams
from component.store_server import store_of
from postbase_operator.api.backup import Backup, BackupStatus
from postbase_operator.api.database import Database
from postbase_operator.api.runs import RunPhase
from postbase_operator.archive.record import BackupRecord
from postbase_operator.archive.run import VARIABLE
from postbase_operator.jobs import desk, physical
from postbase_operator.kube.kinds import BACKUP
from postbase_operator.objectstore.settings import StoreConfig
from postbase_operator.railway.services import service_name
from railway.double import RailwayDouble
from railway.state import Deployment, Instance, Proxy, VolumeInstance

ON = {"enabled": True}
VERSION = "15"
COPY = "7c1e4f5c-0000-4000-8000-000000000002"
ROWS = "CREATE TABLE {} AS SELECT n, md5(n::text) FROM generate_series(1, 2000) n"


@pytest.fixture(scope="module")
def railway() -> Iterator[RailwayDouble]:
    with RailwayDouble() as double:
        yield double


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A restore is three deployments and a recovery."""
    monkeypatch.setattr("component.railway_operator.PATIENCE", 1200.0)
    monkeypatch.setattr("component.railway_receivers.WITHIN", 900.0)


@pytest.fixture
def site(railway: RailwayDouble, s3_config: StoreConfig) -> Site:
    return Site(railway, new_place(railway), s3_config)


@pytest.fixture
async def ours(site: Site) -> AsyncIterator[Operator]:
    async with operator(site.double, site.place, store=site.store) as made:
        yield made


async def archiving(ours: Operator, **spec: object) -> Database:
    """A Database that streams."""
    body = railway_database(postgresVersion=VERSION, **({"pitr": ON} | spec)).to_wire()
    body["metadata"]["creationTimestamp"] = datetime.now(UTC).isoformat()
    db = await ours.ready(Database.model_validate(body))
    return await ours.until(db, lambda each: streams(each) and each.status.archive is not None)


async def backed_up(
    ours: Operator, site: Site, db: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Backup:
    """A physical backup of it, as its Job takes it."""
    pod, _ = await started(ours, db, folder, "Physical")
    store = store_of(site.store)
    with monkeypatch.context() as patched:
        patched.setenv(VARIABLE, pod.run.to_bytes().decode())
        patched.setenv("PGPASSWORD", ours.ring.replications[db.metadata.uid])
        patched.setattr(desk, "store", lambda: store)
        await asyncio.to_thread(physical.back_up)
    backup = taken(db, record_in(store, pod.run))
    ours.cache.put(BACKUP, backup.to_wire())
    return backup


async def written(ours: Operator, site: Site, db: Database, table: str) -> datetime:
    """Rows that are in the archive when this returns; a moment after they were committed."""
    ours.sql(db, ROWS.format(table), app=True)
    ((moment,),) = ours.sql(db, "SELECT clock_timestamp()")
    await reached(site, site.owner(), position(ours, db))
    return moment if isinstance(moment, datetime) else datetime.now(UTC)


def taken(db: Database, record: BackupRecord) -> Backup:
    """The Backup that this run has completed."""
    status = BackupStatus(
        phase=RunPhase.COMPLETED,
        database_uid=db.metadata.uid,
        object_key=record.place.object_key,
        completed_at=record.completed_at,
        verified_at=record.completed_at,
        version=record.postgres_version,
        timeline=record.timeline,
        start_lsn=record.start_lsn,
        stop_lsn=record.stop_lsn,
        checksums_verified=record.checksums_verified,
        size_bytes=record.size_bytes,
        source_bytes=record.source_bytes,
    )
    return backup_of(db, record.method.value).model_copy(update={"status": status})


def copy_of(name: str = "shop-copy", **spec: object) -> Database:
    """A new Database, that begins as `spec` says. Without archiving of its own."""
    body = railway_database(postgresVersion=VERSION, **spec).to_wire()
    body["metadata"] |= {"name": name, "uid": COPY, "generation": 1}
    return Database.model_validate(body)


def latest_of(db: Database) -> dict[str, object]:
    """spec.bootstrap: all that its archive has."""
    return {"restore": {"from": {"databaseUID": db.metadata.uid}, "latest": {}}}


class Parts:
    """What there is of one Database on the double: its services but for the receiver's."""

    def __init__(self, site: Site, db: Database) -> None:
        self._state, self._place = site.double.world.state, site.place
        self._name = service_name(db, "c")

    @property
    def services(self) -> list[Instance]:
        named = self._state.services
        every = [i for i in self._state.instances.values() if not i.deleted_at]
        mine = [i for i in every if i.environment_id == self._place.environment_id]
        own = (self._name, *(f"{self._name}-{n}" for n in range(2, 9)))
        return [i for i in mine if named[i.service_id].name in own]

    @property
    def volumes(self) -> list[VolumeInstance]:
        ids = {each.service_id for each in self.services}
        every = self._state.volume_instances.values()
        return [v for v in every if v.service_id in ids and not v.deleted_at]

    @property
    def proxies(self) -> list[Proxy]:
        ids = {each.service_id for each in self.services}
        return [p for p in self._state.proxies.values() if p.service_id in ids and not p.deleted_at]

    @property
    def deployments(self) -> list[Deployment]:
        """Of its one service, the latest first."""
        (service,) = self.services
        where = (service.service_id, self._place.environment_id)
        return self._state.deployments_of(*where)

    def folder(self, site: Site) -> Path:
        (volume,) = self.volumes
        return site.double.world.volume_folder(volume)
