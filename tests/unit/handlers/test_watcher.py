"""Which events call for a look, and at what."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from copy import deepcopy
from typing import Any, cast

import pytest

from postbase_operator.handlers.keys import Key
from postbase_operator.handlers.queue import WorkQueue
from postbase_operator.handlers.watcher import Watcher
from postbase_operator.kube.cache import Cache
from postbase_operator.kube.kinds import (
    BACKUP,
    DATABASE,
    JOB,
    PITR_RESTORE,
    POD,
    POD_DISRUPTION_BUDGET,
    PROJECT,
    SERVICE,
    STATEFUL_SET,
    Body,
    Kind,
)
from postbase_operator.kube.platform import CHILDREN
from postbase_operator.kube.session import Listing, Session
from unit.conftest import database

DB = Key("Database", "team", "shop-main")
SHOP = Key("Project", "team", "shop")


class Noted:
    """A queue that notes what is asked for."""

    def __init__(self) -> None:
        self.at_once: list[Key] = []
        self.later: list[Key] = []

    def add(self, key: Key) -> None:
        self.at_once.append(key)

    def add_after(self, key: Key, _delay: float) -> None:
        self.later.append(key)


def watching() -> tuple[Watcher, Noted, Cache]:
    noted, cache = Noted(), Cache()
    watcher = Watcher(cast(Session, None), cache, cast(WorkQueue[Key], noted), ("team",))
    return watcher, noted, cache


def child(kind: Kind, **changes: Any) -> Body:
    body: Body = {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {
            "name": "shop-main",
            "namespace": "team",
            "uid": "of-the-child",
            "resourceVersion": "7",
            "labels": {"postbase.sh/database": "shop-main"},
        },
        "spec": {"replicas": 1},
        "status": {"replicas": 0},
    }
    for path, value in changes.items():
        node = body
        *folders, last = path.split("__")
        for part in folders:
            node = node[part]
        node[last] = value
    return body


@pytest.mark.parametrize(
    ("kind", "change", "looks"),
    [
        (SERVICE, {}, False),
        (SERVICE, {"metadata__resourceVersion": "8"}, False),
        (SERVICE, {"metadata__resourceVersion": "8", "status__replicas": 1}, False),
        (POD_DISRUPTION_BUDGET, {"metadata__resourceVersion": "8", "status__replicas": 1}, False),
        (STATEFUL_SET, {"metadata__resourceVersion": "8", "status__replicas": 1}, True),
        (SERVICE, {"metadata__resourceVersion": "8", "spec__replicas": 2}, True),
        (SERVICE, {"metadata__resourceVersion": "8", "metadata__labels": {}}, True),
        (SERVICE, {"metadata__resourceVersion": "8", "metadata__annotations": {"a": "b"}}, True),
        # Older than what our own write has answered: it is in the cache already.
        (SERVICE, {"metadata__resourceVersion": "6", "spec__replicas": 2}, False),
    ],
)
def test_an_event_that_tells_nothing_new_costs_no_look(
    kind: Kind, change: dict[str, Any], looks: bool
) -> None:
    watcher, noted, cache = watching()
    cache.put(kind, child(kind))
    watcher.event(kind, "MODIFIED", child(kind, **change))
    assert (DB in noted.at_once) is looks


@pytest.mark.parametrize("kind", [SERVICE, STATEFUL_SET])
def test_what_comes_and_goes_is_always_looked_at(kind: Kind) -> None:
    watcher, noted, _ = watching()
    watcher.event(kind, "ADDED", child(kind))
    watcher.event(kind, "DELETED", child(kind, metadata__resourceVersion="8"))
    assert noted.at_once == [DB, DB, DB]  # whose it is, and whose it was


def test_a_database_is_looked_at_at_once_and_its_project_counts_later() -> None:
    watcher, noted, _ = watching()
    body = database().to_wire()
    watcher.event(DATABASE, "ADDED", body)
    assert noted.at_once == [DB]
    assert noted.later == [SHOP]


def test_the_echo_of_a_status_is_news_to_the_project_alone() -> None:
    watcher, noted, cache = watching()
    body = database().to_wire()
    body["metadata"]["resourceVersion"] = "9"
    cache.put(DATABASE, body)
    watcher.event(DATABASE, "MODIFIED", deepcopy(body))
    assert (noted.at_once, noted.later) == ([], [SHOP])


def test_a_change_of_a_project_reaches_its_databases_but_its_status_does_not() -> None:
    watcher, noted, cache = watching()
    cache.put(DATABASE, database().to_wire())
    project: Body = {
        "apiVersion": PROJECT.api_version,
        "kind": PROJECT.kind,
        "metadata": {"name": "shop", "namespace": "team", "uid": "p", "generation": 1},
        "spec": {},
    }
    cache.put(PROJECT, project)
    watcher.event(PROJECT, "MODIFIED", {**project, "status": {"databases": 1}})
    assert noted.at_once == [SHOP]
    later = {**project["metadata"], "generation": 2}
    watcher.event(PROJECT, "MODIFIED", {**project, "metadata": later, "spec": {"displayName": "S"}})
    assert DB in noted.at_once


def test_what_we_have_made_ourselves_is_looked_at_like_any_other() -> None:
    """Its answer is in the cache before its event comes."""
    watcher, noted, cache = watching()
    made: Body = {
        "apiVersion": BACKUP.api_version,
        "kind": "Backup",
        "metadata": {"name": "nightly", "namespace": "team", "uid": "b", "resourceVersion": "3"},
        "spec": {"databaseRef": {"name": "shop-main"}},
    }
    cache.put(BACKUP, made)
    watcher.event(BACKUP, "ADDED", made)
    assert set(noted.at_once) == {Key("Backup", "team", "nightly"), DB}
    noted.at_once.clear()
    watcher.event(BACKUP, "MODIFIED", made)
    assert noted.at_once == []


def restore(name: str, of: str) -> Body:
    return {
        "apiVersion": PITR_RESTORE.api_version,
        "kind": PITR_RESTORE.kind,
        "metadata": {"name": name, "namespace": "team", "uid": name, "resourceVersion": "3"},
        "spec": {"databaseRef": {"name": of}},
    }


def test_a_restore_that_goes_is_cleared_up_after_by_its_database() -> None:
    watcher, noted, cache = watching()
    cache.put(PITR_RESTORE, restore("back", "shop-main"))
    watcher.event(PITR_RESTORE, "DELETED", restore("back", "shop-main"))
    assert DB in noted.at_once


@pytest.mark.parametrize(("kind", "told"), [(JOB, True), (POD, False)])
def test_the_end_of_a_job_is_told_to_the_restores_that_may_wait_for_it(
    kind: Kind, told: bool
) -> None:
    watcher, noted, cache = watching()
    for name, of in (("mine", "shop-main"), ("another's", "shop-other")):
        cache.put(PITR_RESTORE, restore(name, of))
    watcher.event(kind, "MODIFIED", child(kind))
    assert (Key("PitrRestore", "team", "mine") in noted.at_once) is told
    assert Key("PitrRestore", "team", "another's") not in noted.at_once
    assert DB in noted.at_once


def test_an_edit_that_met_our_write_is_looked_at_although_its_event_is_old() -> None:
    """The answer to the write of a status has the edited spec; both events are echoes by then."""
    watcher, noted, cache = watching()
    held = as_held()
    watcher.event(DATABASE, None, held)
    edited = deepcopy(held)
    edited["spec"]["parameters"] = {"work_mem": "7MB"}
    edited["metadata"] |= {"generation": 2, "resourceVersion": "8"}
    answer = deepcopy(edited)
    answer["status"] = {"phase": "Running"}
    answer["metadata"]["resourceVersion"] = "9"
    noted.at_once.clear()
    cache.answered(DATABASE, answer, "status")
    assert DB in noted.at_once
    noted.at_once.clear()
    watcher.event(DATABASE, "MODIFIED", edited)
    watcher.event(DATABASE, "MODIFIED", answer)
    assert noted.at_once == []


def test_what_we_wrote_ourselves_is_no_news() -> None:
    watcher, noted, cache = watching()
    watcher.event(DATABASE, None, as_held())
    watcher.event(POD, None, child(POD))
    noted.at_once.clear()
    told = as_held()
    told["status"] = {"phase": "Running"}
    told["metadata"] |= {"resourceVersion": "9", "managedFields": [{"manager": "ours"}]}
    cache.answered(DATABASE, told, "status")
    poked = child(POD, metadata__resourceVersion="9", metadata__annotations={"poke": "1"})
    cache.answered(POD, poked, "metadata.annotations")
    assert noted.at_once == []
    ready = child(POD, metadata__resourceVersion="10", metadata__annotations={"poke": "2"})
    ready["status"] = {"phase": "Running"}
    cache.answered(POD, ready, "metadata.annotations")
    assert noted.at_once == [DB]


def as_held() -> Body:
    body = database().model_dump(mode="json", by_alias=True, exclude_none=True)
    body["metadata"] |= {"uid": "of-the-database", "generation": 1, "resourceVersion": "7"}
    return body


class Listings:
    """A session that shows what is there; each of its listings is of resourceVersion 100."""

    def __init__(self) -> None:
        self.there: dict[Kind, list[Body]] = {}
        self.asked = 0

    async def list(self, kind: Kind, _namespace: str | None, _labels: str) -> Listing:
        self.asked += 1
        return Listing(self.there.get(kind, []), 100)


def sweeps_soon(watcher: Watcher, monkeypatch: pytest.MonkeyPatch) -> Listings:
    api = Listings()
    watcher._api = cast(Session, api)
    monkeypatch.setattr("postbase_operator.handlers.watcher.SOON", (0.0,))
    return api


async def test_what_was_deleted_between_our_listing_and_kopfs_is_found_soon_after_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A Database that was being deleted when the leader changed waited ten minutes for its pod."""
    watcher, noted, cache = watching()
    api = sweeps_soon(watcher, monkeypatch)
    stays = child(STATEFUL_SET, metadata__uid="stays", metadata__name="stays")
    ghost = child(STATEFUL_SET, metadata__uid="gone", metadata__name="shop-main-1")
    for each in (stays, ghost):
        cache.put(STATEFUL_SET, each)
    api.there[STATEFUL_SET] = [stays]
    sweeping = asyncio.create_task(watcher.sweep())
    try:
        await become(lambda: noted.at_once == [DB])
        assert list(cache.all(STATEFUL_SET)) == [stays]
        asked = api.asked
        cache.put(STATEFUL_SET, ghost | {"metadata": ghost["metadata"] | {"uid": "again"}})
        watcher.event(STATEFUL_SET, None, stays)  # kopf lists anew, after a gap
        await become(lambda: noted.at_once[1:] == [DB])
        assert api.asked == 2 * asked
    finally:
        sweeping.cancel()


async def test_looking_for_ghosts_takes_no_news_away_from_kopf(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watcher, noted, cache = watching()
    api = sweeps_soon(watcher, monkeypatch)
    before = database().to_wire()
    edited = deepcopy(before)
    edited["metadata"] |= {"generation": 2, "resourceVersion": "90"}
    cache.put(DATABASE, before)
    api.there[DATABASE] = [edited]
    sweeping = asyncio.create_task(watcher.sweep())
    try:
        await become(lambda: api.asked > len(CHILDREN))
        watcher.event(DATABASE, "MODIFIED", edited)
        assert set(noted.at_once) == {DB}
    finally:
        sweeping.cancel()


async def become(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - another task's doing
            await asyncio.sleep(0)
