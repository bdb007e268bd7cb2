"""An operator that is killed in the middle of a switch on Railway: whoever comes after it goes on,
and at no moment do two servers write whose addresses clients know."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from component.railway_in_place import Known, Writers, restored, running, to, wish
from component.railway_operator import Killed, Ring, operator, volumes
from component.railway_receivers import Site
from component.railway_restores import Parts, archiving, backed_up, site, written
from component.test_railway_in_place import count
from component.test_railway_restoring_killed import changes, railway
from postbase_operator.api.database import Database
from postbase_operator.api.pitr_restore import PitrRestore

__all__ = ["railway", "site"]
pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("component.railway_operator.PATIENCE", 300.0)
    monkeypatch.setattr("component.railway_receivers.WITHIN", 300.0)


REMOVALS = ("RenameVolume", "DeleteTcpProxy", "DeleteService", "DeleteVolume")


def commits(name: str) -> bool:
    return name == "CommitPatch"


@pytest.mark.trap("outcome-unknown")
async def test_killed_after_each_request_of_a_switch(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring, restores = Ring(), list[PitrRestore]()
    async with operator(site.double, site.place, ring, store=site.store) as ours:
        db = await archiving(ours)
        await backed_up(ours, site, db, tmp_path / "pod", monkeypatch)
        moment = await written(ours, site, db, "t")
        ours.sql(db, "DROP TABLE t", app=True)
        await written(ours, site, db, "u")
    writers, known = Writers(ring, site, db), Known(site, db)

    def watch() -> None:
        writers()
        known()

    async def killed(
        each: PitrRestore, number: int, counts: Callable[[str], bool] = changes
    ) -> list[str]:
        """The requests of the mortal one; `db` as it is in the end."""
        nonlocal db
        asked: list[str] = []
        with suppress(Killed):
            async with operator(site.double, site.place, ring, number, site.store) as mortal:
                mortal.client.counts, mortal.restores = counts, tuple(restores)
                asked = mortal.client.asked
                db, each = await restored(mortal, db, each, watch)
        watch()
        async with operator(site.double, site.place, ring, store=site.store) as heir:
            heir.restores = tuple(restores)
            db, each = await restored(heir, db, each, watch)
            restores.append(each)
            assert len(running(site, db)) == 1
            table, other = ("t", "u") if each.spec.source.target_time else ("u", "t")
            if each.metadata.name.endswith("t"):
                table, other = other, table
            assert count(heir, db, table) == 2000
            assert heir.sql(db, f"SELECT to_regclass('{other}')", app=True) == [(None,)]
        return list(filter(changes, asked))

    # The backup, the recovery, and that it serves: right after that there are two marked so.
    told = await killed(wish(db, "back", to(moment)), 3, commits)
    assert told[-1] == "CommitPatch"
    assert "StopDeployment" not in told
    assert len(Parts(site, db).services) == 2

    # Each undo takes the other one's place: they go to and fro.
    marked = ["SetVariables", "UpdateServiceInstance", "StopDeployment"]
    for number in range(1, 6):
        name = f"u{number}" + ("" if number % 2 else "t")
        told = await killed(wish(db, name, {"previous": {}}), number)
        assert told[:3] == marked[: len(told)], told
        assert len(Parts(site, db).services) == len(Parts(site, db).proxies) == 2


@pytest.mark.trap("outcome-unknown")
async def test_killed_after_each_request_by_which_the_previous_one_goes(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring, asked = Ring(), list[str]()
    async with operator(site.double, site.place, ring, store=site.store) as ours:
        db = await archiving(ours)
        await backed_up(ours, site, db, tmp_path / "pod", monkeypatch)
        moment = await written(ours, site, db, "t")
        db, back = await restored(ours, db, wish(db, "back", to(moment), keepPrevious="1h"))
    assert len(volumes(site.double, site.place)) == 2
    watch, later = Writers(ring, site, db), datetime.now(UTC) + timedelta(hours=2)

    def is_alone(_: Database) -> bool:
        watch()
        parts = Parts(site, db)
        return len(parts.services) == len(volumes(site.double, site.place)) == 1

    monkeypatch.setattr("component.railway_operator._now", lambda: later)
    for _ in range(9):
        async with operator(site.double, site.place, ring, 1, site.store) as mortal:
            mortal.client.counts, mortal.restores = REMOVALS.__contains__, (back,)
            try:
                db = await mortal.until(db, is_alone)
                break
            except Killed as killed:
                asked.append(str(killed))
    assert tuple(asked) == REMOVALS
    assert len(Parts(site, db).proxies) == 1
    async with operator(site.double, site.place, ring, store=site.store) as heir:
        heir.restores = (back,)
        db = await heir.ready(db)
        assert count(heir, db, "t") == 2000
        assert len(running(site, db)) == 1
