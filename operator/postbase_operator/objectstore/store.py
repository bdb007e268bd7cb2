"""What the rest of the product asks of an object store, and how a store says no.

Synchronous: jobs are threads, the operator calls it by `asyncio.to_thread`. Keys are relative to
the store's folder (`prefix`), with `/` between their parts. Every method may raise StoreUnavailable
or StoreDenied; retries are over by then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from postbase_operator.errors import Conflict, Denied, PostbaseError, Unavailable

SERVICE = "the object store"
SHA256 = "sha256"
"""Key of an object's metadata: hex SHA-256 of its bytes, where they were known beforehand."""


class Reason(StrEnum):
    """Why a store does not serve; the words of conditions."""

    NO_SUCH_BUCKET = "NoSuchBucket"
    DENIED = "Denied"
    WRONG_REGION = "WrongRegion"
    CLOCK_SKEW = "ClockSkew"
    TLS_FAILED = "TLSFailed"
    UNREACHABLE = "Unreachable"
    NO_CONDITIONAL_PUT = "NoConditionalPut"


class NotFound(PostbaseError):
    """The store said that there is no such object: never a guess from a bare 404."""


class AlreadyExists(Conflict):
    """Another object has the key, with other bytes."""


class StoreUnavailable(Unavailable):
    """The store did not do it. `passing`: the same request may succeed when sent again."""

    def __init__(self, reason: Reason, why: str, *, passing: bool = False) -> None:
        super().__init__(SERVICE, why)
        self.reason, self.passing = reason, passing


class StoreDenied(Denied):
    """The store knows the caller not, or not for this."""

    reason = Reason.DENIED

    def __init__(self, why: str) -> None:
        super().__init__(SERVICE, why)


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One object. `size` in bytes; `modified` by the store's clock."""

    key: str
    size: int
    etag: str
    modified: datetime
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Only `stat` fills it; a listing does not have it."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What a put has made durable: bytes, and their SHA-256 in hex."""

    key: str
    size: int
    sha256: str


class ObjectStore(Protocol):
    """A folder in a bucket."""

    def put(
        self,
        key: str,
        body: bytes,
        *,
        if_absent: bool = True,
        metadata: Mapping[str, str] | None = None,
    ) -> Stored:
        """Writes one object; durable when it returns.

        With `if_absent` an object that is there already is a success where its bytes are the
        same, so that a put can be repeated, and AlreadyExists where they are not.
        """

    def put_stream(
        self,
        key: str,
        chunks: Iterable[bytes],
        *,
        if_absent: bool = True,
        metadata: Mapping[str, str] | None = None,
        expected_size: int = 0,
    ) -> Stored:
        """As `put`, from chunks of any size, holding three parts of it in memory (48 MiB).

        `expected_size` (bytes, an upper estimate) matters above 140 GiB: the parts grow with it.
        Nothing of it can be seen before the last byte is there. An error of `chunks` aborts it.
        """

    def get(self, key: str) -> bytes:
        """The whole object; NotFound."""

    def get_head(self, key: str, size: int) -> bytes:
        """The first `size` bytes of an object, or all where it has fewer; NotFound."""

    def get_stream(self, key: str, offset: int = 0) -> Iterator[bytes]:
        """The object from byte `offset` on; NotFound.

        A connection that is cut is taken up at the byte where it was. What was yielded when it
        ends without an error is complete; an object that was replaced meanwhile is a Conflict.
        """

    def list(self, prefix: str, after: str | None = None) -> Iterator[ObjectInfo]:
        """Objects whose keys begin with `prefix`, in the order of their keys, beyond `after`."""

    def stat(self, key: str) -> ObjectInfo:
        """What is known of one object; NotFound."""

    def delete(self, key: str) -> None:
        """Removes one object; that it is gone already is fine."""

    def delete_many(self, keys: Iterable[str]) -> None:
        """Removes objects, a thousand a request."""

    def presign(self, key: str, expires: timedelta, filename: str) -> str:
        """A link by which anybody reads the object until it expires; nothing is asked."""

    def abort_orphans(self, prefix: str, older_than: timedelta) -> int:
        """Removes uploads under `prefix` that nobody finished; how many there were."""

    def versioned(self) -> bool:
        """True where the bucket keeps what is deleted, which then costs space for ever."""
