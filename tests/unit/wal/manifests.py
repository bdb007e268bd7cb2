"""backup_manifest as PostgreSQL writes it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import google_crc32c


def manifest_of(content: Mapping[str, bytes], wal: str | None = None, version: int = 1) -> bytes:
    lines = [f'{{ "PostgreSQL-Backup-Manifest-Version": {version},\n"Files": [\n']
    entries = [
        f'{{ "Path": "{path}", "Size": {len(data)}, "Last-Modified": "2026-11-23 14:30:00 GMT", '
        f'"Checksum-Algorithm": "CRC32C", "Checksum": "{_checksum(data)}" }}'
        for path, data in content.items()
    ]
    wal = wal or '{ "Timeline": 1, "Start-LSN": "0/2000028", "End-LSN": "0/2000100" }'
    lines += [",\n".join(entries), f'\n],\n"WAL-Ranges": [\n{wal}\n],\n']
    head = "".join(lines).encode()
    return head + f'"Manifest-Checksum": "{hashlib.sha256(head).hexdigest()}"}}\n'.encode()


def _checksum(data: bytes) -> str:
    return bytes(reversed(google_crc32c.value(data).to_bytes(4, "big"))).hex()
