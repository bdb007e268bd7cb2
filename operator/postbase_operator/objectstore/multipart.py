"""An object of unknown length, in parts, two of them on their way at a time."""

from __future__ import annotations

import hashlib
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, TypeVar

from postbase_operator.objectstore.clients import Clients, Current, control
from postbase_operator.objectstore.retry import Limits, repeated
from postbase_operator.objectstore.store import NotFound, Stored, StoreUnavailable

T = TypeVar("T")

MIB = 1 << 20
PART_SIZE = 16 * MIB
MOST_PARTS = 10_000
IN_FLIGHT = 2
UPLOAD = "upload"
"""Key of an object's metadata: which upload made it."""


def part_size(expected: int) -> int:
    """Bytes of a part for an object of at most `expected` bytes: all alike, as some stores ask.

    A tenth is left over for a wrong estimate.
    """
    needed = expected // (MOST_PARTS * 9 // 10) + 1
    return max(PART_SIZE, -(-needed // MIB) * MIB)


def parts(chunks: Iterable[bytes], size: int) -> Iterator[bytearray]:
    """The same bytes in parts of `size`, the last one shorter; nothing for nothing.

    Each part is the taker's own: a copy would hold one part more in memory.
    """
    held, filled = bytearray(size), 0  # at once: one that grows is moved, and holds two
    for chunk in chunks:
        view = memoryview(chunk)
        while view:
            taken = view[: size - filled]
            held[filled : filled + len(taken)] = taken
            filled += len(taken)
            view = view[len(taken) :]
            if filled == size:
                yield held
                held, filled = bytearray(size), 0
    if filled:
        del held[filled:]
        yield held


def handed_on(ahead: deque[bytearray], rest: Iterator[bytearray]) -> Iterator[bytearray]:
    """One after another, holding none: `itertools.chain` keeps the first ones to the end."""
    while ahead:
        yield ahead.popleft()
    yield from rest


class Upload:
    """One multipart upload. Killed anywhere it leaves no object, but an orphan to abort later.

    boto3 and not obstore: only its completion can be conditional (If-None-Match).
    """

    def __init__(
        self, current: Current, limits: Limits, key: str, metadata: Mapping[str, str]
    ) -> None:
        self._current, self._limits, self._key = current, limits, key
        self._mark = uuid.uuid4().hex
        self._metadata = {**metadata, UPLOAD: self._mark}
        self._id = ""
        self._etags: list[str] = []
        self._sha256 = hashlib.sha256()
        self._size = 0

    def run(self, blocks: Iterator[bytearray], finish: Callable[[Upload], bool]) -> Stored:
        """Uploads the parts and calls `finish`, which completes it.

        Aborts on any error, and where `finish` says that the object is not this upload's.
        """
        self._begin()
        with ExitStack() as unfinished:
            unfinished.callback(self._abort)
            self._send(blocks)
            if finish(self):
                unfinished.pop_all()
        return self.stored

    @property
    def stored(self) -> Stored:
        """What was sent so far."""
        return Stored(self._key, self._size, self._sha256.hexdigest())

    def made(self, metadata: Mapping[str, str]) -> bool:
        """True where an object with this metadata is this upload's."""
        return metadata.get(UPLOAD) == self._mark

    def complete(self, *, if_absent: bool) -> None:
        """Makes the object seen; AlreadyExists, or NotFound where no such upload is left.

        Both may mean that it was completed and the answer was lost: ask `made`.
        """
        numbered: Any = [{"PartNumber": n, "ETag": e} for n, e in enumerate(self._etags, start=1)]
        condition: Any = {"IfNoneMatch": "*"} if if_absent else {}
        self._asked(
            "COMPLETE",
            lambda clients: clients.control.complete_multipart_upload(
                **self._named(clients),
                MultipartUpload={"Parts": numbered},
                **condition,
            ),
        )

    def _begin(self) -> None:
        def request(clients: Clients) -> str:
            config = clients.config
            wanted = {"ServerSideEncryption": config.sse, "SSEKMSKeyId": config.kms_key_id}
            encryption: Any = {name: value for name, value in wanted.items() if value}
            made = clients.control.create_multipart_upload(
                Bucket=config.bucket,
                Key=config.full_key(self._key),
                Metadata=self._metadata,
                **encryption,
            )
            return made["UploadId"]

        self._id = self._asked("BEGIN", request)

    def _send(self, blocks: Iterator[bytearray]) -> None:
        waiting: deque[Future[str]] = deque()
        with ThreadPoolExecutor(IN_FLIGHT, "upload") as pool:
            try:
                for number, block in enumerate(blocks, start=1):
                    if len(waiting) == IN_FLIGHT:
                        self._etags.append(waiting.popleft().result())
                    self._sha256.update(block)
                    self._size += len(block)
                    waiting.append(pool.submit(self._part, number, block))
                self._etags.extend(part.result() for part in waiting)
            finally:
                # What has not begun never does; what has is waited for: a part that arrives
                # after the abort would stay in the store, unseen and paid for.
                pool.shutdown(cancel_futures=True)

    def _part(self, number: int, block: bytearray) -> str:
        body: Any = block  # the stubs know no bytearray; botocore does
        return self._asked(
            f"PART {number} of",
            lambda clients: clients.control.upload_part(
                **self._named(clients), PartNumber=number, Body=body
            )["ETag"],
        )

    def _abort(self) -> None:
        try:
            self._asked(
                "ABORT",
                lambda clients: clients.control.abort_multipart_upload(**self._named(clients)),
            )
        except (NotFound, StoreUnavailable):
            return  # completed, or the store is away: abort_orphans finds what is left

    def _asked(self, verb: str, request: Callable[[Clients], T]) -> T:
        def once() -> T:
            clients = self._current()
            with control(f"{verb} {self._key}", clients.config):
                return request(clients)

        return repeated(self._limits, once)

    def _named(self, clients: Clients) -> Any:
        config = clients.config
        return {
            "Bucket": config.bucket,
            "Key": config.full_key(self._key),
            "UploadId": self._id,
        }
