"""PitrRestores of a Database on Railway, as the reconcile loop runs them: the product's own looks,
plans and steps, beside the loop of their Database."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from component.railway_operator import Operator, Ring, said
from component.railway_receivers import Site
from component.railway_restores import Parts
from component.store_server import store_of
from postbase_operator.api.conditions import find_condition
from postbase_operator.api.database import Database
from postbase_operator.api.pitr_restore import PitrRestore
from postbase_operator.api.runs import RunPhase
from postbase_operator.archive.keys import HistoryKey, WalFolder, parse
from postbase_operator.errors import PostbaseError
from postbase_operator.handlers.restore_looks import RestoreLooks
from postbase_operator.kube.kinds import DATABASE, PITR_RESTORE
from postbase_operator.planning.archiving import archive_of
from postbase_operator.planning.observed import VolumeRole
from postbase_operator.planning.restore import hindered, plan_restore
from postbase_operator.railway.fill_service import ROLE
from railway.clock import VirtualClock

PATIENCE = 600.0
Both = tuple[Database, PitrRestore]


def wish(db: Database, name: str, source: dict[str, Any], **more: Any) -> PitrRestore:
    """In place. Each name is another object, also by the first digits of its UID."""
    meta = {
        "name": name,
        "namespace": db.metadata.namespace,
        "uid": f"{zlib.crc32(name.encode()):08x}-0000-4000-8000-{name.encode().hex():0>12.12}",
        "generation": 1,
        "creationTimestamp": datetime.now(UTC).isoformat(),
    }
    spec = {"databaseRef": {"name": db.metadata.name}, "source": source, "target": {"inPlace": {}}}
    return PitrRestore.model_validate({"metadata": meta, "spec": spec | more})


def to(moment: datetime) -> dict[str, Any]:
    return {"targetTime": moment.isoformat()}


async def step(ours: Operator, db: Database, restore: PitrRestore) -> Both:
    """One run of each."""
    ours.cache.put(DATABASE, db.to_wire())
    ours.cache.put(PITR_RESTORE, restore.to_wire())
    held = {each.metadata.uid: each for each in ours.restores} | {restore.metadata.uid: restore}
    ours.restores = tuple(held.values())
    if not restore.is_done():
        restore = await _run(ours, db, restore)
        held[restore.metadata.uid] = restore
        ours.cache.put(PITR_RESTORE, restore.to_wire())
        ours.restores = tuple(held.values())
    db, _ = await ours.look(db)
    return db, restore


async def _run(ours: Operator, db: Database, restore: PitrRestore) -> PitrRestore:
    looks = RestoreLooks(ours.cache, ours.platform)
    try:
        known = await looks.look(restore, datetime.now(UTC))
        plan = plan_restore(restore, known, datetime.now(UTC))
        await ours.platform.carry_out(db, plan.steps)
    except PostbaseError as error:
        ours.refusals.append(f"restore: {error}")
        told = hindered(restore, error, datetime.now(UTC))
        return restore.model_copy(update={"status": told.status})
    return restore.model_copy(update={"status": plan.status})


async def until(
    ours: Operator,
    db: Database,
    restore: PitrRestore,
    done: Callable[[Database, PitrRestore], bool],
    watch: Callable[[], None] = lambda: None,
) -> Both:
    """`watch`: after each run."""
    ends = time.monotonic() + PATIENCE
    while True:
        db, restore = await step(ours, db, restore)
        watch()
        if done(db, restore):
            return db, restore
        assert time.monotonic() < ends, (said(db), told(restore), ours.refusals[-5:])
        clock = ours.double.clock
        if isinstance(clock, VirtualClock):
            await asyncio.to_thread(clock.advance, 0.5)
        await asyncio.sleep(0.1)


def deleted(ours: Operator, restore: PitrRestore) -> None:
    """By somebody, whatever became of it."""
    ours.cache.drop(PITR_RESTORE, restore.to_wire())
    uid = restore.metadata.uid
    ours.restores = tuple(each for each in ours.restores if each.metadata.uid != uid)


async def restored(
    ours: Operator,
    db: Database,
    restore: PitrRestore,
    watch: Callable[[], None] = lambda: None,
) -> Both:
    """To its good end, and the Database ready."""
    db, restore = await until(ours, db, restore, lambda _, each: each.is_done(), watch)
    assert restore.status.phase is RunPhase.COMPLETED, told(restore)
    return await ours.ready(db), restore


def told(restore: PitrRestore) -> tuple[str, str]:
    """Phase, and the message of its condition."""
    ready = find_condition(restore.status.conditions, "Ready")
    message = f"{ready.reason}: {ready.message}" if ready is not None else ""
    return str(restore.status.phase), message


def running(site: Site, db: Database) -> list[str]:
    """Services of which a process runs."""
    world = site.double.world
    own = {each.service_id for each in Parts(site, db).services}
    every = [world.state.deployments[each] for each in list(world.boxes)]
    return sorted({each.service_id for each in every if each.service_id in own})


@dataclass
class Writers:
    """Of all addresses that clients have ever been told, at most one leads to a server at any
    moment: called after each run."""

    ring: Ring
    site: Site
    db: Database
    told: set[int] = field(default_factory=set)

    def __call__(self) -> None:
        front = self.ring.fronts.get(self.db.metadata.uid)
        self.told |= {front.port} if front is not None else set()
        known = {
            each.service_id for each in Parts(self.site, self.db).proxies if each.port in self.told
        }
        open_ = [each for each in running(self.site, self.db) if each in known]
        assert len(open_) <= 1, open_


def branches(site: Site, db: Database) -> dict[int, bytes]:
    """The histories of timelines that its archive has."""
    store, archive = store_of(site.store), archive_of(db)
    keys = (parse(info.key) for info in store.list(str(WalFolder(archive))))
    return {k.timeline: store.get(str(k)) for k in keys if isinstance(k, HistoryKey)}


def written_branches(site: Site, db: Database) -> dict[int, bytes]:
    """Likewise what the servers have that are marked as the one that serves: by their own files."""
    found: dict[int, bytes] = {}
    for each in Parts(site, db).services:
        if each.variables.get(ROLE) == VolumeRole.CURRENT:
            volumes = Parts(site, db).volumes
            (held,) = [v for v in volumes if v.service_id == each.service_id]
            log = site.double.world.volume_folder(held) / "pgdata" / "pg_wal"
            found |= {int(p.stem, 16): p.read_bytes() for p in log.glob("????????.history")}
    return found


@dataclass
class Known:
    """No server is marked as the one that serves whose branch the archive does not know: called
    after each run. Receivers of what is leaving know nothing of it."""

    site: Site
    db: Database

    def __call__(self) -> None:
        served = written_branches(self.site, self.db)
        assert served.items() <= branches(self.site, self.db).items(), sorted(served)
