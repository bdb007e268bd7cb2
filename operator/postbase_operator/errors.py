"""The roots of our errors, by meaning and not by source.

Raised anywhere, translated at three edges only: the reconcile loop (condition, back-off), the
gateway (HTTP status) and the jobs (exit code). Imports nothing of ours.
"""

from __future__ import annotations


class PostbaseError(Exception):
    """Root of all errors that this product raises on purpose."""


class InvalidSpec(PostbaseError):
    """A human must change the spec: reported once, not retried. `reason` is CamelCase."""

    def __init__(self, field: str, why: str, reason: str = "InvalidSpec") -> None:
        super().__init__(f"{field}: {why}")
        self.field, self.why, self.reason = field, why, reason


class NotReady(PostbaseError):
    """Something that others are working on is not there yet; asked again after `retry_after` s."""

    def __init__(self, what: str, retry_after: float = 5.0) -> None:
        super().__init__(what)
        self.retry_after = retry_after


class Conflict(PostbaseError):
    """Somebody else wrote first: read again, then decide again."""


class Unavailable(PostbaseError):
    """A service (Kubernetes, PostgreSQL, S3, Railway) did not answer as it should; retried."""

    def __init__(self, service: str, why: str, retry_after: float | None = None) -> None:
        super().__init__(f"{service}: {why}")
        self.service, self.retry_after = service, retry_after


class Throttled(Unavailable):
    """The service has said after how many seconds to ask again (Retry-After): not sooner, whatever
    happens meanwhile."""

    def __init__(self, service: str, why: str, retry_after: float) -> None:
        super().__init__(service, why, retry_after)
        self.seconds = retry_after


class Denied(PostbaseError):
    """A service refused what we asked for lack of a right; retried slowly, told at once."""

    def __init__(self, service: str, why: str) -> None:
        super().__init__(f"{service} refuses: {why}")
        self.service = service
