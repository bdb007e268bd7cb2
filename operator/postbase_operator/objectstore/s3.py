"""An object store that speaks S3.

obstore where bytes are hot (an eighth of boto3's CPU for a small PUT), boto3 for lists, links and
multipart uploads. Create-if-absent is `If-None-Match: *`; a store that does not know it (the probe
tells) is asked whether the key is free, which leaves a moment in which two writers both find it so.
"""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import obstore

from postbase_operator.errors import Conflict, InvalidSpec
from postbase_operator.objectstore import multipart, requests
from postbase_operator.objectstore.clients import Clients, Current, Source, control, hot
from postbase_operator.objectstore.faults import Answer, of_answer
from postbase_operator.objectstore.multipart import Upload
from postbase_operator.objectstore.reading import Body, resumed
from postbase_operator.objectstore.retry import Limits, repeated
from postbase_operator.objectstore.settings import Mounted
from postbase_operator.objectstore.store import (
    SHA256,
    AlreadyExists,
    NotFound,
    ObjectInfo,
    Stored,
    StoreDenied,
)

T = TypeVar("T")

PAGE = 1000
"""Keys that one request lists or deletes; S3's limit."""

LONGEST_LINK = timedelta(days=7)


def open_store(folder: Path) -> S3Store:
    """The store that a mounted Secret describes; follows the Secret."""
    return S3Store(Mounted(folder))


class S3Store:
    """See `ObjectStore`. `source` is asked before each request: a new configuration counts."""

    def __init__(self, source: Source, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._current = Current(source, self._limits)

    def put(
        self,
        key: str,
        body: bytes | bytearray,
        *,
        if_absent: bool = True,
        metadata: Mapping[str, str] | None = None,
    ) -> Stored:
        stored = Stored(key, len(body), hashlib.sha256(body).hexdigest())
        attributes = {**(metadata or {}), SHA256: stored.sha256}

        def request(clients: Clients) -> None:
            conditional = if_absent and clients.config.conditional_put
            if if_absent and not conditional:
                requests.must_be_free(clients, key)
            obstore.put(
                clients.quick,
                clients.config.full_key(key),
                body,
                attributes=attributes,
                mode="create" if conditional else "overwrite",
                use_multipart=False,
            )

        try:
            self._hot(f"PUT {key}", request)
        except AlreadyExists:
            self._must_be_same(self._there(key), stored)
        return stored

    def put_stream(
        self,
        key: str,
        chunks: Iterable[bytes],
        *,
        if_absent: bool = True,
        metadata: Mapping[str, str] | None = None,
        expected_size: int = 0,
    ) -> Stored:
        blocks = multipart.parts(chunks, multipart.part_size(expected_size))
        ahead = deque(islice(blocks, 2))
        if len(ahead) < 2:
            body = ahead.popleft() if ahead else b""
            return self.put(key, body, if_absent=if_absent, metadata=metadata)
        upload = Upload(self._current, self._limits, key, metadata or {})
        all_parts = multipart.handed_on(ahead, blocks)
        return upload.run(all_parts, lambda upload: self._complete(upload, if_absent))

    def get(self, key: str) -> bytes:
        def request(clients: Clients) -> bytes:
            answer = obstore.get(clients.quick, clients.config.full_key(key))
            return bytes(answer.bytes())

        return self._hot(f"GET {key}", request)

    def get_head(self, key: str, size: int) -> bytes:
        def request(clients: Clients) -> bytes:
            path = clients.config.full_key(key)
            return bytes(obstore.get_range(clients.quick, path, start=0, length=size))

        return self._hot(f"GET {key}", request)

    def get_stream(self, key: str, offset: int = 0) -> Iterator[bytes]:
        if offset:
            size = self.stat(key).size
            if offset > size:
                raise InvalidSpec("offset", f"{offset} lies beyond {key}, which has {size} bytes")
            if offset == size:
                return
        yield from resumed(key, self._opening(key), offset, self._limits)

    def list(self, prefix: str, after: str | None = None) -> Iterator[ObjectInfo]:
        while True:
            page, more = self._page(prefix, after)
            yield from page
            if not more or not page:
                return
            after = page[-1].key

    def stat(self, key: str) -> ObjectInfo:
        return self._hot(f"HEAD {key}", lambda clients: requests.stat(clients, key))

    def delete(self, key: str) -> None:
        def request(clients: Clients) -> None:
            obstore.delete(clients.quick, clients.config.full_key(key))

        try:
            self._hot(f"DELETE {key}", request)
        except NotFound:
            return

    def delete_many(self, keys: Iterable[str]) -> None:
        waiting = iter(keys)
        while page := tuple(islice(waiting, PAGE)):
            self._delete_page(page)

    def presign(self, key: str, expires: timedelta, filename: str) -> str:
        if not timedelta(0) < expires <= LONGEST_LINK:
            raise InvalidSpec("expires", f"must be up to {LONGEST_LINK.days} days, not {expires}")
        clients = self._current()
        name = re.sub(r"[^\w. -]", "_", filename, flags=re.ASCII)
        with control(f"LINK {key}", clients.config):
            return clients.links.generate_presigned_url(
                "get_object",
                Params={
                    "Bucket": clients.config.bucket,
                    "Key": clients.config.full_key(key),
                    "ResponseContentDisposition": f'attachment; filename="{name}"',
                },
                ExpiresIn=int(expires.total_seconds()),
            )

    def abort_orphans(self, prefix: str, older_than: timedelta) -> int:
        before = datetime.now(UTC) - older_than
        return self._control(
            f"ABORT ORPHANS {prefix}",
            lambda clients: requests.abort_orphans(clients, prefix, before),
        )

    def versioned(self) -> bool:
        def request(clients: Clients) -> bool:
            answer = clients.control.get_bucket_versioning(Bucket=clients.config.bucket)
            return answer.get("Status") == "Enabled"

        try:
            return self._control("GET versioning", request)
        except StoreDenied:
            return False  # a right that nothing else needs

    def _complete(self, upload: Upload, if_absent: bool) -> bool:
        """Completes it; False where the same object was there already."""
        stored, config = upload.stored, self._current().config
        try:
            if if_absent and not config.conditional_put:
                self._hot(
                    f"HEAD {stored.key}", lambda clients: requests.must_be_free(clients, stored.key)
                )
            upload.complete(if_absent=if_absent and config.conditional_put)
            return True
        except (AlreadyExists, NotFound) as error:
            # Either may hide a completion whose answer was lost: the mark tells.
            there = self._there(stored.key)
            if upload.made(there.metadata):
                return True
            if isinstance(error, NotFound):
                raise Conflict(f"{stored.key}: somebody aborted this upload") from error
            self._must_be_same(there, stored)
            return False

    def _there(self, key: str) -> ObjectInfo:
        try:
            return self.stat(key)
        except NotFound:
            raise Conflict(f"{key}: somebody removes it while it is written") from None

    def _must_be_same(self, there: ObjectInfo, stored: Stored) -> None:
        """Compares by the recorded sum, else (an object that came in parts) by its bytes."""
        recorded = there.metadata.get(SHA256, "")
        if there.size == stored.size and not recorded:
            digest = hashlib.sha256()
            for chunk in self.get_stream(there.key):
                digest.update(chunk)
            recorded = digest.hexdigest()
        if there.size != stored.size or recorded != stored.sha256:
            raise AlreadyExists(f"{there.key} is already in the store, with other bytes")

    def _opening(self, key: str) -> Callable[[int, str], Body]:
        def opened(at: int, etag: str) -> Body:
            clients = self._current()
            try:
                with hot(f"GET {key}", clients.config):
                    return requests.opened(clients, key, at, etag)
            except AlreadyExists:
                raise Conflict(f"{key} was replaced while it was read") from None

        return opened

    def _page(self, prefix: str, after: str | None) -> tuple[Sequence[ObjectInfo], bool]:
        def request(clients: Clients) -> tuple[Sequence[ObjectInfo], bool]:
            config = clients.config
            # From the last key on and not by the store's token: it can be asked again later.
            beyond: Any = {"StartAfter": config.full_key(after)} if after else {}
            answer = clients.control.list_objects_v2(
                Bucket=config.bucket, Prefix=config.full_key(prefix), MaxKeys=PAGE, **beyond
            )
            found = tuple(
                ObjectInfo(
                    config.relative_key(one["Key"]), one["Size"], one["ETag"], one["LastModified"]
                )
                for one in answer.get("Contents", ())
            )
            return found, answer["IsTruncated"]

        return self._control(f"LIST {prefix}", request)

    def _delete_page(self, keys: Sequence[str]) -> None:
        def request(clients: Clients) -> None:
            config = clients.config
            objects: Any = [{"Key": config.full_key(key)} for key in keys]
            answer = clients.control.delete_objects(
                Bucket=config.bucket,
                Delete={"Objects": objects, "Quiet": True},
            )
            for error in answer.get("Errors", ()):
                told = Answer(200, error.get("Code", ""), error.get("Message", ""))
                name = config.relative_key(error.get("Key", ""))
                raise of_answer(f"DELETE {name}", told, config.secrets)

        self._control(f"DELETE {len(keys)} objects", request)

    def _hot(self, name: str, request: Callable[[Clients], T]) -> T:
        def once() -> T:
            clients = self._current()
            with hot(name, clients.config):
                return request(clients)

        return repeated(self._limits, once)

    def _control(self, name: str, request: Callable[[Clients], T]) -> T:
        def once() -> T:
            clients = self._current()
            with control(name, clients.config):
                return request(clients)

        return repeated(self._limits, once)
