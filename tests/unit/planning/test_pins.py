"""What restores that have not ended keep from retention: their backup, and their stretch of log."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postbase_operator.api.backup import Backup
from postbase_operator.api.database import Database
from postbase_operator.api.pitr_restore import PitrRestore
from postbase_operator.api.restore_status import RestorePlan
from postbase_operator.archive.keys import ChunkKey
from postbase_operator.archive.log_path import Leg, LogPath
from postbase_operator.archive.lsn import Lsn
from postbase_operator.planning.pins import (
    Pin,
    Whose,
    pinned_backups,
    pinned_bases,
    pins,
    readers,
)
from postbase_operator.planning.wal_expiry import expired_log
from unit.conftest import UID, database
from unit.planning.test_filling import restore
from unit.planning.test_retention import ago, backup
from unit.planning.test_wal_expiry import chunk
from unit.planning.test_window import World, worlds

WHOSE = Whose("team", "shop-main", UID)
ELSE = "5c1e4f5c-0000-4000-8000-00000000000d"
PLAN = RestorePlan(
    backup_id=f"bkp_{'a' * 26}",
    start_lsn="0/20",
    target_lsn="0/50",
    timelines=(1, 2),
)


def based(days: int, *, timeline: int = 1, stop: str = "0/10") -> Backup:
    made = backup(f"{days}", ago(days), "pitr", method="Physical")
    told = {"timeline": timeline, "start_lsn": "0/8", "stop_lsn": stop, "id": f"bkp_{days}"}
    return made.model_copy(update={"status": made.status.model_copy(update=told)})


BASES = [based(9), based(5, stop="0/20"), based(2, timeline=2, stop="0/30")]


def planned(made: PitrRestore, phase: str = "Running", plan: RestorePlan = PLAN) -> PitrRestore:
    status = made.status.model_copy(update={"plan": plan})
    return restore(type(status).model_validate(status.to_wire() | {"phase": phase}), **spec(made))


def spec(made: PitrRestore) -> dict[str, Any]:
    wire: dict[str, Any] = made.spec.to_wire()
    return wire


def to(source: Any, **more: Any) -> PitrRestore:
    return restore(source=source, **more)


def beginning(bootstrap: Any, *, name: str = "other", uid: str = ELSE, **status: Any) -> Database:
    made = database(name, bootstrap=bootstrap)
    metadata = made.metadata.model_copy(update={"uid": uid})
    told = made.status.model_copy(update=status)
    return made.model_copy(update={"metadata": metadata, "status": told})


def test_a_plan_pins_its_stretch_of_its_timelines_and_its_backup() -> None:
    found = readers(WHOSE, [planned(to({"lsn": "0/50"}))], [])
    assert pins(found) == (Pin((1, 2), Lsn(0x20), Lsn(0x50)),)
    assert pinned_bases(found, BASES) == frozenset()
    mine = BASES[0].model_copy(
        update={"status": BASES[0].status.model_copy(update={"id": PLAN.backup_id})}
    )
    assert pinned_backups(found, [mine, *BASES[1:]]) == {"9"}


def test_what_follows_the_log_pins_all_that_comes() -> None:
    assert pins(readers(WHOSE, [planned(to({"latest": {}}))], [])) == (Pin((1, 2), Lsn(0x20)),)


@pytest.mark.parametrize("phase", ["Completed", "Failed"])
def test_one_that_has_ended_pins_nothing(phase: str) -> None:
    assert readers(WHOSE, [planned(to({"lsn": "0/50"}), phase)], []) == []


def test_another_databases_restore_pins_nothing_here() -> None:
    assert readers(WHOSE, [to({"latest": {}}, databaseRef={"name": "another"})], []) == []


@pytest.mark.parametrize(
    ("source", "kept"),
    [
        ({"targetTime": ago(6).isoformat()}, {"9"}),
        ({"targetTime": ago(1).isoformat()}, {"5", "2"}),
        ({"targetTime": ago(10).isoformat()}, set()),
        ({"lsn": "0/1F"}, {"9"}),
        ({"lsn": "0/20"}, {"5"}),
        ({"latest": {}}, {"5", "2"}),
        ({"previous": {}}, set()),
    ],
)
def test_before_its_plan_it_pins_what_it_could_begin_with(source: Any, kept: set[str]) -> None:
    found = readers(WHOSE, [to(source)], [])
    assert pinned_backups(found, BASES) == pinned_bases(found, BASES) == kept
    assert pins(found) == ()


def test_a_backup_as_it_is_needs_no_log() -> None:
    found = readers(WHOSE, [to({"backupRef": {"name": "9"}})], [])
    assert pinned_backups(found, BASES) == {"9"}
    assert pinned_bases(found, BASES) == frozenset()


@pytest.mark.parametrize(
    ("made", "kept"),
    [
        (beginning({"restore": {"from": {"databaseUID": UID}, "latest": {}}}), {"5", "2"}),
        (beginning({"restore": {"from": {"name": "shop-main"}, "lsn": "0/1F"}}), {"9"}),
        (beginning({"restore": {"from": {"name": "another"}, "latest": {}}}), set()),
        (beginning({"restore": {"from": {"databaseUID": ELSE}, "latest": {}}}), set()),
        (beginning({"latest": {}}, name="shop-main"), {"5", "2"}),
        (beginning({"latest": {}}), set()),
        (beginning({"backupRef": {"name": "9"}}), {"9"}),
        (beginning({"empty": {}}), set()),
        (beginning({"latest": {}}, name="shop-main", uid=UID), set()),
        (beginning({"latest": {}}, name="shop-main", system_id="73"), set()),
    ],
    ids=[
        "by uid", "by name", "another's name", "another's uid", "its own name's former life",
        "its own name, which is not this one", "a backup", "empty", "itself", "begun already",
    ],
)  # fmt: skip
def test_a_bootstrap_by_hand_pins_until_it_has_begun(made: Database, kept: set[str]) -> None:
    assert pinned_backups(readers(WHOSE, [], [made]), BASES) == kept


# -- against counting byte by byte ----------------------------------------------------------


@given(worlds(), st.data())
@settings(max_examples=300, deadline=None)
def test_whatever_goes_a_planned_recovery_reads_what_it_would_have(
    world: World, data: st.DataObject
) -> None:
    """Along any way, from any position to any end, with the bases of anything else kept."""
    log = world.log()
    timeline = data.draw(st.integers(1, 4))
    forks = log.histories.get(timeline, ())
    starts = [Lsn(), *(fork.end for fork in forks)]
    ends: list[Lsn | None] = [*starts[1:], None]
    numbers = [*(fork.timeline for fork in forks), timeline]
    legs = [
        Leg(n, *place) for n, place in zip(numbers, zip(starts, ends, strict=True), strict=True)
    ]
    path = LogPath(tuple(legs))
    start, end = sorted(data.draw(st.tuples(st.integers(0, 90), st.integers(0, 90))))
    pin = Pin(path.timelines, Lsn(start), Lsn(end))
    kept = data.draw(st.lists(st.sampled_from(world.bases), min_size=1)) if world.bases else []
    keys = [chunk(byte, byte + 1, t) for t, stored in world.stored.items() for byte in stored]
    gone = set(expired_log(keys, kept, log.histories, (pin,)))
    for byte in range(start, end):
        on = path.at(byte).timeline
        assert chunk(byte, byte + 1, on) not in gone
    without = set(expired_log(keys, kept, log.histories))
    assert gone <= without
    for key in without - gone:  # nothing stays that is not pinned
        assert isinstance(key, ChunkKey)
        assert key.timeline in path.timelines
        assert start <= key.start < end
