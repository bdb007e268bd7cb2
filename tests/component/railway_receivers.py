"""What tests look at of a receiver on Railway: its service, its slot, its archive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from component.patience import Patience
from component.railway_operator import (
    Operator,
    Ring,
    instances,
    operator,
    railway_database,
    said,
    volumes,
)
from component.receivers import archived, hot_store, index_of
from postbase_operator.api.database import Database
from postbase_operator.archive.receiver import ArchiveOwner
from postbase_operator.archive.receiver_environment import config_in
from postbase_operator.archive.wal_index import WalIndex
from postbase_operator.objectstore.settings import StoreConfig
from postbase_operator.railway.graphql.reads import Place
from postbase_operator.wal.lsn import Lsn, Segment
from railway.double import RailwayDouble
from railway.state import Deployment, Instance

WITHIN = 60.0
EVERY = 0.1
ON, OFF = {"enabled": True}, {"enabled": False}
ROWS = "CREATE TABLE {} AS SELECT n, md5(n::text) FROM generate_series(1, 20000) n"


async def eventually(what: str, condition: Callable[[], object]) -> None:
    waiting = Patience(WITHIN, EVERY)
    while not await asyncio.to_thread(condition):
        assert not waiting.is_over(), what
        await asyncio.sleep(EVERY)


def streams(db: Database) -> bool:
    return said(db, "Archiving")[:2] == ("True", "Streaming")


@dataclass
class Site:
    """One environment of the double, with at most one Database in it."""

    double: RailwayDouble
    place: Place
    store: StoreConfig

    def services(self) -> list[Instance]:
        """Receivers alone."""
        named = self.double.world.state.services
        every = instances(self.double, self.place)
        return [each for each in every if named[each.service_id].name.endswith("-wal")]

    def service(self) -> Instance:
        (found,) = self.services()
        return found

    def deployments(self) -> list[Deployment]:
        """Of the receiver, the latest first."""
        where = (self.service().service_id, self.place.environment_id)
        return self.double.world.state.deployments_of(*where)

    def log(self) -> str:
        return "\n".join(line for each in self.deployments() for _, line in each.logs)

    def owner(self) -> ArchiveOwner:
        config = config_in(self.service().variables)
        assert config is not None
        assert config.owner is not None
        return config.owner

    def index(self, owner: ArchiveOwner) -> WalIndex:
        return index_of(hot_store(self.store), owner)

    def bytes_of(self, owner: ArchiveOwner, segment: Segment) -> bytes:
        """What the archive has of it, from its beginning to the first hole."""
        return archived(hot_store(self.store), owner, segment)

    def local(self, segment: Segment) -> bytes:
        (volume,) = volumes(self.double, self.place)
        folder: Path = self.double.world.volume_folder(volume)
        return (folder / "pgdata" / "pg_wal" / segment.name).read_bytes()


@asynccontextmanager
async def process(site: Site, ring: Ring | None = None) -> AsyncIterator[Operator]:
    async with operator(site.double, site.place, ring, store=site.store) as made:
        yield made


async def archiving(ours: Operator, **spec: object) -> Database:
    """A Database that streams. Of the version whose pg_dump is at hand."""
    body = railway_database(postgresVersion="15", **({"pitr": ON} | spec)).to_wire()
    body["metadata"]["creationTimestamp"] = datetime.now(UTC).isoformat()
    db = await ours.ready(Database.model_validate(body))
    return await ours.until(db, lambda each: streams(each) and each.status.archive is not None)


def position(ours: Operator, db: Database) -> Lsn:
    return Lsn.parse(ours.sql(db, "SELECT pg_current_wal_flush_lsn()::text")[0][0])


def slots(ours: Operator, db: Database) -> list[tuple[str, bool]]:
    found = ours.sql(db, "SELECT slot_name::text, active FROM pg_replication_slots")
    return [(str(name), bool(active)) for name, active in found]


async def reached(site: Site, owner: ArchiveOwner, end: Lsn) -> None:
    """All before a position is in the bucket, without a hole from the archive's beginning."""

    def there() -> bool:
        runs = site.index(owner).runs(1)
        return len(runs) == 1 and runs[0].end >= end

    await eventually(f"{end} in the archive; the receiver says: {site.log()[-2000:]}", there)


def assert_same(site: Site, owner: ArchiveOwner, until: Lsn) -> int:
    """Each segment that is over is byte for byte the server's; how many there were."""
    (run,) = site.index(owner).runs(1)
    segment, count = Segment.containing(run.start, 1), 0
    if segment.start < run.start:  # begun within one
        segment = Segment(1, segment.number + 1)
    while segment.end <= until:
        assert site.bytes_of(owner, segment) == site.local(segment), segment.name
        segment, count = Segment(1, segment.number + 1), count + 1
    return count
