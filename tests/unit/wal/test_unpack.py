"""What comes out of a piece, and what must never: paths, links, damage, things cut short."""

from __future__ import annotations

import io
import random
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from postbase_operator.wal.lsn import Segment
from postbase_operator.wal.manifest import ChecksumMismatch, Manifest
from postbase_operator.wal.protocol import ProtocolError
from postbase_operator.wal.unpack import HELD, decompress, extract, place_segment, unpack
from unit.wal.manifests import manifest_of

CONTROL = "global/pg_control"


def piece(
    *members: tuple[str, bytes],
    change: Callable[[tarfile.TarInfo], None] | None = None,
    checked: bool = False,
) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            if change is not None:
                change(info)
            tar.addfile(info, io.BytesIO(data))
    return zstandard.ZstdCompressor(1, write_checksum=checked).compress(buffer.getvalue())


def kind(value: bytes, to: str = "") -> Callable[[tarfile.TarInfo], None]:
    def change(info: tarfile.TarInfo) -> None:
        info.type, info.linkname = value, to

    return change


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_files_folders_and_modes(tmp_path: Path) -> None:
    folder = piece(("base/1", b""), change=kind(tarfile.DIRTYPE))
    extract([folder], tmp_path)
    extract([piece(("base/1/2", b"data"), ("a", b""))], tmp_path)
    assert files(tmp_path) == {"base/1/2": b"data", "a": b""}
    assert (tmp_path / "base/1/2").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "base/1").stat().st_mode & 0o777 == 0o700


def test_a_second_run_gives_the_same(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"longer, and from before")
    extract([piece(("a", b"data"))], tmp_path)
    assert files(tmp_path) == {"a": b"data"}


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x", "a/..", "."])
def test_no_member_leaves_its_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ProtocolError, match="outside"):
        extract([piece((name, b""))], tmp_path / "in")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "change",
    [
        kind(tarfile.SYMTYPE, "/etc"),
        kind(tarfile.SYMTYPE, "a"),
        kind(tarfile.LNKTYPE, "/etc/passwd"),
        kind(tarfile.FIFOTYPE),
        kind(tarfile.CHRTYPE),
        kind(tarfile.BLKTYPE),
    ],
)
def test_nothing_but_files_and_folders(
    tmp_path: Path, change: Callable[[tarfile.TarInfo], None]
) -> None:
    with pytest.raises(ProtocolError, match="no file and no folder"):
        extract([piece(("x", b""), change=change)], tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_link_that_lies_there_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "out").write_bytes(b"precious")
    (folder / "x").symlink_to(tmp_path / "out")
    with pytest.raises(OSError, match="symbolic"):
        extract([piece(("x", b"overwritten"))], folder)
    assert (tmp_path / "out").read_bytes() == b"precious"


@given(st.binary(max_size=5000), st.binary(max_size=5000), st.integers(1, 100))
def test_frames_in_any_parts(first: bytes, second: bytes, size: int) -> None:
    stored = zstandard.compress(first, 1) + zstandard.compress(second, 1)
    parts = [stored[at : at + size] for at in range(0, len(stored), size)]
    assert b"".join(decompress(parts)) == first + second


def test_an_object_that_breaks_off_is_not_taken_for_whole(tmp_path: Path) -> None:
    whole = piece(("a", b"1" * 5000))
    for end in (5, len(whole) // 2, len(whole) - 1):
        with pytest.raises(ChecksumMismatch, match=r"breaks off|damaged"):
            extract([whole[:end]], tmp_path)


def test_damage_after_the_last_member_is_seen(tmp_path: Path) -> None:
    """tarfile reads 10 KiB at a time and stops at an empty block; the checksum comes after it."""
    info = tarfile.TarInfo("a")
    info.size = 10240 - 2 * 512
    raw = info.tobuf(tarfile.USTAR_FORMAT) + bytes(info.size) + bytes(2 * 512)
    whole = zstandard.ZstdCompressor(1, write_checksum=True).compress(raw)
    damaged = bytes([whole[-1] ^ 1])
    with pytest.raises(ChecksumMismatch, match="damaged"):
        extract([whole[:-1], damaged], tmp_path)


def test_damage_that_tar_meets_first_is_told_as_damage(tmp_path: Path) -> None:
    """A frame of several blocks gives its content out before its checksum is seen."""
    content = random.Random(1).randbytes(28) * 7000  # noqa: S311 - no secret
    stored = piece(*((f"base/{n}", content) for n in range(3)), checked=True)
    whole = {f"base/{n}": content for n in range(3)}
    told = 0
    for at in range(4, len(stored)):
        folder = tmp_path / str(at)
        damaged = stored[:at] + bytes([stored[at] ^ 64]) + stored[at + 1 :]
        try:
            extract((damaged[n : n + 64] for n in range(0, len(damaged), 64)), folder)
        except ChecksumMismatch:
            told += 1
        else:
            assert files(folder) == whole  # a bit of the frame's head that says nothing
    assert told > len(stored) - 20


CONTENT = {"base/1": b"one", "base/2": b"two", CONTROL: b"control"}


def unpack_pieces(folder: Path, pieces: Iterable[bytes], content: dict[str, bytes]) -> None:
    openers = [lambda stored=stored: [stored] for stored in pieces]
    unpack(openers, Manifest.parse(manifest_of(content)), folder)


def test_pg_control_is_there_when_all_is(tmp_path: Path) -> None:
    pieces = [piece(("base/1", b"one")), piece(("base/2", b"two"), (CONTROL, b"control"))]
    unpack_pieces(tmp_path, pieces, CONTENT)
    assert files(tmp_path) == CONTENT
    unpack_pieces(tmp_path, pieces, CONTENT)
    assert files(tmp_path) == CONTENT


@pytest.mark.parametrize(
    ("pieces", "why"),
    [
        ([piece(("base/1", b"one"), (CONTROL, b"control"))], "base/2: missing"),
        (
            [piece(("base/1", b"0ne"), ("base/2", b"two"), (CONTROL, b"control"))],
            "base/1: the checksum is wrong",
        ),
        (
            [piece(("base/1", b"one+"), ("base/2", b"two"), (CONTROL, b"control"))],
            "base/1: has 4 bytes and not 3",
        ),
        (
            [piece(*CONTENT.items(), ("base/3", b""))],
            "base/3: is not in the backup's list",
        ),
    ],
)  # fmt: skip
def test_what_is_not_as_listed_never_gets_its_pg_control(
    tmp_path: Path, pieces: list[bytes], why: str
) -> None:
    (tmp_path / "global").mkdir()
    (tmp_path / CONTROL).write_bytes(b"of a run before")
    with pytest.raises(ChecksumMismatch, match=why):
        unpack_pieces(tmp_path, pieces, CONTENT)
    assert not (tmp_path / CONTROL).exists()
    assert (tmp_path / HELD).exists()


def test_a_segment_is_whole_or_not_there(tmp_path: Path) -> None:
    segment = Segment(1, 5, 1 << 20)
    with pytest.raises(ChecksumMismatch, match="has 3 bytes"):
        place_segment([zstandard.compress(b"log")], segment, tmp_path)
    assert not (tmp_path / "pg_wal" / segment.name).exists()
    place_segment([zstandard.compress(bytes(segment.size))], segment, tmp_path)
    assert (tmp_path / "pg_wal" / segment.name).stat().st_size == segment.size
