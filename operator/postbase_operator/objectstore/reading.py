"""A long body in one piece, however often the connection is cut. PURE but for the waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from postbase_operator.objectstore.retry import Attempts, Limits
from postbase_operator.objectstore.store import Reason, StoreUnavailable


@dataclass(frozen=True, slots=True)
class Body:
    """An opened object: its whole size in bytes, its version's name, its bytes from some offset."""

    size: int
    etag: str
    chunks: Iterator[bytes]


Open = Callable[[int, str], Body]
"""(offset, etag) → body from there; with an etag only that version, else AlreadyExists."""


def resumed(key: str, opened: Open, offset: int, limits: Limits) -> Iterator[bytes]:
    """The bytes from `offset` to the end, each once.

    Opens again after a StoreUnavailable that may pass and after a body that ended early; the tries
    are counted from the last byte that came.
    """
    attempts = Attempts(limits)
    at, etag, size = offset, "", -1
    while True:
        try:
            body = opened(at, etag)
            etag, size = body.etag, body.size
            for chunk in body.chunks:
                at += len(chunk)
                attempts.refill()
                yield chunk
            if at > size:
                why = f"GET {key}: {at} bytes came of an object of {size}"
                raise StoreUnavailable(Reason.UNREACHABLE, why)
            if at < size:
                why = f"GET {key}: cut after {at} of {size} bytes"
                raise StoreUnavailable(Reason.UNREACHABLE, why, passing=True)
            return
        except StoreUnavailable as error:
            if at == size:  # cut after the last byte: there is no range to ask for
                return
            attempts.failed(error)
