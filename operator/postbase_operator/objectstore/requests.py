"""Single requests of several lines, each sent once; `s3` repeats them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import obstore
from obstore.exceptions import BaseError

from postbase_operator.objectstore import faults
from postbase_operator.objectstore.clients import Clients, hot
from postbase_operator.objectstore.reading import Body
from postbase_operator.objectstore.store import AlreadyExists, NotFound, ObjectInfo

CHUNK = 1 << 20
"""Bytes of a chunk of a streamed body, at least, but for its last."""


def stat(clients: Clients, key: str) -> ObjectInfo:
    """HEAD; where that says no, GET: only its answer has a body that tells why.

    A wrong access key, a bucket that is gone and a missing object are all a bare 404 to HEAD on
    some store, and a missing object makes a restore end where it should not.
    """
    path = clients.config.full_key(key)
    try:
        return _info(key, obstore.get(clients.quick, path, options={"head": True}))
    except (BaseError, FileNotFoundError) as error:
        answer = faults.parsed(str(error))
        if answer is None or answer.code or answer.status >= 500:
            raise
    return _info(key, obstore.get(clients.quick, path))


def must_be_free(clients: Clients, key: str) -> None:
    """AlreadyExists where an object has the key."""
    try:
        with hot(f"HEAD {key}", clients.config):
            stat(clients, key)
    except NotFound:
        return
    raise AlreadyExists(f"{key} is already in the store")


def opened(clients: Clients, key: str, at: int, etag: str) -> Body:
    """GET from byte `at` on; with an etag only of that version."""
    options: Any = {"range": {"offset": at}} if at else {}
    if etag:
        options["if_match"] = etag
    path = clients.config.full_key(key)
    answer = obstore.get(clients.streaming, path, options=options)
    info = _info(key, answer)

    def chunks() -> Iterator[bytes]:
        with hot(f"GET {key}", clients.config):
            for chunk in answer.stream(min_chunk_size=CHUNK):
                yield bytes(chunk)

    return Body(info.size, info.etag, chunks())


def abort_orphans(clients: Clients, prefix: str, before: datetime) -> int:
    """Aborts uploads that began before a moment of the store's clock; how many."""
    config = clients.config
    pages = clients.control.get_paginator("list_multipart_uploads").paginate(
        Bucket=config.bucket, Prefix=config.full_key(prefix)
    )
    old = [
        (upload["Key"], upload["UploadId"])
        for page in pages
        for upload in page.get("Uploads", ())
        if upload["Initiated"] < before
    ]
    for key, upload_id in old:
        clients.control.abort_multipart_upload(Bucket=config.bucket, Key=key, UploadId=upload_id)
    return len(old)


def _info(key: str, answer: obstore.GetResult) -> ObjectInfo:
    meta = answer.meta
    metadata = {k: v for k, v in answer.attributes.items() if k.islower()}
    return ObjectInfo(key, meta["size"], meta["e_tag"] or "", meta["last_modified"], metadata)
