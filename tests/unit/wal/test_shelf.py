"""Bytes between threads, and objects on their way into a store that works, lags or fails."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from postbase_operator.archive.keys import Archive, ManifestKey, PhysicalFolder, PieceKey
from postbase_operator.archive.record import StoredObject
from postbase_operator.errors import Unavailable
from postbase_operator.objectstore.store import Stored
from postbase_operator.wal.pipe import BLOCK, Broken, Pipe
from postbase_operator.wal.shelf import Place, Shelf, digest

FOLDER = PhysicalFolder(
    Archive("4b1e4f5c-0000-4000-8000-000000000001", "7300000000000000001-1"),
    "bkp_jmpe6xaaabaabaaaaaaaaaaaae",
)


class Memory:
    """A sink; keys in `refused` fail, and those in `held` wait for their event."""

    def __init__(self, refused: str = "nothing", held: threading.Event | None = None) -> None:
        self.bodies: dict[str, bytes] = {}
        self.refused, self.held = refused, held

    def __call__(self, key: str, chunks: Iterator[bytes], /) -> Stored:
        if self.held is not None:
            self.held.wait(60)
        if self.refused in key:
            raise Unavailable("S3", "is away")
        body = b"".join(chunks)
        self.bodies[key] = body
        return Stored(key, len(body), hashlib.sha256(body).hexdigest())


def shelf(sink: Memory, workers: int = 2) -> Shelf:
    return Shelf(Place(sink, FOLDER, level=1), workers)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=BLOCK // 2), max_size=12), st.integers(1, 2 * BLOCK))
def test_a_pipe_gives_what_it_took(parts: list[bytes], limit: int) -> None:
    pipe = Pipe(limit)
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.extend(pipe))
    reader.start()
    for part in parts:
        pipe.write(part)
    pipe.close()
    reader.join()
    assert b"".join(found) == b"".join(parts)


def test_a_pipe_holds_no_more_than_its_limit() -> None:
    pipe = Pipe(2 * BLOCK)
    full = threading.Event()

    def write() -> None:
        for _ in range(2):
            pipe.write(bytes(BLOCK))
        full.set()
        pipe.write(bytes(BLOCK))
        full.clear()

    writer = threading.Thread(target=write)
    writer.start()
    assert full.wait(60)
    writer.join(0.1)
    assert writer.is_alive(), "the third block waits"
    next(iter(pipe))
    writer.join(60)
    assert not full.is_set()


def test_either_end_of_a_pipe_frees_the_other() -> None:
    pipe = Pipe(BLOCK)
    pipe.write(bytes(BLOCK))
    breaker = threading.Timer(0.05, pipe.break_off)
    breaker.start()
    with pytest.raises(Broken):
        pipe.write(bytes(BLOCK))
    with pytest.raises(Broken):
        list(pipe)
    breaker.join()


def test_objects_come_back_in_their_order_with_what_a_record_needs() -> None:
    sink = Memory()
    with shelf(sink) as store:
        for number in range(5):
            with store.object(PieceKey(FOLDER, number), compressed=True) as put:
                put(b"%d" % number * 1000)
        with store.object(ManifestKey(FOLDER), compressed=False) as put:
            put(b"manifest")
    *pieces, manifest = store.objects()
    assert [item.key for item in pieces] == [f"pieces/{n:06d}.tar.zst" for n in range(5)]
    for number, item in enumerate(pieces):
        body = sink.bodies[f"{FOLDER}{item.key}"]
        assert zstandard.decompress(body, max_output_size=1000) == b"%d" % number * 1000
        assert (item.raw_size, item.codec) == (1000, "zstd")
        assert (item.size, item.sha256) == (len(body), hashlib.sha256(body).hexdigest())
    assert (manifest.key, manifest.raw_size, manifest.codec) == ("backup_manifest", None, None)


@pytest.mark.parametrize("size", [10, 20 * BLOCK])
def test_the_error_of_the_store_is_what_is_raised(size: int) -> None:
    with pytest.raises(Unavailable, match="is away"), shelf(Memory(refused="000001")) as store:  # noqa: PT012
        for number in range(4):
            with store.object(PieceKey(FOLDER, number), compressed=True) as put:
                for _ in range(0, size, BLOCK):
                    put(bytes(min(size, BLOCK)))
        store.objects()


def test_an_object_that_was_not_finished_is_not_stored() -> None:
    sink = Memory()
    with pytest.raises(ValueError, match="the source"), shelf(sink) as store:  # noqa: PT012
        with store.object(PieceKey(FOLDER, 0), compressed=True) as put:
            put(b"whole")
        with store.object(PieceKey(FOLDER, 1), compressed=True) as put:
            put(bytes(BLOCK))
            raise ValueError("the source")
    assert set(sink.bodies) == {str(PieceKey(FOLDER, 0))}


def test_no_more_objects_at_a_time_than_workers() -> None:
    held = threading.Event()
    store = shelf(Memory(held=held), workers=1)
    begun: list[int] = []
    first = threading.Event()

    def work() -> None:
        for number in range(2):
            with store.object(PieceKey(FOLDER, number), compressed=True) as put:
                begun.append(number)
                first.set()
                put(b"x")

    worker = threading.Thread(target=work)
    with store:
        worker.start()
        assert first.wait(60)
        worker.join(0.1)
        assert begun == [0]
        held.set()
        worker.join(60)
    assert begun == [0, 1]


def test_the_digest_of_a_list_is_what_sha256sum_makes_of_its_lines() -> None:
    objects = [StoredObject(key=key, size=1, sha256=key * 64) for key in "ab"]
    lines = "a" * 64 + "  a\n" + "b" * 64 + "  b\n"
    assert digest(objects) == hashlib.sha256(lines.encode()).hexdigest()
