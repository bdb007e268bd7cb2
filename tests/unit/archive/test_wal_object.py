"""Objects of the log: both ways, damage told, and frames that are joined without unpacking."""

from __future__ import annotations

import contextlib
import hashlib
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbase_operator.archive.lsn import Lsn
from postbase_operator.archive.record import UnreadableRecord
from postbase_operator.archive.wal_object import (
    Codec,
    Commits,
    Damaged,
    WalHeader,
    decode,
    encode,
    encode_frames,
    header_of,
    pack,
    unpacked,
)

AT = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)


def header(data: bytes, start: int = 0x1000028, **changes: Any) -> WalHeader:
    facts = {
        "system_id": "7312345678901234567",
        "timeline": 1,
        "start": str(Lsn(start)),
        "end": str(Lsn(start + len(data))),
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "prefix_sha256": "1" * 64,
        "commits": {"first": AT, "last": AT, "last_end": "0/1000030"},
        "sent_at": AT,
        "writer": "0.1.0",
    }
    return WalHeader.model_validate(facts | changes)


@given(data=st.binary(max_size=5000), plain=st.booleans())
def test_an_object_comes_back(data: bytes, plain: bool) -> None:
    body = encode(header(data), data, Codec.NONE) if plain else pack(header(data), data)[0]
    read = decode(body)
    assert read.header == header(data) == header_of(body[:4096])
    assert read.header.end_lsn == 0x1000028 + len(data)
    assert read.raw() == data


def test_its_form_is_as_agreed() -> None:
    body = encode(header(b"log"), b"log", Codec.NONE)
    assert body[:8] == b"PBWL\x01\x00\x00\x00"
    length = int.from_bytes(body[8:12], "big")
    assert body[12:13] == b"{"
    assert body[12 + length :] == b"log"
    assert header(b"log").commits == Commits(first=AT, last=AT, last_end="0/1000030")


@given(st.lists(st.binary(max_size=500), max_size=6))
def test_frames_one_after_another_are_one_payload(parts: list[bytes]) -> None:
    packs = [pack(header(part), part) for part in parts]
    frames = [body[begin:] for body, begin in packs]
    data = b"".join(parts)
    whole = decode(encode_frames(header(data), frames, Codec.ZSTD))
    assert whole.raw() == data == unpacked(b"".join(frames), Codec.ZSTD)


@given(data=st.binary(min_size=1, max_size=400), at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_no_bit_changes_unnoticed(data: bytes, at: int, bit: int) -> None:
    body = bytearray(pack(header(data), data)[0])
    begin = 12 + int.from_bytes(body[8:12], "big")
    at = begin + at % (len(body) - begin)
    body[at] ^= 1 << bit
    with contextlib.suppress(Damaged):
        assert decode(bytes(body)).raw() == data


@given(cut=st.integers(0, 10_000))
def test_one_that_breaks_off_is_damaged(cut: int) -> None:
    whole, _ = pack(header(b"log" * 50), b"log" * 50)
    with pytest.raises(UnreadableRecord):
        decode(whole[: cut % len(whole)]).raw()


@pytest.mark.parametrize("place", [4, 5, 7])
def test_another_form_says_so(place: int) -> None:
    body = bytearray(encode(header(b""), b"", Codec.NONE))
    body[place] = 9
    with pytest.raises(UnreadableRecord, match="later release"):
        decode(bytes(body))


def test_a_header_adds_up() -> None:
    with pytest.raises(ValueError, match="are not 4 bytes"):
        header(b"log", size=4)
