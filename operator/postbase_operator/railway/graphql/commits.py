"""Our commits to an environment, each followed to its real end.

A commit says success and is applied later, whole or not at all. So it is never taken for done: its
message finds it again in the list of commits, also after a kill, and the caller looks at what it
was to change. What other people have staged is not touched: only the commit of what is staged would
carry it out, and that is never asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from postbase_operator.errors import NotReady
from postbase_operator.railway.graphql import changes, patches, reads
from postbase_operator.railway.graphql.faults import UnknownOutcome
from postbase_operator.railway.graphql.sight import Sight

LOOK_AGAIN = 2.0
REJECTED_AGAIN = 900.0
"""Seconds until a commit that was rejected is tried again: a plan may be a larger one by then."""


@dataclass(slots=True)
class Commits:
    """`settles`: seconds after which what does not show in a list is not there."""

    sight: Sight
    settles: float
    _since: dict[str, float] = field(default_factory=dict)
    """By message: when it was sent, or when its end was first seen, by the monotonic clock."""

    async def make(self, patch: Mapping[str, Any], message: str) -> None:
        """Asked for while its effect does not show. Raises NotReady until that does, or why it was
        rejected (PlanLimit, Refused)."""
        found = await reads.recent_patches(self.sight.client, self.sight.place.environment_id)
        now, ours = self.sight.clock(), any(each.message == message for each in found)
        waited = now - self._since[message] if message in self._since else None
        self.sight.changed()
        if ours:
            verdict = patches.verdict(found, message)
            if isinstance(verdict, NotReady):
                raise verdict
            self._since.setdefault(message, now)
            if verdict is not None and (waited is None or waited < REJECTED_AGAIN):
                raise verdict
            if verdict is None and (waited is None or waited < self.settles):
                raise NotReady(f"what the commit {message!r} has made is not seen yet", LOOK_AGAIN)
        elif waited is not None and waited < self.settles:
            raise NotReady(f"the commit {message!r} is not listed yet", LOOK_AGAIN)
        try:
            await changes.commit(self.sight.client, self.sight.place, patch, message)
        except UnknownOutcome:
            self._since[message] = now
            raise
        self._since[message] = now
        raise NotReady(f"Railway applies the commit {message!r}", LOOK_AGAIN)
