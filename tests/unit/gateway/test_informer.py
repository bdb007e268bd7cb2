"""Following a watch: what is cut goes on, what is forgotten is listed anew, an outage is borne."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from postbase_operator.errors import Unavailable
from postbase_operator.gateway import informer
from postbase_operator.gateway.index import Index
from postbase_operator.gateway.informer import Feed
from postbase_operator.kube.kinds import PROJECT, Body
from postbase_operator.kube.refusals import Gone
from postbase_operator.kube.session import Listing, Session
from unit.gateway.test_index import names, project

AWAY = Unavailable("Kubernetes API", "away")


def event(word: str, number: int, version: int) -> Body:
    return {"type": word, "object": project(number, version)}


class Script:
    """In Session's place: what each listing and each watch brings, one after another."""

    def __init__(self, lists: list[Any], watches: list[list[Any]]) -> None:
        self.lists, self.watches = lists, watches
        self.asked: list[int] = []
        self.done = asyncio.Event()

    async def list(self, *_: Any, **__: Any) -> Listing:
        told = self.lists.pop(0)
        if isinstance(told, Exception):
            raise told
        return Listing(told, max((int(b["metadata"]["resourceVersion"]) for b in told), default=1))

    async def watch(self, _k: Any, _n: Any, version: int, **_: Any) -> AsyncIterator[Body]:
        self.asked.append(version)
        if not self.watches:
            self.done.set()
            await asyncio.Event().wait()
        for told in self.watches.pop(0):
            if isinstance(told, Exception):
                raise told
            yield told


async def followed(script: Script, monkeypatch: pytest.MonkeyPatch) -> tuple[Index, Feed]:
    """Until the script is at its end."""
    monkeypatch.setattr(informer, "FIRST_PAUSE", 0.0)
    index = Index()

    def listed(listing: Listing) -> None:
        index.replace(PROJECT, listing.items, listing.version)

    feed = Feed(PROJECT, listed, lambda body: index.put(PROJECT, body), index.drop)
    assert not feed.synced.is_set()
    task = asyncio.create_task(feed.follow(cast(Session, script)))
    await asyncio.wait_for(script.done.wait(), 30)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return index, feed


async def test_what_the_watch_brings(monkeypatch: pytest.MonkeyPatch) -> None:
    bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "30"}}}
    events = [event("ADDED", 2, 11), event("DELETED", 1, 12), bookmark]
    script = Script([[project(1, 10)]], [events])
    index, feed = await followed(script, monkeypatch)
    assert names(index) == ["p-2"]
    assert script.asked == [10, 30]
    assert feed.synced.is_set()


async def test_a_cut_watch_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script([[project(1, 10)]], [[event("ADDED", 2, 11)], [AWAY], [event("ADDED", 3, 12)]])
    index, feed = await followed(script, monkeypatch)
    assert names(index) == ["p-3", "p-2", "p-1"]
    assert script.asked == [10, 11, 11, 12]
    assert feed.current


async def test_a_forgotten_place_is_a_new_listing(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what went meanwhile is gone."""
    script = Script([[project(1, 10)], [project(2, 50)]], [[Gone("too old")]])
    index, _ = await followed(script, monkeypatch)
    assert names(index) == ["p-2"]


async def test_not_synced_while_it_cannot_be_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script([AWAY, AWAY, [project(1, 10)]], [])
    index, feed = await followed(script, monkeypatch)
    assert names(index) == ["p-1"]
    assert feed.synced.is_set()
