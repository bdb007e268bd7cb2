"""Keeps the index true: lists each kind, then follows its watch, for as long as the process lives.

Where the API server is away the cache serves on, as old as it is; a cut watch goes on where it was,
and one whose place is forgotten begins with a listing again.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from postbase_operator.errors import PostbaseError
from postbase_operator.gateway.held import version_of
from postbase_operator.kube.kinds import Body, Kind
from postbase_operator.kube.refusals import Gone
from postbase_operator.kube.session import Listing, Session

logger = logging.getLogger(__name__)
WATCH_SECONDS = 300
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0


@dataclass
class Feed:
    """One kind that is watched, and where its news go. `listed` gets a whole listing."""

    kind: Kind
    listed: Callable[[Listing], None]
    put: Callable[[Body], object]
    drop: Callable[[Body], object]
    namespace: str | None = None
    labels: str = ""
    synced: asyncio.Event = field(default_factory=asyncio.Event)
    current: bool = False
    """Whether the watch is open: what is held is as of now."""

    async def follow(self, session: Session) -> None:
        """Until cancelled."""
        pause, version = FIRST_PAUSE, None
        while True:
            try:
                if version is None:
                    listing = await session.list(self.kind, self.namespace, self.labels)
                    self.listed(listing)
                    version = listing.version
                    self.synced.set()
                self.current = True
                version = await self._watch(session, version)
                pause = FIRST_PAUSE
            except Gone:
                version = None
            except PostbaseError as error:
                self.current = False
                logger.warning(
                    "a watch was cut", extra={"kind": self.kind.kind, "error": str(error)}
                )
                await asyncio.sleep(pause * random.uniform(0.7, 1.3))  # noqa: S311 - no secret
                pause = min(LONGEST_PAUSE, pause * 2)

    async def _watch(self, session: Session, version: int) -> int:
        """The version that it came to."""
        events = session.watch(
            self.kind, self.namespace, version, seconds=WATCH_SECONDS, labels=self.labels
        )
        async for event in events:
            body: Body = event["object"]
            match event["type"]:
                case "ADDED" | "MODIFIED":
                    self.put(body)
                case "DELETED":
                    self.drop(body)
            version = max(version, version_of(body))
        return version
