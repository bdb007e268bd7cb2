"""What may be asked to go wrong with the next calls of an operation."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from railway.errors import PROBLEM, shaped
from railway.execution import Answer, told

if TYPE_CHECKING:
    from railway.double import RailwayDouble

HTML = "<!DOCTYPE html><html><head><title>{0}</title></head><body>{0}</body></html>"


@dataclass
class Fault:
    """By default nothing: the call goes its way."""

    def before(self, double: RailwayDouble, field: str) -> Answer | None:
        """An answer in place of the call."""
        return None

    def after(self, double: RailwayDouble, answer: Answer) -> Answer:
        return answer


@dataclass
class TooMany(Fault):
    """§2: 429 with `Retry-After` and the headers of the limit; [U] its body."""

    retry_after: float | None = 30

    def before(self, double: RailwayDouble, field: str) -> Answer | None:
        return too_many(self.retry_after)


def too_many(retry_after: float | None) -> Answer:
    headers = {"X-RateLimit-Remaining": "0"}
    if retry_after is not None:
        headers["Retry-After"] = str(max(1, round(retry_after)))
    answer = told(None, [shaped("Too Many Requests", None, "RATE_LIMITED")], 429)
    answer.headers = headers
    return answer


@dataclass
class Gateway(Fault):
    """§2: 502, 503, 504; volumeCreate was done and answered 504 after 30 s [3]."""

    status: int = 504
    done: bool = True

    def _answer(self) -> Answer:
        text = HTML.format(f"{self.status} Gateway")
        return Answer(self.status, text, content_type="text/html")

    def before(self, double: RailwayDouble, field: str) -> Answer | None:
        return None if self.done else self._answer()

    def after(self, double: RailwayDouble, answer: Answer) -> Answer:
        return self._answer()


@dataclass
class Lost(Fault):
    """Done, and the connection ends without an answer."""

    def after(self, double: RailwayDouble, answer: Answer) -> Answer:
        return Answer(lost=True)


@dataclass
class Blocked(Fault):
    """§2: Cloudflare's page, not JSON; [U] its status, so 200 and 403 both."""

    status: int = 403

    def before(self, double: RailwayDouble, field: str) -> Answer | None:
        text = HTML.format("Attention Required! | Cloudflare")
        return Answer(self.status, text, content_type="text/html")


@dataclass
class Problem(Fault):
    """§2: "Problem processing request", no path, no code: unknown whether it was done."""

    done: bool = True

    def _answer(self) -> Answer:
        return told(None, [shaped(PROBLEM, None, None)])

    def before(self, double: RailwayDouble, field: str) -> Answer | None:
        return None if self.done else self._answer()

    def after(self, double: RailwayDouble, answer: Answer) -> Answer:
        return self._answer()


@dataclass
class Refuses(Fault):
    """Not done; an error of Railway's with this message, such as `errors.VOLUMES_TOO_QUICKLY`."""

    message: str

    def before(self, double: RailwayDouble, field: str) -> Answer | None:
        return told(None, [shaped(self.message, [field])])


@dataclass
class NotFoundFor(Fault):
    """§1 step 5, of serviceCreate: "ServiceInstance not found" for so long after it."""

    seconds: float = 8

    def before(self, double: RailwayDouble, field: str) -> Answer | None:
        double.world.not_found_for.append(self.seconds)
        return None


@dataclass
class PatchRejected(Fault):
    """§2, of a commit: says success, and is rejected later."""

    error: str = "Max size of 5000 MB on current plan. Please select a valid size or upgrade"

    def before(self, double: RailwayDouble, field: str) -> Answer | None:
        double.world.rejections.append(self.error)
        return None


@dataclass
class Crashes(Fault):
    """Of a deploy: the next starts of a container fail; more than 10 make it CRASHED (§1)."""

    starts: int = 11

    def before(self, double: RailwayDouble, field: str) -> Answer | None:
        double.world.crashes["*"] += self.starts
        return None


@dataclass
class Stale(Fault):
    """Of a mutation: queries show what was before it, for so long."""

    seconds: float = 5

    def before(self, double: RailwayDouble, field: str) -> Answer | None:
        until = double.world.clock.now() + self.seconds
        double.old_state = (copy.deepcopy(double.world.state), until)
        return None


@dataclass
class Revoked(Fault):
    """The token is revoked right before the call."""

    def before(self, double: RailwayDouble, field: str) -> Answer | None:
        for token in double.world.state.tokens.values():
            token.revoked = True
        return None


@dataclass
class Rule:
    operation: str
    fault: Fault
    times: int
    used: int = field(default=0)
