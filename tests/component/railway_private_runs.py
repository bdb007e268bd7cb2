"""Backups of a private Database on Railway: the operator's own loop around one Backup, without a
cluster. No Job can be made, and nothing gets in from outside: its proxy is gone.

What its server says of itself was asked before that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from component.patience import Patience
from component.railway_archives import Secrets, told
from component.railway_caller import Caller
from component.railway_operator import PROJECT, SETTINGS, Operator, changed, proxies
from component.railway_receivers import Site, archiving, eventually
from component.servers import Server
from postbase_operator.api.backup import ORIGIN_LABEL, Backup
from postbase_operator.api.conditions import find_condition
from postbase_operator.api.database import Database
from postbase_operator.api.policies import BackupPolicy, PitrPolicy
from postbase_operator.api.runs import RunPhase
from postbase_operator.archive.keys import PhysicalFolder
from postbase_operator.archive.record import BackupRecord
from postbase_operator.archive.run import ServerFacts
from postbase_operator.errors import PostbaseError
from postbase_operator.kube.backup_trouble import hindrance
from postbase_operator.kube.backups import Backups
from postbase_operator.kube.cache import Cache
from postbase_operator.kube.kinds import BACKUP, DATABASE, Body, Kind
from postbase_operator.kube.kinds import PROJECT as PROJECTS
from postbase_operator.kube.session import Session
from postbase_operator.objectstore.s3 import S3Store
from postbase_operator.planning.backup import plan_backup
from postbase_operator.planning.backup_observed import Limits, place_of
from postbase_operator.planning.retention import Policies
from postbase_operator.postgres.credentials import Front
from postbase_operator.railway.backups.backup_servers import BackupServers
from postbase_operator.railway.ground import Ground
from postbase_operator.railway.receiver_service import private_host
from postbase_operator.railway.sql.servers import Servers
from postbase_operator.wal.manifest import Manifest
from postbase_operator.wal.unpack import place_segment, unpack

WITHIN = 120.0
EVERY = 0.2
TABLE = "CREATE TABLE t AS SELECT n, md5(n::text) FROM generate_series(1, 20000) n"
ROWS = "SELECT count(*), sum(hashtext(md5)) FROM t"
UID = "7b1e4f5c-0000-4000-8000-00000000000{}"
POLICIES = Policies(BackupPolicy(), PitrPolicy())


@dataclass
class Api(Secrets):
    """No Job can be made."""

    released: list[str] = field(default_factory=list)

    async def merge(self, _: Kind, __: str, name: str, patch: Body, ___: str) -> Body:
        assert patch["metadata"]["finalizers"] == []
        self.released.append(name)
        spec = {"databaseRef": {"name": "shop-main"}}
        return {"metadata": {"name": name, "namespace": "team"}, "spec": spec}


@dataclass
class Told:
    """In place of railway.servers.Servers: what a report has told."""

    front: Front
    facts: ServerFacts

    password: str
    """Of the receiver's role."""

    async def replication(self, *_: object, **__: object) -> str:
        return self.password

    async def describe(self, _: Ground, __: Database) -> tuple[Front, ServerFacts]:
        return self.front, self.facts


@dataclass
class Private:
    """A private Database, and the operator's side of its Backups."""

    ours: Operator
    site: Site
    db: Database
    told: Told | None
    """None: what its server says is asked by the product's own way."""
    rows: list[tuple[Any, ...]]
    """What ROWS has answered."""
    cache: Cache = field(default_factory=Cache)
    later: timedelta = timedelta()
    """How far the planner's clock goes before."""
    said: list[str] = field(default_factory=list)
    """What every status has told, in order, each once."""

    def __post_init__(self) -> None:
        self.cache.put(PROJECTS, PROJECT.to_wire())
        self.cache.put(DATABASE, self.db.to_wire())
        self.restart()

    def restart(self, ours: Operator | None = None) -> None:
        """The operator's side anew, in this process or in another one: what it remembers of runs is
        gone."""
        self.ours = ours or self.ours
        backing_up = self.ours.platform.backing_up
        if self.told is not None:
            servers = cast(Servers, cast(Any, self.told))
            ground, books = self.ours.platform._ground, self.ours.platform._books
            backing_up = BackupServers(ground, servers, books, self.now)
        self.api = Api(self.site.store)
        session = cast(Session, cast(Any, self.api))
        settings = replace(SETTINGS, object_store=told(self.site.store))
        self.backups = Backups(session, self.cache, settings, backing_up, self.now)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.later

    def backup(self, number: int = 1, method: str = "Physical", origin: str = "manual") -> Backup:
        meta = {
            "labels": {ORIGIN_LABEL: origin},
            "name": f"by-hand-{number}",
            "namespace": "team",
            "uid": UID.format(number),
            "resourceVersion": "1",
            "creationTimestamp": (datetime.now(UTC) + timedelta(seconds=number)).isoformat(),
        }
        spec = {"databaseRef": {"name": self.db.metadata.name}, "method": method}
        made = Backup.model_validate({"metadata": meta, "spec": spec})
        self.cache.put(BACKUP, made.to_wire())
        return made

    def folder(self, backup: Backup) -> PhysicalFolder:
        place = place_of(backup, self.backups.looks.source(self.db, PROJECT))
        assert isinstance(place, PhysicalFolder)
        return place

    async def look(self, backup: Backup) -> tuple[Backup, bool]:
        """One run as the reconcile loop makes it; whether it was carried out."""
        seen = await self.backups.looks.look(backup)
        plan, done = plan_backup(backup, seen, POLICIES, Limits(), self.now()), True
        try:
            await self.backups.execute(backup, plan)
        except PostbaseError as error:
            seen, done = replace(seen, hindrance=hindrance(error)), False
            plan = plan_backup(backup, seen, POLICIES, Limits(), self.now())
        after = backup.model_copy(update={"status": plan.status})
        self.cache.put(BACKUP, after.to_wire())
        sentence = said(after)
        if sentence not in self.said:
            self.said.append(sentence)
        return after, done

    async def until(self, backup: Backup, done: Callable[[Backup], object]) -> Backup:
        waiting = Patience(WITHIN, EVERY)
        while True:
            backup, _ = await self.look(backup)
            if done(backup):
                return backup
            assert not waiting.is_over(), (self.said, self.site.log()[-3000:])
            await asyncio.sleep(EVERY)

    async def completed(self, backup: Backup) -> Backup:
        ended = await self.until(backup, lambda each: each.is_done())
        assert ended.status.phase is RunPhase.COMPLETED, (self.said, self.site.log()[-3000:])
        return ended

    async def begun(self, store: S3Store, backup: Backup) -> Backup:
        """Until it is claimed in the bucket, and told as running."""
        backup = await self.until(backup, lambda each: reason(each) == "Running")
        claimed = str(self.folder(backup).progress)
        await eventually("no claim", lambda: claimed in {each.key for each in store.list("")})
        return backup


def said(backup: Backup) -> str:
    found = find_condition(backup.status.conditions, "Ready")
    return f"{found.reason}: {found.message}" if found is not None else ""


def reason(backup: Backup) -> str:
    return said(backup).partition(":")[0]


async def private(ours: Operator, site: Site) -> Private:
    """It archives, and is reached from nowhere outside of its environment."""
    db = await archiving(ours)
    ours.sql(db, TABLE, app=True)
    rows = ours.sql(db, ROWS, app=True)
    ground = await ours.platform._ground()
    _, facts = await ours.platform._servers.describe(ground, db)
    (proxy,) = proxies(site.double, site.place)
    Caller(site.double, site.double.token())("DeleteTcpProxy", id=proxy.id)
    await eventually("a proxy is left", lambda: not proxies(site.double, site.place))
    password = ours.ring.replications[db.metadata.uid]
    front = Front(private_host(ground.name(db)), 5432)
    return Private(ours, site, changed(db, expose="Private"), Told(front, facts, password), rows)


def restored(store: S3Store, record: BackupRecord, target: Server) -> None:
    """Out of its own folder alone, and started."""
    folder = str(record.place)
    target.data.mkdir(mode=0o700)
    manifest = Manifest.parse(store.get(f"{folder}backup_manifest"))
    for segment in manifest.segments(record.wal_segment_size):
        place_segment(store.get_stream(f"{folder}wal/{segment.name}.zst"), segment, target.data)
    pieces = [each.key for each in record.objects if each.key.startswith("pieces/")]

    def opened(key: str) -> Callable[[], Any]:
        return lambda: store.get_stream(f"{folder}{key}")

    unpack([opened(key) for key in pieces], manifest, target.data)
    (target.data / "postgresql.auto.conf").write_text("")
    (target.data / "pg_hba.conf").write_text("local all all trust\n")
    target.configure()
    target.take_over()
    target.start()
