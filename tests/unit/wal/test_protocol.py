"""Messages of the replication protocol, built here from its documentation, byte for byte."""

from __future__ import annotations

import contextlib
import struct
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbase_operator.wal import protocol
from postbase_operator.wal.lsn import Lsn
from postbase_operator.wal.protocol import (
    BackupData,
    BackupProgress,
    Keepalive,
    ManifestStart,
    NewArchive,
    ProtocolError,
    WalData,
)

positions = st.integers(0, 2**64 - 1)
times = st.integers(-60_000_000_000_000_000, 250_000_000_000_000_000).map(
    lambda us: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)
)
AT = datetime(2026, 11, 23, 14, 30, 0, 500000, tzinfo=UTC)


@given(times)
def test_a_time_comes_back_to_the_microsecond(at: datetime) -> None:
    assert protocol.to_datetime(protocol.to_microseconds(at)) == at


def test_time_counts_from_2000() -> None:
    assert protocol.to_datetime(0) == datetime(2000, 1, 1, tzinfo=UTC)
    assert protocol.to_microseconds(datetime(2000, 1, 2, tzinfo=UTC)) == 86_400_000_000
    zone = datetime(2000, 1, 1, 2, tzinfo=UTC).astimezone()
    assert protocol.to_microseconds(zone) == timedelta(hours=2) // timedelta(microseconds=1)


@given(st.integers(0, 2**63), positions, times, st.binary(max_size=200))
def test_wal_data(start: int, flushed: int, at: datetime, data: bytes) -> None:
    head = struct.pack("!QQq", start, flushed, protocol.to_microseconds(at))
    message = protocol.decode(b"w" + head + data)
    assert message == WalData(Lsn(start), Lsn(flushed), at, data)
    assert isinstance(message, WalData)
    assert message.end == start + len(data)


@given(positions, times, st.booleans())
def test_keepalive(flushed: int, at: datetime, reply: bool) -> None:
    body = struct.pack("!QqB", flushed, protocol.to_microseconds(at), reply)
    assert protocol.decode(b"k" + body) == Keepalive(Lsn(flushed), at, reply)


@given(st.binary(max_size=60))
def test_nothing_but_a_message_or_a_protocol_error(message: bytes) -> None:
    for decode in (protocol.decode, protocol.decode_backup):
        with contextlib.suppress(ProtocolError):
            decode(message)


@pytest.mark.parametrize("message", [b"", b"w" + bytes(23), b"k" + bytes(16), b"k" + bytes(18)])
def test_a_message_of_the_wrong_length_is_refused(message: bytes) -> None:
    with pytest.raises(ProtocolError):
        protocol.decode(message)


def test_the_status_that_frees_the_log_is_34_bytes_and_applies_nothing() -> None:
    message = protocol.status_update(Lsn(9), Lsn(7), AT, reply=True)
    assert len(message) == 34
    kind, written, flushed, applied, at, reply = struct.unpack("!cQQQqB", message)
    assert (kind, written, flushed, applied, reply) == (b"r", 9, 7, 0, 1)
    assert protocol.to_datetime(at) == AT


def test_messages_of_a_base_backup() -> None:
    decode = protocol.decode_backup
    assert decode(b"nbase.tar\0\0") == NewArchive("base.tar", "")
    assert decode(b"n16384.tar\0/mnt/x\0") == NewArchive("16384.tar", "/mnt/x")
    assert decode(b"dabc") == BackupData(b"abc")
    assert decode(b"m") == ManifestStart()
    assert decode(b"p" + struct.pack("!q", 77)) == BackupProgress(77)


@pytest.mark.parametrize(
    "message", [b"", b"x", b"nbase.tar", b"na\0b", b"n\xff\0\0", b"p123", b"mm"]
)
def test_what_is_no_message_of_a_base_backup_is_refused(message: bytes) -> None:
    with pytest.raises(ProtocolError):
        protocol.decode_backup(message)
