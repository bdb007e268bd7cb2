"""How many requests a token may still send: counted here, corrected by what Railway says of it.

Others may send with the same token. Of an hour they are counted by what is left, and looks get
rarer. Of a second nothing tells but a refusal: each halves our share, which comes back slowly, and
all wait for a time of their own, or those who were refused together would be so again for ever.

Railway counts by token, so all that send with one token share one of these. Two limits: so many a
second, for which a request waits, and so many a window (an hour), for which it does not: a worker
that sleeps for half an hour serves nobody, so the caller is told when to come again.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from postbase_operator.errors import Throttled, Unavailable

RAILWAY = "Railway API"
SECOND = 1.05
"""What counts as one: requests that leave us evenly may arrive in a bunch."""
SLACK = 1.0
"""Seconds after a window's end before the next one is used: the end is told in whole seconds."""
LOOK_AGAIN = 60.0
"""Seconds until what may not use the reserve asks anew."""
SHORT = 5.0
"""Seconds: a pause up to this is one of a second's limit, and a request waits for its end."""
SMALLEST_SHARE = 1 / 64
RECOVERS = 1 / 256
"""Of a second's share, for each answer: half of it is back after some hundred."""
LONGEST_PACE = 300.0
"""Seconds between looks, however many others look by the same token."""
LONGEST_SPAN = 10_000_000
"""Seconds (four months). A larger number is a moment since 1970, from 10^12 on in milliseconds."""


class Reserved(Unavailable):
    """What is left of the window is for changes: our own choice, and Railway was not asked."""


@dataclass(frozen=True, slots=True)
class Rates:
    """A plan's limits, until the first answer says otherwise. Defaults: Hobby's.

    `reserve` is the share of a window that is kept for what is urgent: looking at databases must
    never use up what it takes to mend or to delete one.
    """

    per_second: int = 10
    per_window: int = 1000
    window: float = 3600.0
    reserve: float = 0.1


FREE = Rates(per_second=2, per_window=100)  # of the second nothing is said: what is safe
HOBBY = Rates()
PRO = Rates(per_second=50, per_window=10_000)


@dataclass(frozen=True, slots=True)
class Said:
    """What the headers of an answer say; None where they say nothing. Times: seconds from now."""

    limit: int | None = None
    remaining: int | None = None
    reset: float | None = None
    retry_after: float | None = None


@dataclass(slots=True)
class Turn:
    """One request that may go out: the how many-th it is, in which window, and how many others
    were under way when it went, which may be served after it."""

    number: int
    window: int
    others: int


@dataclass(slots=True)
class Budget:
    """Raises Throttled where a request must not go out now; `clock` is monotonic, in seconds, and
    `sleep` waits by it."""

    rates: Rates = field(default_factory=Rates)
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    draw: Callable[[], float] = random.random
    _recent: deque[float] = field(default_factory=deque)
    _limit: int = 0
    _left: int = 0
    _ends: float | None = None
    _closed_until: float = 0.0
    _sent: int = 0
    _window: int = 0
    _under_way: int = 0
    _ours: float = 0.0
    _others: float = 0.0
    _heard: bool = False
    _share: float = 1.0

    @property
    def left(self) -> int:
        """Requests that may still go out in this window."""
        return max(0, self._left)

    @property
    def pace(self) -> float:
        """Seconds between looks that use up half of a window, and no more of it, together with
        those of others that use the token: each takes the part that it has in all requests."""
        alone = 2 * self.rates.window / (self._limit or self.rates.per_window)
        return max(alone, min(LONGEST_PACE, alone * self.crowd))

    @property
    def crowd(self) -> float:
        """How many times as many requests as ours the token sends; 1 where we are alone."""
        return 1.0 + max(0.0, self._others) / max(1.0, self._ours)

    async def take(self, *, urgent: bool) -> Turn:
        """Waits for the second's share, not for the window's. Give the Turn back with `settle`."""
        while True:
            while 0 < (pause := self._closed_until - self.clock()) <= SHORT:
                await self.sleep(pause + self.draw() * SECOND / self._share)
            turn = self.enter(urgent=urgent)
            wait = self._depart()
            if wait > 0:
                try:
                    await self.sleep(wait)
                except asyncio.CancelledError:
                    self.settle(turn, Said())
                    raise
            if self.clock() >= self._closed_until:
                return turn
            self.settle(turn, Said())  # refused to another one meanwhile

    def enter(self, *, urgent: bool) -> Turn:
        """Counts a request against the window. Raises Throttled, or where only the reserve is left
        Reserved: that one is soon asked again."""
        now = self.clock()
        if now < self._closed_until:
            raise Throttled(RAILWAY, "it has asked for a pause", self._closed_until - now)
        if self._ends is None or now >= self._ends:
            self._begin(now)
        why = f"{self.left} requests are left of {self._limit} in this window"
        if self._left <= 0:
            raise Throttled(RAILWAY, why, (self._ends or now) - now)
        if not urgent and self._left <= self._limit * self.rates.reserve:
            raise Reserved(RAILWAY, why, LOOK_AGAIN)
        turn = Turn(self._sent, self._window, self._under_way)
        self._left -= 1
        self._sent += 1
        self._ours += 1
        self._under_way += 1
        return turn

    def settle(self, turn: Turn, said: Said) -> None:
        """The answer is there, or there is none. What Railway says of the window stands over what
        was counted here, because others may use the same token."""
        now = self.clock()
        self._under_way -= 1
        if said.retry_after is not None:
            self._closed_until = max(self._closed_until, now + said.retry_after)
            if said.retry_after <= SHORT:
                self._share = max(SMALLEST_SHARE, self._share / 2)
        else:
            self._share = min(1.0, self._share + RECOVERS)
        if turn.window != self._window:
            return  # it tells of a window that is over
        known = self._heard and said.limit in (None, self._limit)
        if said.limit:
            self._limit = said.limit
        if said.reset:
            self._ends = now + said.reset + SLACK
        if said.retry_after is not None and said.remaining == 0:
            # Nothing is left until then: after a second's limit no hour is to be waited for.
            self._ends = self._closed_until
        if said.remaining is not None:
            # Less all that Railway may not have counted yet when it wrote this down.
            left = said.remaining - turn.others - (self._sent - turn.number - 1)
            # The first answer of a window tells of a time that we have not counted, and a refusal
            # of a second says that nothing is left.
            if known and said.retry_after is None:
                self._others += self._left - left
            self._left, self._heard = left, True

    def _begin(self, now: float) -> None:
        self._window += 1
        self._heard = False
        self._ours, self._others = self._ours / 2, self._others / 2  # who has gone is forgotten
        self._limit = self._limit or self.rates.per_window
        # Those under way may be served, and counted, in the window that begins here.
        self._left = self._limit - self._under_way
        self._ends = now + self.rates.window

    def _depart(self) -> float:
        """Seconds until this request may leave: never more than per_second within one second, and
        of these our share."""
        now, own = self.clock(), self.rates.per_second * self._share
        most = max(1, int(own))
        at = now
        if len(self._recent) >= most:
            at = max(now, self._recent[-1], self._recent[-most] + SECOND / min(1.0, own))
        while len(self._recent) >= max(1, self.rates.per_second):
            self._recent.popleft()
        self._recent.append(at)
        return at - now


def said(headers: Mapping[str, str], wall: float) -> Said:
    """Reads the headers of an answer (any case); `wall` is the time of day in seconds since 1970,
    for an answer without a Date: with one, a clock of ours that is wrong does no harm.

    Whether X-RateLimit-Reset is a moment or a span is written nowhere, so each is understood:
    seconds from now, seconds or milliseconds since 1970, or a date. Nonsense is as good as nothing.
    """
    lower = {name.lower(): value.strip() for name, value in headers.items()}
    wall = _moment(lower.get("date", "")) or wall
    return Said(
        _count(lower.get("x-ratelimit-limit")),
        _count(lower.get("x-ratelimit-remaining")),
        _seconds(lower.get("x-ratelimit-reset"), wall),
        _seconds(lower.get("retry-after"), wall),
    )


def _count(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() else None


def _seconds(text: str | None, wall: float) -> float | None:
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        moment = _moment(text)
        return None if moment is None else max(0.0, moment - wall)
    if not 0 <= number < 1e15:
        return None
    if number < LONGEST_SPAN:
        return number
    return max(0.0, (number / 1000 if number >= 1e12 else number) - wall)


def _moment(text: str) -> float | None:
    """Seconds since 1970 of a date as HTTP or ISO 8601 writes it."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


class Budgets:
    """One Budget for each token, whoever sends with it; `clock`, `sleep`, `draw` are theirs."""

    def __init__(
        self,
        rates: Rates = HOBBY,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._rates, self._clock, self._sleep, self._draw = rates, clock, sleep, draw
        self._of: dict[str, Budget] = {}

    def of(self, fingerprint: str) -> Budget:
        made = Budget(self._rates, self._clock, self._sleep, self._draw)
        return self._of.setdefault(fingerprint, made)
