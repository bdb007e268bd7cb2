"""The manifest: read, and refused where it is not what PostgreSQL wrote."""

from __future__ import annotations

import hashlib

import pytest

from postbase_operator.wal.lsn import Lsn
from postbase_operator.wal.manifest import ChecksumMismatch, ListedFile, Manifest, crc32c
from unit.wal.manifests import manifest_of


def test_a_checksum_as_postgresql_15_wrote_it() -> None:
    """PG_VERSION of a real backup: b"15" and a newline."""
    assert crc32c([b"15\n"]) == "8a744722"
    assert crc32c([b"1", b"5\n"]) == crc32c([b"15\n"])


def test_files_and_the_log_that_is_needed() -> None:
    wal = (
        '{ "Timeline": 10, "Start-LSN": "0/2000028", "End-LSN": "0/4000000" },\n'
        '{ "Timeline": 11, "Start-LSN": "0/4000000", "End-LSN": "0/4000100" }'
    )
    manifest = Manifest.parse(manifest_of({"PG_VERSION": b"17\n"}, wal))
    assert manifest.files == {"PG_VERSION": ListedFile(3, crc32c([b"17\n"]))}
    assert manifest.wal_ranges[1].start == Lsn.parse("0/4000000")
    assert [segment.name for segment in manifest.segments(1 << 24)] == [
        "0000000A0000000000000002",
        "0000000A0000000000000003",
        "0000000B0000000000000004",
    ]


def test_a_path_that_is_no_utf_8() -> None:
    body = manifest_of({"a": b""}).replace(b'"Path": "a"', b'"Encoded-Path": "ff61"')
    head = body[: body.index(b'"Manifest-Checksum"')]
    with pytest.raises(ChecksumMismatch, match="its own checksum"):
        Manifest.parse(body)
    assert "\udcffa" in Manifest.parse(_signed(head)).files


def _signed(head: bytes) -> bytes:
    return head + b'"Manifest-Checksum": "%s"}\n' % hashlib.sha256(head).hexdigest().encode()


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "cannot be read"),
        (b"[]", "its own checksum"),
        (b"{}", "its own checksum"),
        (manifest_of({"a": b"1"}).replace(b'"Size": 1', b'"Size": 2'), "its own checksum"),
        (manifest_of({"a": b"1"})[:-40], "cannot be read"),
        (manifest_of({}, version=3), "does not know"),
        (manifest_of({}, wal="{}"), "cannot be read"),
    ],
)
def test_what_is_no_manifest_is_refused(body: bytes, why: str) -> None:
    with pytest.raises(ChecksumMismatch, match=why):
        Manifest.parse(body)


def test_checksums_of_another_kind_are_refused() -> None:
    body = manifest_of({"a": b"1"}).replace(b"CRC32C", b"SHA224")
    with pytest.raises(ChecksumMismatch, match="SHA224"):
        Manifest.parse(_signed(body[: body.index(b'"Manifest-Checksum"')]))
