"""PostgreSQL's backup_manifest: what files a backup has, and whether a folder has just those.

As pg_verifybackup does it, which stock images have but Jobs of ours do not. Format: PostgreSQL's
documentation, "Backup Manifest Format".
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import google_crc32c

from postbase_operator.errors import PostbaseError
from postbase_operator.wal.lsn import Lsn, Segment, segments

NAME = "backup_manifest"
# What no manifest has to list, because a restore may write it; as in pg_verifybackup.
UNLISTED = ("backup_manifest", "postgresql.auto.conf", "recovery.signal", "standby.signal")
UNLISTED_FOLDERS = ("pg_wal/",)
_READ = 1 << 20
_CHECKSUM = b'"Manifest-Checksum"'


class ChecksumMismatch(PostbaseError):
    """What was stored or unpacked is not what PostgreSQL sent."""


@dataclass(frozen=True, slots=True)
class ListedFile:
    size: int
    crc32c: str | None
    """Eight hex digits in PostgreSQL's order; None where the manifest has none."""


@dataclass(frozen=True, slots=True)
class WalRange:
    """Log that the backup cannot do without."""

    timeline: int
    start: Lsn
    end: Lsn


@dataclass(frozen=True, slots=True)
class Manifest:
    files: dict[str, ListedFile]
    """By the path relative to the data folder."""
    wal_ranges: tuple[WalRange, ...]
    system_id: str | None
    """From PostgreSQL 17 on."""

    @classmethod
    def parse(cls, body: bytes) -> Manifest:
        """ChecksumMismatch where it is damaged, of a later version or of other checksums."""
        head, found, _ = body.rpartition(_CHECKSUM)
        try:
            wire = json.loads(body)
            if not found or wire["Manifest-Checksum"] != hashlib.sha256(head).hexdigest():
                raise ChecksumMismatch(f"{NAME}: its own checksum is wrong")
            if wire["PostgreSQL-Backup-Manifest-Version"] not in (1, 2):
                raise ChecksumMismatch(f"{NAME}: a version that this release does not know")
            system_id = wire.get("System-Identifier")
            return cls(
                files={_path(entry): _file(entry) for entry in wire["Files"]},
                wal_ranges=tuple(_range(entry) for entry in wire["WAL-Ranges"]),
                system_id=None if system_id is None else str(system_id),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ChecksumMismatch(f"{NAME}: cannot be read: {error!r}") from error

    def segments(self, size: int) -> list[Segment]:
        """Those of the log without which the backup cannot be opened; `size` in bytes."""
        return [
            segment
            for part in self.wal_ranges
            for segment in segments(part.start, part.end, part.timeline, size)
        ]


def verify(folder: Path, manifest: Manifest, *, names: dict[str, str], workers: int = 2) -> None:
    """Reads every file back. ChecksumMismatch names the first few that are not as listed.

    `names` maps paths of the manifest to those that they have for now.
    """
    present = set(_present(folder))
    there = {names.get(path, path): entry for path, entry in manifest.files.items()}
    extra = (path for path in present - there.keys() if path not in UNLISTED)
    wrong = [f"{path}: is not in the backup's list" for path in extra]
    wrong += [f"{path}: missing" for path in there.keys() - present]
    with ThreadPoolExecutor(workers, thread_name_prefix="verify") as pool:
        both = ((path, entry) for path, entry in there.items() if path in present)
        found = pool.map(partial(_problem, folder), both)
        wrong += [why for why in found if why]
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise ChecksumMismatch("; ".join(sorted(wrong)[:5]) + more)


def crc32c(parts: Iterable[bytes]) -> str:
    """As the manifest writes it: the bytes of a little-endian number, in hex."""
    value = 0
    for part in parts:
        value = google_crc32c.extend(value, part)
    return value.to_bytes(4, "little").hex()


def _problem(folder: Path, listed: tuple[str, ListedFile]) -> str | None:
    path, entry = listed
    with (folder / path).open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if size != entry.size:
            return f"{path}: has {size} bytes and not {entry.size}"
        if entry.crc32c is None:
            return None
        if crc32c(iter(partial(file.read, _READ), b"")) != entry.crc32c:
            return f"{path}: the checksum is wrong"
    return None


def _present(folder: Path) -> Iterator[str]:
    """Paths of all files but those of the log, which no manifest lists."""
    for root, _, files in os.walk(folder):
        for name in files:
            path = (Path(root) / name).relative_to(folder).as_posix()
            if not path.startswith(UNLISTED_FOLDERS):
                yield path


def _path(entry: dict[str, Any]) -> str:
    encoded = entry.get("Encoded-Path")
    if encoded is not None:
        return os.fsdecode(bytes.fromhex(encoded))
    return str(entry["Path"])


def _file(entry: dict[str, Any]) -> ListedFile:
    algorithm = entry.get("Checksum-Algorithm")
    if algorithm not in (None, "CRC32C"):
        raise ValueError(f"checksums of the kind {algorithm}")
    return ListedFile(int(entry["Size"]), str(entry["Checksum"]) if algorithm else None)


def _range(entry: dict[str, Any]) -> WalRange:
    return WalRange(
        int(entry["Timeline"]), Lsn.parse(entry["Start-LSN"]), Lsn.parse(entry["End-LSN"])
    )
