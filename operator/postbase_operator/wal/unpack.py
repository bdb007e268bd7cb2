"""From the objects of a physical backup to a data folder that PostgreSQL starts.

pg_control gets its name last of all, after every byte is on the disk and is what the manifest
lists: PostgreSQL does not start without it, so a restore that was cut short starts nothing. A
second run over what a first has left gives the same folder.
"""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import RawIOBase
from pathlib import Path, PurePosixPath
from typing import IO, cast

import zstandard

from postbase_operator.wal.lsn import Segment
from postbase_operator.wal.manifest import ChecksumMismatch, Manifest, verify
from postbase_operator.wal.pieces import LAST
from postbase_operator.wal.protocol import ProtocolError

HELD = f"{LAST}.unpacked"
"""The name of pg_control until all the rest is there."""
_COPY = 1 << 20

Opened = Callable[[], Iterable[bytes]]
"""Starts reading one object from its beginning: stored bytes, as a store's get_stream gives them.
What it raises ends the restore."""


def unpack(pieces: Sequence[Opened], manifest: Manifest, folder: Path, workers: int = 2) -> None:
    """Fills `folder`; only then, and verified, pg_control has its name. ChecksumMismatch else.

    `pieces` in their order. All but the last are unpacked in parallel, that one alone at the end.
    Place the segments of the log before: afterwards the folder may be started.
    """
    (folder / LAST).unlink(missing_ok=True)
    *most, last = pieces
    with ThreadPoolExecutor(workers, thread_name_prefix="unpack") as pool:
        for _ in pool.map(lambda piece: extract(piece(), folder), most):
            pass
    extract(last(), folder)
    verify(folder, manifest, names={LAST: HELD}, workers=workers)
    settle(folder)
    (folder / HELD).rename(folder / LAST)
    _sync(folder / LAST.rpartition("/")[0])


def extract(stored: Iterable[bytes], folder: Path) -> None:
    """One piece. ChecksumMismatch where it is damaged; ProtocolError for a member that is no plain
    file or folder inside of `folder`.

    Nothing is fsynced here; `settle` does that for the whole folder.
    """
    content = decompress(stored)
    try:
        _extract(content, folder)
    except (tarfile.TarError, ProtocolError, ValueError, OSError) as error:
        # A frame's checksum comes at its end. A flipped bit was once met before as a header that
        # tar cannot read, and the restore was tried again instead of being refused.
        for _ in content:
            pass
        if isinstance(error, tarfile.TarError):
            raise ChecksumMismatch(f"a piece of the backup is no archive: {error}") from error
        raise


def _extract(content: Iterator[bytes], folder: Path) -> None:
    with (
        _Readable(content) as raw,
        tarfile.open(fileobj=cast(IO[bytes], raw), mode="r|") as archive,
    ):
        for member in archive:
            _write(archive, member, folder / _inside(member.name))
        # To the end of the frame, where the checksum of its content is.
        if any(raw.read()):
            raise ProtocolError("a piece of a backup goes on after its end")


def place_segment(stored: Iterable[bytes], segment: Segment, folder: Path) -> None:
    """A segment of the log into pg_wal, whole or not at all."""
    place = folder / "pg_wal"
    place.mkdir(mode=0o700, exist_ok=True)
    part = place / f"{segment.name}.part"
    with _opened(part) as file:
        for data in decompress(stored):
            file.write(data)
        size = file.tell()
        if size != segment.size:
            raise ChecksumMismatch(f"{segment.name}: has {size} bytes and not {segment.size}")
        file.flush()
        os.fsync(file.fileno())
    part.rename(place / segment.name)
    _sync(place)


def settle(folder: Path) -> None:
    """All files and folders are on the disk when it returns."""
    for root, _, files in os.walk(folder, topdown=False):
        for name in files:
            _sync(Path(root) / name)
        _sync(Path(root))


def decompress(stored: Iterable[bytes]) -> Iterator[bytes]:
    """The content of zstd frames; ChecksumMismatch where they are damaged or break off."""
    whole = True
    frame = zstandard.ZstdDecompressor().decompressobj()
    try:
        for chunk in stored:
            data = chunk
            while data:
                if frame.eof:
                    frame = zstandard.ZstdDecompressor().decompressobj()
                if part := frame.decompress(data):
                    yield part
                data, whole = frame.unused_data, frame.eof
    except zstandard.ZstdError as error:
        raise ChecksumMismatch(f"an object of the backup is damaged: {error}") from error
    if not whole:
        raise ChecksumMismatch("an object of the backup breaks off")


def _inside(name: str) -> PurePosixPath:
    """The path of a member if it stays below the folder."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name or path == PurePosixPath("."):
        raise ProtocolError(f"a backup with a member {name!r}, outside of its folder")
    return PurePosixPath(HELD) if str(path) == LAST else path


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    """A folder or a file of our own; existing ones are taken over, links are never followed."""
    if member.isdir():
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return
    content = archive.extractfile(member) if member.isreg() else None
    if content is None:
        raise ProtocolError(f"a backup with a member {member.name!r} that is no file and no folder")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _opened(path) as file:
        shutil.copyfileobj(content, file, _COPY)


def _opened(path: Path) -> IO[bytes]:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o600), "wb")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _Readable(RawIOBase):
    """Bytes that come in parts, as a file to read from."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts, self._data, self._at = parts, b"", 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """As many as were asked for: tarfile takes fewer for the end."""
        found: list[bytes] = []
        while size:
            if self._at == len(self._data):
                self._data, self._at = next(self._parts, b""), 0
                if not self._data:
                    break
            end = len(self._data) if size < 0 else min(self._at + size, len(self._data))
            found.append(self._data[self._at : end])
            size -= end - self._at
            self._at = end
        return b"".join(found)
