"""How the store does, as those see it who write into it. Thread-safe."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime

from postbase_operator.archive.receiver import Failure, FailureReason
from postbase_operator.errors import Denied, InvalidSpec, PostbaseError, Unavailable
from postbase_operator.objectstore.store import StoreDenied, StoreUnavailable
from postbase_operator.wal.connection import ServerError

SMOOTHING = 0.2
LONGEST_MESSAGE = 500

OBJECT_IN_USE = "55006"


class Refused(PostbaseError):
    """The archive, or the server, is not the one that it should be. Nothing is written."""

    def __init__(self, reason: FailureReason, why: str) -> None:
        super().__init__(why)
        self.reason = reason


class Health:
    """What went wrong last, and since when the store fails."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.errors = 0
        self.last: Failure | None = None
        self.store_failing_since: datetime | None = None
        self._failing = 0.0
        self.put_seconds = 0.0
        """What a write takes, smoothed."""
        self.last_put = time.monotonic()
        """When something was written last, by the monotonic clock."""

    def wrote(self, seconds: float) -> None:
        """The store has taken something."""
        with self._lock:
            self.put_seconds += SMOOTHING * (seconds - self.put_seconds)
            self.last_put = time.monotonic()
            self.store_failing_since = None

    def answered(self) -> None:
        """The store has answered something other than a write."""
        with self._lock:
            self.store_failing_since = None

    def failed(self, error: PostbaseError) -> None:
        now = datetime.now(UTC)
        with self._lock:
            self.errors += 1
            self.last = Failure(
                reason=reason_of(error), message=str(error)[:LONGEST_MESSAGE], at=now
            )
            of_store = isinstance(error, StoreUnavailable | StoreDenied)
            if of_store and self.store_failing_since is None:
                self.store_failing_since, self._failing = now, time.monotonic()

    def tell(self, reason: FailureReason, message: str) -> None:
        """Of what is no error of ours; the same again is no news."""
        with self._lock:
            if self.last is None or (self.last.reason, self.last.message) != (reason, message):
                self.errors += 1
                self.last = Failure(reason=reason, message=message, at=datetime.now(UTC))

    def store_failing_for(self, now: float) -> float:
        """Seconds; 0 while it serves."""
        with self._lock:
            return 0.0 if self.store_failing_since is None else now - self._failing


def reason_of(error: PostbaseError) -> FailureReason:
    match error:
        case Refused():
            return error.reason
        case InvalidSpec():
            return FailureReason.INVALID_CONFIG
        case StoreDenied():
            return FailureReason.STORE_DENIED
        case StoreUnavailable():
            return FailureReason.STORE_UNAVAILABLE
        case Denied():
            return FailureReason.SERVER_DENIED
        case ServerError() if error.sqlstate == OBJECT_IN_USE:
            return FailureReason.SLOT_IN_USE
        case Unavailable():
            return FailureReason.SERVER_UNREACHABLE
        case _:
            return FailureReason.FAILED
