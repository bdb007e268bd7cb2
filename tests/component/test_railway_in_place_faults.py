"""What goes wrong with restores in place on Railway: told, with what serves untouched and nothing
left behind; and an undo where what served is gone."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from component.railway_caller import Caller, Failed
from component.railway_in_place import (
    Known,
    branches,
    deleted,
    restored,
    to,
    told,
    until,
    wish,
    written_branches,
)
from component.railway_operator import REGION, Operator, said, volumes
from component.railway_receivers import Site, streams
from component.railway_restores import (
    Parts,
    archiving,
    backed_up,
    ours,
    patience,
    railway,
    site,
    written,
)
from component.store_server import store_of
from component.test_railway_in_place import count
from component.test_railway_restoring_faults import record_key
from postbase_operator.api.database import Database
from postbase_operator.api.runs import RunPhase
from postbase_operator.archive.keys import HistoryKey
from postbase_operator.archive.record import BackupRecord
from postbase_operator.kube.far_restores import FarRestores
from postbase_operator.objectstore.store import Reason, StoreUnavailable
from postbase_operator.planning import plan as steps
from postbase_operator.planning.archiving import archive_of
from postbase_operator.planning.restore_rehearsal import Rehearsal

__all__ = ["ours", "patience", "railway", "site"]
pytestmark = pytest.mark.timeout(1200)


async def test_what_cannot_be_is_refused_and_what_fails_goes_with_all_of_it(
    ours: Operator, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = await archiving(ours)
    backup = await backed_up(ours, site, db, tmp_path / "pod", monkeypatch)
    moment = await written(ours, site, db, "t")
    await written(ours, site, db, "later")
    front, held = ours.ring.fronts[db.metadata.uid], db.status.railway

    latest = wish(db, "all", {"latest": {}})
    db, latest = await until(ours, db, latest, lambda _, each: each.is_done())
    assert latest.status.phase is RunPhase.FAILED
    assert "spec.source.latest" in told(latest)[1]
    assert "targetTime" in told(latest)[1]

    filled = await full(ours, site, db)
    small = wish(db, "more", to(moment))
    db, small = await until(ours, db, small, lambda _, each: each.is_done())
    await filled.emptied(ours, db)
    assert small.status.phase is RunPhase.FAILED
    assert "PlanLimitExceeded" in told(small)[1]
    assert "spec.projectRef" in told(small)[1]
    assert len(Parts(site, db).services) == 1

    store, key = store_of(site.store), str(backup.status.object_key)
    record = BackupRecord.from_bytes(store.get(record_key(backup)))
    piece = next(each.key for each in record.objects if each.key.startswith("pieces/"))
    whole = store.get(f"{key}{piece}")
    store.put(f"{key}{piece}", whole[:-9] + bytes(9), if_absent=False)
    back = wish(db, "back", to(moment))
    db, back = await until(ours, db, back, lambda _, each: each.is_done())
    assert back.status.phase is RunPhase.FAILED
    assert told(back)[1].startswith("ChecksumMismatch")
    parts = Parts(site, db)
    assert len(parts.services) == len(parts.proxies) == 1
    assert len(volumes(site.double, site.place)) == 1
    assert count(ours, db, "later") == 2000  # untouched
    assert ours.ring.fronts[db.metadata.uid] == front
    assert db.status.railway == held
    store.put(f"{key}{piece}", whole, if_absent=False)

    # One whose restore is deleted goes as well.
    gone = wish(db, "gone", to(moment))
    db, gone = await until(ours, db, gone, lambda *_: len(parts.services) == 2)
    deleted(ours, gone)
    db = await ours.until(db, lambda _: len(volumes(site.double, site.place)) == 1)
    assert len(parts.services) == len(parts.proxies) == 1


@dataclass
class Filled:
    """A project with as many volumes as its plan allows: others' but for the Database's."""

    call: Caller
    others: list[str] = field(default_factory=list)

    async def emptied(self, ours: Operator, db: Database) -> None:
        for each in self.others:
            self.call("DeleteVolume", volumeId=each)
        await seen(ours, db, "")


async def full(ours: Operator, site: Site, db: Database) -> Filled:
    """As the double has it, which then takes no other."""
    found = Filled(Caller(site.double, site.double.token()))
    mount = {"mountPath": "/data", "region": REGION}
    given = {"projectId": site.place.project_id, "environmentId": site.place.environment_id}
    limit = site.double.world.plan_of(site.place.environment_id).volumes or 0
    for _ in range(limit - len(volumes(site.double, site.place))):
        found.others.append(found.call("CreateVolume", input=given | mount)["id"])
    with pytest.raises(Failed, match="Volume limit"):
        found.call("CreateVolume", input=given | mount)
    await seen(ours, db, "PlanLimitExceeded")
    return found


async def seen(ours: Operator, db: Database, reason: str) -> None:
    """Looks are kept for a moment: until one says of another volume what is the case by now."""
    more = Rehearsal(db, (steps.CreateVolume(2, "uid"), steps.FillVolume("", "uid", "key", 1)))
    for _ in range(100):
        answer = await ours.platform.restoring.rehearse(more)
        if answer.reason == reason:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"another volume: {answer}")


async def test_an_undo_where_what_served_is_gone(
    ours: Operator, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = await archiving(ours, deletionPolicy="Delete")
    await backed_up(ours, site, db, tmp_path / "pod", monkeypatch)
    moment = await written(ours, site, db, "t")
    await written(ours, site, db, "later")
    held = db.status.railway
    assert held is not None
    db, _ = await restored(ours, db, wish(db, "back", to(moment)))
    assert db.status.railway is not None
    lost = db.status.railway.service_id
    Caller(site.double, site.double.token())(
        "DeleteService", id=lost, environmentId=site.place.environment_id
    )
    db = await ours.until(db, lambda each: said(each)[1] == "NoCurrentVolume")
    db, _ = await restored(ours, db, wish(db, "undo", {"previous": {}}))
    assert count(ours, db, "later") == 2000
    assert db.status.railway is not None
    assert db.status.railway.service_id == held.service_id
    await ours.gone(db)
    assert Parts(site, db).services == []
    assert volumes(site.double, site.place) == []


async def test_nobody_serves_on_a_branch_that_the_archive_does_not_know(
    ours: Operator, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = await archiving(ours)
    await backed_up(ours, site, db, tmp_path / "pod", monkeypatch)
    moment = await written(ours, site, db, "t")
    await written(ours, site, db, "later")
    front, known, store = ours.ring.fronts[db.metadata.uid], Known(site, db), store_of(site.store)

    theirs = str(HistoryKey(archive_of(db), 2))
    kept, away = FarRestores.keep_history, ["away", "away", "away"]

    async def keep(self: FarRestores, db: Database, key: str, timeline: int, data: bytes) -> None:
        if timeline == 2:
            store.put(theirs, b"1\t0/2000000\tanother\n")
        elif away:
            raise StoreUnavailable(Reason.UNREACHABLE, away.pop())
        await kept(self, db, key, timeline, data)

    # Another server has taken the number since the log was fetched. What serves is not touched.
    monkeypatch.setattr(FarRestores, "keep_history", keep)
    first = wish(db, "first", to(moment))
    db, first = await until(ours, db, first, lambda _, each: "SplitBrain" in told(each)[1], known)
    assert "delete this PitrRestore and make it anew" in told(first)[1]
    assert count(ours, db, "later") == 2000
    assert ours.ring.fronts[db.metadata.uid] == front
    deleted(ours, first)
    db = await ours.until(db, lambda _: len(volumes(site.double, site.place)) == 1)

    # Made anew it takes the next number, and waits for a store that is away.
    db, _ = await restored(ours, db, wish(db, "second", to(moment)), known)
    assert away == []
    assert count(ours, db, "t") == 2000
    assert sorted(branches(site, db)) == [2, 3]
    assert 3 in written_branches(site, db)
    await ours.until(db, streams)
