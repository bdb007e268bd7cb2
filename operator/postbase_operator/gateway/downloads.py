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
from typing import TYPE_CHECKING, TypeVar

from postbase_operator.archive.keys import Archive, SegmentKey
from postbase_operator.archive.lsn import SEGMENT_SIZE
from postbase_operator.desired.names import Names
from postbase_operator.errors import Denied, InvalidSpec, PostbaseError, Unavailable
from postbase_operator.gateway.held import Held
from postbase_operator.gateway.problems import unavailable
from postbase_operator.kube.kinds import SECRET
from postbase_operator.kube.refusals import NotFound
from postbase_operator.kube.secret_data import decode
from postbase_operator.kube.session import Session

if TYPE_CHECKING:
    from postbase_operator.objectstore.store import ObjectInfo, ObjectStore

T = TypeVar("T")
LINK = timedelta(hours=1)
KEPT = 60.0
"""Seconds for which a Database's store counts as known."""
SEGMENTS_PER_LOG = (1 << 32) // SEGMENT_SIZE


@dataclass(frozen=True, slots=True)
class Stored:
    """One whole segment in the archive."""

    name: str
    at: datetime


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
    ) -> list[Stored]:
        """At most `count` of them from `newest` on backwards, on its timeline: one request to the
        store, because where the page begins is computed, not looked for."""
        store = await self._client(database)
        oldest = earlier(newest, count)
        after = str(SegmentKey(archive, oldest))
        # Sorts before the oldest one itself, and after all that precede it.
        found = await _done(
            asyncio.to_thread(_page, store, archive, newest, after[:-1], count + 16)
        )
        kept = [each for each in found if oldest <= each.name <= newest]
        return sorted(kept, key=lambda each: each.name, reverse=True)[:count]

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


def _page(store: ObjectStore, archive: Archive, newest: str, after: str, most: int) -> list[Stored]:
    folder = str(SegmentKey(archive, newest)).rpartition("/")[0] + "/"
    found: list[Stored] = []
    one: ObjectInfo
    for one in store.list(folder, after):
        name = one.key.removeprefix(folder)
        if len(found) >= most or name > newest:
            break
        if len(name) == 24:
            found.append(Stored(name, one.modified))
    return found


def earlier(segment: str, count: int) -> str:
    """The name of the segment `count - 1` before this one, or the timeline's first."""
    timeline, log, number = (int(segment[i : i + 8], 16) for i in (0, 8, 16))
    position = max(0, log * SEGMENTS_PER_LOG + number - (count - 1))
    log, number = divmod(position, SEGMENTS_PER_LOG)
    return f"{timeline:08X}{log:08X}{number:08X}"


async def _done(waiting: Coroutine[None, None, T]) -> T:
    """In the API's words where the store does not serve."""
    try:
        return await waiting
    except (Unavailable, Denied, InvalidSpec) as error:
        raise unavailable("The object store does not answer as it should") from error
