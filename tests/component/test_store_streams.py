"""Long objects: in parts, with little memory, aborted where they fail, read on where cut."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta

import pytest

from component.store_server import plain_client, store_of
from postbase_operator.errors import InvalidSpec
from postbase_operator.objectstore import multipart
from postbase_operator.objectstore.multipart import MIB
from postbase_operator.objectstore.s3 import S3Store
from postbase_operator.objectstore.settings import StoreConfig
from postbase_operator.objectstore.store import AlreadyExists

PART = 5 * MIB
"""The least that S3 takes for a part that is not the last."""

LONG = os.urandom(MIB) * (2 * PART // MIB) + b"the end"
DIGEST = hashlib.sha256(LONG).hexdigest()


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart, "PART_SIZE", PART)


def pieces(data: bytes, size: int = 700_001) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def uploads(config: StoreConfig) -> list[str]:
    answer = plain_client(config).list_multipart_uploads(Bucket=config.bucket)
    return [upload["Key"] for upload in answer.get("Uploads", [])]


def test_a_stream_is_put_in_parts_and_read_again(s3_store: S3Store) -> None:
    stored = s3_store.put_stream("base/1.tar.zst", pieces(LONG), metadata={"kind": "piece"})
    assert (stored.size, stored.sha256) == (len(LONG), DIGEST)
    assert b"".join(s3_store.get_stream("base/1.tar.zst")) == LONG
    info = s3_store.stat("base/1.tar.zst")
    assert info.size == len(LONG)
    assert info.metadata["kind"] == "piece"
    assert info.etag.endswith('-3"')


def test_a_short_stream_is_one_put_with_its_sum(s3_store: S3Store) -> None:
    stored = s3_store.put_stream("short", [b"a", b"", b"b"])
    assert s3_store.stat("short").metadata == {"sha256": stored.sha256}
    assert s3_store.put_stream("nothing", []).size == 0


def test_the_same_stream_again_is_a_success_and_leaves_no_upload(
    s3_store: S3Store, s3_config: StoreConfig
) -> None:
    s3_store.put_stream("once", pieces(LONG))
    assert s3_store.put_stream("once", pieces(LONG)).sha256 == DIGEST
    with pytest.raises(AlreadyExists, match="once"):
        s3_store.put_stream("once", pieces(LONG[:-1] + b"!"))
    with pytest.raises(AlreadyExists, match="once"):
        s3_store.put_stream("once", pieces(LONG + b"!"))
    assert s3_store.stat("once").size == len(LONG)
    assert uploads(s3_config) == []


def test_the_same_without_conditional_put(s3_config: StoreConfig) -> None:
    store = store_of(s3_config, conditional_put=False)
    store.put_stream("once", pieces(LONG))
    store.put_stream("once", pieces(LONG))
    with pytest.raises(AlreadyExists):
        store.put_stream("once", pieces(LONG + b"!"))
    assert uploads(s3_config) == []


def test_a_stream_may_replace(s3_store: S3Store) -> None:
    s3_store.put("log", b"before")
    s3_store.put_stream("log", pieces(LONG), if_absent=False)
    assert s3_store.stat("log").size == len(LONG)


def test_a_source_that_fails_leaves_neither_object_nor_upload(
    s3_store: S3Store, s3_config: StoreConfig
) -> None:
    def failing() -> Iterator[bytes]:
        yield LONG
        raise RuntimeError("pg_dump has died")

    with pytest.raises(RuntimeError, match="pg_dump has died"):
        s3_store.put_stream("dump", failing())
    assert uploads(s3_config) == []
    assert list(s3_store.list("")) == []


KILLED = """
import os, sys
from component.store_server import store_of
from postbase_operator.objectstore.settings import StoreConfig
bucket, endpoint, key, secret = sys.argv[1:]
store = store_of(StoreConfig(bucket, endpoint, path_style=True, access_key_id=key,
                             secret_access_key=secret))
def chunks():
    for _ in range(4):
        yield bytes(16 << 20)
    os.kill(os.getpid(), 9)
store.put_stream("v1/u/base/1", chunks())
"""


def test_what_a_killed_writer_leaves_is_found_once_it_is_old(
    s3_store: S3Store, s3_config: StoreConfig
) -> None:
    config = s3_config
    keys = (config.access_key_id, config.secret_access_key)
    command = [sys.executable, "-c", KILLED, config.bucket, config.endpoint, *keys]
    done = subprocess.run(command, env={"PYTHONPATH": os.pathsep.join(sys.path)}, check=False)
    assert done.returncode == -9
    assert uploads(config) == ["v1/u/base/1"]
    assert s3_store.abort_orphans("v1/", timedelta(hours=1)) == 0
    assert s3_store.abort_orphans("v2/", timedelta(0)) == 0
    assert s3_store.abort_orphans("v1/", timedelta(0)) == 1
    assert uploads(config) == []


MEASURED = """
import resource, sys
from component.store_server import store_of
from postbase_operator.objectstore.settings import StoreConfig
bucket, endpoint, key, secret = sys.argv[1:]
store = store_of(StoreConfig(bucket, endpoint, path_style=True, access_key_id=key,
                             secret_access_key=secret))
store.put_stream("warm", [bytes(20 << 20)])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
store.put_stream("long", (bytes(1 << 20) for _ in range(400)))
for chunk in store.get_stream("long"):
    pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_memory_does_not_grow_with_the_object(s3_config: StoreConfig) -> None:
    config = s3_config
    keys = (config.access_key_id, config.secret_access_key)
    command = [sys.executable, "-c", MEASURED, config.bucket, config.endpoint, *keys]
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert int(done.stdout) < 40 * 1024  # KiB, above what a stream of 20 MiB took


def test_reading_begins_at_an_offset(s3_store: S3Store) -> None:
    s3_store.put("a", b"0123456789")
    assert b"".join(s3_store.get_stream("a", 7)) == b"789"
    assert b"".join(s3_store.get_stream("a", 10)) == b""
    with pytest.raises(InvalidSpec, match="offset"):
        list(s3_store.get_stream("a", 11))


def test_a_receiver_that_puts_and_gets_never_loads_boto3(s3_config: StoreConfig) -> None:
    code = KILLED.split("def chunks")[0] + (
        "store.put('a', b'x'); store.get('a'); store.stat('a'); store.delete('a')\n"
        "print([n for n in ('boto3', 'botocore') if n in sys.modules])"
    )
    code = code.replace("from component.store_server import store_of\n", "").replace(
        "store = store_of(", "from postbase_operator.objectstore.s3 import S3Store\nconfig = ("
    )
    code = code.replace("store.put('a'", "store = S3Store(lambda: config)\nstore.put('a'")
    config = s3_config
    keys = (config.access_key_id, config.secret_access_key)
    command = [sys.executable, "-c", code, config.bucket, config.endpoint, *keys]
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
