"""An operator that is killed at any of its steps while a dump is restored on Railway: the next one
goes on, and in the end there is one database with all of the data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from component.railway_dumps import (
    ROWS,
    a_database,
    clustered,
    count,
    databases,
    dumped,
    loaded,
    temporary_roles,
)
from component.railway_in_place import restored, wish
from component.railway_loads import Cluster, Died
from component.railway_operator import Operator, operator
from component.railway_receivers import Site
from component.railway_restores import COPY, Parts, copy_of, patience, railway, site
from postbase_operator.api.database import Database
from postbase_operator.postgres import copies

__all__ = ["patience", "railway", "site"]
pytestmark = pytest.mark.timeout(2400)
Kill = Callable[[Cluster, pytest.MonkeyPatch], None]


def at_change(number: int) -> Kill:
    """Of those that it makes in the cluster: the store's Secret, the Job."""

    def arm(cluster: Cluster, _: pytest.MonkeyPatch) -> None:
        cluster.dies_after = cluster.changes + number

    return arm


def around(name: str, *, after: bool) -> Kill:
    """Of what it tells PostgreSQL; each of these commits by itself."""

    def arm(_: Cluster, patched: pytest.MonkeyPatch) -> None:
        real = getattr(copies, name)

        async def dies(*given: object, **named: object) -> None:
            if after:
                await real(*given, **named)
            raise Died(name)

        patched.setattr(copies, name, dies)

    return arm


KILLS: dict[str, Kill] = {
    "the store's Secret is there": at_change(1),
    "the Job is there": at_change(2),
    "before sessions are refused": around("_close", after=False),
    "sessions are refused": around("_close", after=True),
    "the names have changed": around("_rename", after=True),
    "before the former one goes": around("drop", after=False),
    "the former one is gone": around("drop", after=True),
}


@contextmanager
def armed(kill: Kill, cluster: Cluster) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        kill(cluster, patched)
        with suppress(Died):
            yield
            raise AssertionError("it was never killed")
    cluster.dies_after = 0


async def replaced(ours: Operator, db: Database) -> Database:
    """What was has gone, too."""
    return await ours.until(db, lambda each: databases(ours, each) == {"app"})


async def test_killed_at_each_step_in_place(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with clustered(site, tmp_path / "pods") as (first, cluster):
        ring = first.ring
        db = await a_database(first)
        first.sql(db, ROWS.format("t"), app=True)
        backup = await dumped(first, site, db, tmp_path / "dump", monkeypatch)
        for number, (name, kill) in enumerate(KILLS.items()):
            first.sql(db, "DELETE FROM t", app=True)
            cluster.held.pop(("Secret", "shop-main-store"), None)
            restore = wish(db, f"b{number}", loaded(backup.metadata.name), keepPrevious="0s")
            before = len(cluster.runs)
            async with operator(
                site.double, site.place, ring, store=site.store, cluster=cluster
            ) as mortal:
                with armed(kill, cluster):
                    done, _ = await restored(mortal, db, restore)
                    await replaced(mortal, done)
            (restore,) = mortal.restores  # as its status was written last
            async with operator(
                site.double, site.place, ring, store=site.store, cluster=cluster
            ) as heir:
                db, restore = await restored(heir, db, restore)
                db = await replaced(heir, db)
                assert count(heir, db, "t") == 2000, name
                assert temporary_roles(heir, db) == 0, name
            assert len(cluster.runs) == before + 1, name


async def test_killed_while_a_new_database_begins_with_a_dump(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with clustered(site, tmp_path / "pods") as (first, cluster):
        source = await a_database(first)
        first.sql(source, ROWS.format("t"), app=True)
        backup = await dumped(first, site, source, tmp_path / "dump", monkeypatch)
        copy = copy_of(bootstrap=loaded(backup.metadata.name))
        for number in (1, 2):
            async with operator(
                site.double, site.place, first.ring, store=site.store, cluster=cluster
            ) as mortal:
                with armed(at_change(1), cluster):
                    await mortal.ready(copy)
            assert len(cluster.runs) == number - 1
        async with operator(
            site.double, site.place, first.ring, store=site.store, cluster=cluster
        ) as heir:
            copy = await heir.ready(copy)
            assert copy.metadata.uid == COPY
            assert count(heir, copy, "t") == 2000
            parts = Parts(site, copy)
            assert len(parts.services) == len(parts.volumes) == len(parts.proxies) == 1
        assert len(cluster.runs) == 1
