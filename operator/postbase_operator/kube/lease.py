"""Which of the operator's replicas reconciles: one Lease, taken, renewed, given back.

Our own, because the shipped electors do not release on exit, trust the wall clock, or go on
renewing after their work has died (docs/decisions/0005-leader-election.md). Clocks of different
machines are never compared: a Lease counts as expired when *we* have seen it unchanged for its
whole duration, by our monotonic clock. The holder gives up well before that, so that two never
work at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from postbase_operator.errors import Conflict, PostbaseError
from postbase_operator.kube.kinds import LEASE, Body
from postbase_operator.kube.session import Session

logger = logging.getLogger(__name__)
MANAGER = "postbase-operator-lease"


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. A hand-over takes at most duration + half of retry; after a stop half of retry."""

    duration: float = 10.0
    """Others wait this long for a sign of life before they take over."""
    deadline: float = 7.0
    """A holder that could not renew for this long stops working."""
    retry: float = 2.0
    """Between two renewals; whoever stands by looks twice as often."""


class LeaseLost(PostbaseError):
    """Somebody else may be working by now: the process has to end at once."""


class Elector:
    """`acquire()`, then work beside `keep()`, and `release()` at an orderly end."""

    def __init__(
        self,
        api: Session,
        namespace: str,
        name: str,
        identity: str,
        timing: Timing | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._timing = timing or Timing()
        self._clock = clock
        self._seen: tuple[str, float] | None = None  # resourceVersion, and when we first saw it
        self._ours: Body | None = None  # as our last write left it
        self._renewed = 0.0
        self._usurped = False

    async def acquire(self) -> None:
        """Returns once the Lease is ours; for as long as that takes."""
        while not await self._attempt():  # noqa: ASYNC110 - polls a server, not ourselves
            await asyncio.sleep(self._timing.retry / 2)  # a look costs less than a write
        logger.info("leading", extra={"identity": self._identity})

    async def keep(self) -> None:
        """Renews until cancelled. Raises LeaseLost where that has not worked in time."""
        while True:
            await asyncio.sleep(min(self._timing.retry, self._left()))
            try:
                async with asyncio.timeout(self._left()):
                    held = await self._attempt()
            except TimeoutError:
                raise LeaseLost(f"not renewed for {self._timing.deadline:.0f} s") from None
            if self._usurped:
                raise LeaseLost("another replica holds the Lease")
            if not held and self._left() == 0:
                raise LeaseLost(f"not renewed for {self._timing.deadline:.0f} s")

    def _left(self) -> float:
        """Seconds until we have to stop working, if no renewal succeeds."""
        return max(0.0, self._renewed + self._timing.deadline - self._clock())

    async def release(self) -> None:
        """Gives it back, so that the next one need not wait. Best effort: it expires anyway."""
        with contextlib.suppress(PostbaseError, TimeoutError):
            async with asyncio.timeout(self._timing.retry):
                live = await self._api.find(LEASE, self._namespace, self._name)
                if live is not None and live["spec"].get("holderIdentity") == self._identity:
                    await self._write(live, holder="")

    async def _attempt(self) -> bool:
        """One try to take or to renew; True where the Lease is ours afterwards."""
        began = self._clock()  # the Lease counts from before the request: it may have been slow
        try:
            # A renewal needs no look first: it is conditional on our own last write.
            live, self._ours = self._ours, None
            if live is None:
                live = await self._api.find(LEASE, self._namespace, self._name)
                if live is not None and not self._is_free(live):
                    return False
            self._ours = await self._write(live, holder=self._identity)
        except Conflict:
            return False
        except PostbaseError as error:
            logger.warning("the Lease cannot be reached", extra={"error": str(error)})
            return False
        self._renewed = began
        self._usurped = False  # ours now, whoever held it when it ran out
        return True

    def _is_free(self, live: Body) -> bool:
        holder = live["spec"].get("holderIdentity") or ""
        self._usurped = holder not in ("", self._identity)
        if not self._usurped:
            return True
        version = str(live["metadata"]["resourceVersion"])
        if self._seen is None or self._seen[0] != version:
            self._seen = (version, self._clock())
            return False
        granted = float(live["spec"].get("leaseDurationSeconds") or self._timing.duration)
        return self._clock() - self._seen[1] > max(granted, self._timing.duration)

    async def _write(self, live: Body | None, *, holder: str) -> Body:
        """Takes, renews or gives back; Conflict where somebody wrote after `live` was read."""
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        before: Body = {} if live is None else live["spec"]
        taken = before.get("holderIdentity") != holder
        spec = {
            "holderIdentity": holder,
            "leaseDurationSeconds": max(1, round(self._timing.duration)),
            "renewTime": now,
            "acquireTime": now if taken else before.get("acquireTime", now),
            "leaseTransitions": int(before.get("leaseTransitions") or 0) + int(taken),
        }
        if live is None:
            body: Body = {
                "apiVersion": LEASE.api_version,
                "kind": LEASE.kind,
                "metadata": {"name": self._name, "namespace": self._namespace},
                "spec": spec,
            }
            return await self._api.create(LEASE, self._namespace, body, MANAGER)
        return await self._api.replace(LEASE, self._namespace, {**live, "spec": spec}, MANAGER)
