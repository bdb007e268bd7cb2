"""Databases on Railway that are restored in place: filled beside what serves, then they go over to
the other service; what was replaced can be brought back, until its time is over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from component.railway_in_place import Writers, restored, running, step, to, until, wish
from component.railway_operator import Operator, changed, said, volumes
from component.railway_receivers import Site, position, streams
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
from postbase_operator.api.database import Database
from postbase_operator.planning.observed import VolumeRole
from postbase_operator.railway.fill_service import ROLE

__all__ = ["ours", "patience", "railway", "site"]
pytestmark = pytest.mark.timeout(1200)


def count(ours: Operator, db: Database, table: str) -> int:
    query = f"SELECT count(*) FROM {table}"  # noqa: S608 - of the test
    return int(ours.sql(db, query, app=True)[0][0])


async def test_a_mistake_is_taken_back_and_the_undo_too(
    ours: Operator, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = await archiving(ours)
    await backed_up(ours, site, db, tmp_path / "pod", monkeypatch)
    moment = await written(ours, site, db, "t")
    ours.sql(db, "DELETE FROM t", app=True)
    await written(ours, site, db, "later")
    before, held = ours.ring.fronts[db.metadata.uid], db.status.railway
    first = wish(db, "back", to(moment), keepPrevious="1h")

    db, first = await until(ours, db, first, lambda *_: len(Parts(site, db).services) == 2)
    assert count(ours, db, "later") == 2000  # it serves on
    watch = Writers(ours.ring, site, db)
    db, first = await restored(ours, db, first, watch)
    assert count(ours, db, "t") == 2000
    with pytest.raises(psycopg.errors.UndefinedTable):
        count(ours, db, "later")
    after = ours.ring.fronts[db.metadata.uid]
    assert after != before
    assert db.status.endpoint is not None  # what /url tells
    assert (db.status.endpoint.host, db.status.endpoint.port) == (after.host, after.port)
    assert held is not None
    assert db.status.railway is not None
    assert db.status.railway.service_id != held.service_id
    assert db.status.railway.volume_id != held.volume_id
    kept = first.status.previous_volume
    assert kept is not None
    assert (kept.claim_name, kept.kept_until is not None) == (held.volume_id, True)
    assert running(site, db) == [db.status.railway.service_id]

    # The archive goes on, and what is written now can be restored.
    db = await ours.until(db, streams)
    assert len(site.services()) == 1
    ours.sql(db, "CREATE TABLE again AS SELECT 1 AS n", app=True)
    end = position(ours, db)
    db = await ours.until(db, lambda _: covered(site, 2, int(end)))

    second = wish(db, "undo", {"previous": {}}, keepPrevious="0s")
    db, second = await restored(ours, db, second, watch)
    assert count(ours, db, "later") == 2000
    assert count(ours, db, "t") == 0
    assert ours.ring.fronts[db.metadata.uid] == before
    assert db.status.railway is not None
    assert db.status.railway.service_id == held.service_id
    db = await ours.until(db, lambda _: len(volumes(site.double, site.place)) == 1)
    assert [each.service_id for each in Parts(site, db).services] == [held.service_id]
    assert len(Parts(site, db).proxies) == 1
    await ours.until(db, streams)


async def test_to_a_position(
    ours: Operator, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = await archiving(ours)
    await backed_up(ours, site, db, tmp_path / "pod", monkeypatch)
    await written(ours, site, db, "t")
    before = position(ours, db)
    ours.sql(db, "DROP TABLE t", app=True)
    await written(ours, site, db, "later")
    db, restore = await restored(ours, db, wish(db, "back", {"lsn": str(before)}))
    assert count(ours, db, "t") == 2000
    assert ours.sql(db, "SELECT to_regclass('later')", app=True) == [(None,)]
    assert restore.status.recovered_lsn == str(before)
    assert len(running(site, db)) == 1


async def test_paused_in_the_middle_of_a_switch_and_of_its_undo(
    ours: Operator, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = await archiving(ours)
    await backed_up(ours, site, db, tmp_path / "pod", monkeypatch)
    moment = await written(ours, site, db, "t")
    await written(ours, site, db, "later")
    watch = Writers(ours.ring, site, db)
    undo: dict[str, Any] = {"previous": {}}
    steps = (("back", to(moment), [(None,)]), ("undo", undo, [("later",)]))
    for name, source, later in steps:
        each = wish(db, name, source)
        db, each = await until(ours, db, each, lambda now, _: len(marked(site, now)) == 2, watch)
        db = changed(db, paused=True)
        db, each = await until(ours, db, each, lambda now, _: is_stopped(site, now), watch)
        assert len(Parts(site, db).services) == 2
        assert not each.is_done()
        for _ in range(5):  # it stays so
            db, each = await step(ours, db, each)
        assert at_rest(site, db)
        db = changed(db, paused=False)
        db, each = await restored(ours, db, each, watch)
        assert count(ours, db, "t") == 2000
        assert ours.sql(db, "SELECT to_regclass('later')::text", app=True) == later
        assert len(running(site, db)) == 1
        db = await ours.until(db, streams)


def marked(site: Site, db: Database) -> list[str]:
    """Services that are marked as the one that serves, or bear no mark, as the first one."""
    current = VolumeRole.CURRENT.value
    every = Parts(site, db).services
    return [each.service_id for each in every if each.variables.get(ROLE, current) == current]


def at_rest(site: Site, db: Database) -> bool:
    return said(db)[1] == "Paused" and running(site, db) == []


def is_stopped(site: Site, db: Database) -> bool:
    """In the middle of a switch: what was replaced is marked once it has ended."""
    return at_rest(site, db) and len(marked(site, db)) == 1


def covered(site: Site, timeline: int, end: int) -> bool:
    runs = site.index(site.owner()).runs(timeline)
    return bool(runs) and runs[-1].end >= end
