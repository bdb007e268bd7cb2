"""The object store as the gateway needs it: links to dumps, and pages of the log's segments.

It is reached with what the Database's own Jobs reach it with: Secret `<db>-store` of the tenant's
namespace. The libraries are imported where the first link is asked for: they take 40 MB.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from postbase_operator.archive.history import parse_history
from postbase_operator.archive.keys import Archive, HistoryKey, SegmentKey
from postbase_operator.archive.lsn import SEGMENT_SIZE
from postbase_operator.archive.record import UnreadableRecord
from postbase_operator.desired.names import Names
from postbase_operator.errors import Denied, InvalidSpec, PostbaseError, Unavailable
from postbase_operator.gateway.held import Held
from postbase_operator.gateway.problems import unavailable
from postbase_operator.kube.kinds import SECRET
from postbase_operator.kube.refusals import NotFound
from postbase_operator.kube.secret_data import decode
from postbase_operator.kube.session import Session
from postbase_operator.objectstore.store import NotFound as ObjectNotFound

if TYPE_CHECKING:
    from postbase_operator.objectstore.store import ObjectInfo, ObjectStore

T = TypeVar("T")
LINK = timedelta(hours=1)
KEPT = 60.0
"""Seconds for which a Database's store counts as known."""
SEGMENTS_PER_LOG = (1 << 32) // SEGMENT_SIZE
SEGMENT_NAME = 24


@dataclass(frozen=True, slots=True)
class Stored:
    """One whole segment in the archive."""

    name: str
    at: datetime


@dataclass(frozen=True, slots=True)
class SegmentPage:
    """The newest first; `following` is where the next page begins, None after the last one."""

    segments: list[Stored]
    following: str | None


class Stores:
    """Clients of stores, by the Database whose store it is. Raises Problem."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._clients: dict[str, tuple[float, ObjectStore]] = {}

    async def link(self, database: Held, key: str, filename: str) -> str:
        """Anybody who has it may read that object, for an hour."""
        store = await self._client(database)
        return await _done(asyncio.to_thread(store.presign, key, LINK, filename))

    async def segments(
        self, database: Held, archive: Archive, newest: str, count: int
    ) -> SegmentPage:
        """At most `count` of them from `newest` on backwards, on its timeline. One request to the
        store as long as the page is full: where it begins is computed, not looked for."""
        store = await self._client(database)
        return await _done(asyncio.to_thread(segment_page, store, archive, newest, count))

    async def _client(self, database: Held) -> ObjectStore:
        at, held = self._clients.get(database.uid, (-KEPT, None))
        if held is not None and time.monotonic() - at < KEPT:
            return held
        name = Names(database.namespace, database.name).store
        try:
            data = decode(await self._session.get(SECRET, database.namespace, name))
            made = await asyncio.to_thread(_open, {k: v.decode() for k, v in data.items()})
        except NotFound as error:
            raise unavailable("The database has no object store yet") from error
        except (InvalidSpec, ValueError) as error:
            raise unavailable("The object store is not set up rightly", 60) from error
        except PostbaseError as error:
            raise unavailable("The Kubernetes API does not answer") from error
        if len(self._clients) > 1000:
            self._clients.clear()
        self._clients[database.uid] = time.monotonic(), made
        return made


def _open(data: dict[str, str]) -> ObjectStore:
    from postbase_operator.objectstore.s3 import S3Store
    from postbase_operator.objectstore.settings import StoreConfig

    config = StoreConfig.from_mapping(data)
    return S3Store(lambda: config)


def segment_page(store: ObjectStore, archive: Archive, newest: str, count: int) -> SegmentPage:
    """At most `count` whole segments from `newest` on backwards. Raises what the store raises."""
    oldest = earlier(newest, count)
    # Sorts before the oldest one itself, and after all that precede it.
    after = str(SegmentKey(archive, oldest))[:-1]
    found = [
        each
        for each in _listed(store, archive, newest, after, count + 16)
        if oldest <= each.name <= newest
    ]
    before = earlier(newest, count + 1)
    if before < oldest and (len(found) == count or _has_older(store, archive, oldest)):
        return SegmentPage(found[::-1], before)
    return SegmentPage(found[::-1], _parent(store, archive, newest))


def _listed(
    store: ObjectStore, archive: Archive, newest: str, after: str | None, most: int
) -> list[Stored]:
    """Whole segments of a timeline in the order of their names; `most` keys are looked at."""
    folder = str(SegmentKey(archive, newest)).rpartition("/")[0] + "/"
    found: list[Stored] = []
    one: ObjectInfo
    for one in islice(store.list(folder, after), most):
        name = one.key.removeprefix(folder)
        if len(name) == SEGMENT_NAME and name <= newest:
            found.append(Stored(name, one.modified))
    return found


def _has_older(store: ObjectStore, archive: Archive, segment: str) -> bool:
    """Whether the page is short because of a gap. Names of segments sort before all else there."""
    return any(each.name < segment for each in _listed(store, archive, segment, None, 1))


def _parent(store: ObjectStore, archive: Archive, segment: str) -> str | None:
    """The last segment that the timeline which this one's came from may have whole."""
    timeline = int(segment[:8], 16)
    if timeline == 1:
        return None
    try:
        fork = parse_history(store.get(str(HistoryKey(archive, timeline))))[-1]
    except (ObjectNotFound, UnreadableRecord, IndexError):
        return None  # the archive began on this timeline, or says no more
    last = fork.end // SEGMENT_SIZE - 1
    return None if last < 0 else _name(fork.timeline, last)


def earlier(segment: str, count: int) -> str:
    """The name of the segment `count - 1` before this one, or the timeline's first."""
    timeline, log, number = (int(segment[i : i + 8], 16) for i in (0, 8, 16))
    return _name(timeline, max(0, log * SEGMENTS_PER_LOG + number - (count - 1)))


def _name(timeline: int, position: int) -> str:
    """Of the segment at a position that is counted in segments."""
    log, number = divmod(position, SEGMENTS_PER_LOG)
    return f"{timeline:08X}{log:08X}{number:08X}"


async def _done(waiting: Coroutine[None, None, T]) -> T:
    """In the API's words where the store does not serve."""
    try:
        return await waiting
    except (Unavailable, Denied, InvalidSpec) as error:
        raise unavailable("The object store does not answer as it should") from error
