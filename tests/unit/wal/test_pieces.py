"""Tars made by the standard library, cut anywhere by the network, come out as the same pieces."""

from __future__ import annotations

import io
import itertools
import tarfile
from collections.abc import Iterable, Iterator
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postbase_operator.wal.pieces import LAST, TERMINATOR, Sizes, cut
from postbase_operator.wal.protocol import ProtocolError

SMALL = Sizes(full=4096, most=8192)
Member = tuple[str, bytes]
names = st.text("abcdefghij/", min_size=1, max_size=140).map(lambda name: "d/" + name)
members = st.lists(st.tuples(names, st.integers(0, 12_000).map(lambda n: b"x" * n)), max_size=12)


def archive(
    content: Iterable[Member], form: int = tarfile.USTAR_FORMAT, *, terminated: bool = True
) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for name, data in content:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        end = tar.offset
    return buffer.getvalue()[:end] + (TERMINATOR if terminated else b"")


def control(data: bytes = b"control") -> Member:
    return LAST, data


def pieces(stream: Iterable[bytes], sizes: Sizes = SMALL) -> list[bytes]:
    numbered = itertools.groupby(cut(stream, sizes), key=lambda item: item[0])
    return [b"".join(data for _, data in part) for _, part in numbered]


def split(raw: bytes, at: Iterable[int]) -> Iterator[bytes]:
    edges = sorted({0, len(raw), *(min(cut, len(raw)) for cut in at)})
    yield b""
    for start, end in itertools.pairwise(edges):
        yield raw[start:end]


def contents(piece: bytes) -> list[Member]:
    with tarfile.open(fileobj=io.BytesIO(piece)) as tar:
        return [(info.name, tar.extractfile(info).read()) for info in tar]  # type: ignore[union-attr]


@settings(deadline=None)
@given(
    members,
    st.lists(st.integers(0, 60_000), max_size=20),
    st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    st.booleans(),
)
def test_any_split_gives_the_same_pieces_and_all_members_byte_for_byte(
    content: list[Member], at: list[int], form: int, terminated: bool
) -> None:
    content = [*content, control()]
    raw = archive(content, form, terminated=terminated)
    found = pieces(split(raw, at))
    assert found == pieces([raw])
    assert all(piece.endswith(TERMINATOR) for piece in found)
    joined = b"".join(piece.removesuffix(TERMINATOR) for piece in found)
    assert joined == raw.removesuffix(TERMINATOR if terminated else b"")
    assert [member for piece in found for member in contents(piece)] == contents(raw)
    for piece in found:
        assert len(piece) - len(TERMINATOR) <= SMALL.most or len(contents(piece)) == 1


def test_byte_by_byte() -> None:
    raw = archive([("a", b"1" * 700), ("b" * 120, b""), control()], tarfile.GNU_FORMAT)
    assert pieces(bytes([byte]) for byte in raw) == pieces([raw])


def sizes_of(*content: int) -> list[int]:
    """Members in each piece."""
    raw = archive([*((f"m{n}", bytes(size)) for n, size in enumerate(content)), control(b"")])
    return [len(contents(piece)) for piece in pieces([raw])]


def test_where_pieces_end() -> None:
    assert sizes_of() == [1]
    assert sizes_of(512, 512, 512) == [4], "small ones share a piece"
    assert sizes_of(4096, 512) == [1, 2], "one that is full takes no more"
    assert sizes_of(1024, 7168, 512) == [1, 1, 2], "nothing grows over the most"
    assert sizes_of(512, 100_000, 512) == [1, 1, 2], "a large member is alone"


def test_a_size_above_8_gib_is_read_in_base_256_and_streamed() -> None:
    size = 9 << 30
    info = tarfile.TarInfo("base/1/2")
    info.size = size
    one = bytes(1 << 26)
    stream = itertools.chain(
        [info.tobuf(tarfile.GNU_FORMAT)], itertools.repeat(one, size >> 26), [archive([control()])]
    )
    total: dict[int, int] = {}
    for number, data in cut(stream):
        total[number] = total.get(number, 0) + len(data)
    assert total == {0: 512 + size + 1024, 1: 512 + 512 + 1024}


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "ends with ''"),
        (archive([("a", b"")]), "ends with 'a'"),
        (archive([control(), ("a", b"")]), "ends with 'a'"),
        (archive([control(bytes(600))])[:1000], "breaks off"),
        (archive([control()])[:100], "breaks off"),
        (b"\1" * 1024, "no header of a tar"),
        (archive([control()]) + archive([control()]), "after the end"),
    ],
)
def test_what_is_no_backup_is_refused(raw: bytes, why: str) -> None:
    with pytest.raises(ProtocolError, match=why):
        pieces([raw])


def test_a_negative_size_is_refused() -> None:
    info = tarfile.TarInfo("a")
    info.size = -512
    with pytest.raises(ProtocolError, match="-512 bytes"):
        pieces([info.tobuf(tarfile.GNU_FORMAT)])


@settings(deadline=None)
@given(st.binary(max_size=2000).map(partial(bytes.__add__, archive([("a", b"1")])[:1024])))
def test_nothing_but_pieces_or_a_protocol_error(raw: bytes) -> None:
    with pytest.raises(ProtocolError):
        pieces([raw])
