"""A store for tests: a folder. It keeps to what a sink promises, and can be told to fail."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from postbase_operator.archive.keys import Archive, PhysicalFolder
from postbase_operator.errors import Conflict
from postbase_operator.objectstore.store import Stored

FOLDER = PhysicalFolder(
    Archive("4b1e4f5c-0000-4000-8000-000000000001", "7300000000000000001-1"),
    "bkp_jmpe6xaaabaabaaaaaaaaaaaae",
)


@dataclass
class FolderSink:
    root: Path
    before_each: Callable[[str, int], None] = lambda *_: None
    """Called with the key and the chunk's number; may wait, or raise."""
    busiest: int = 0
    """How many objects were being written at the same time, at most."""
    _busy: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, key: str, chunks: Iterator[bytes], /) -> Stored:
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{threading.get_ident()}.part")
        with self._lock:
            self._busy += 1
            self.busiest = max(self.busiest, self._busy)
        try:
            digest, size = hashlib.sha256(), 0
            with part.open("wb") as file:
                for number, chunk in enumerate(chunks):
                    self.before_each(key, number)
                    file.write(chunk)
                    digest.update(chunk)
                    size += len(chunk)
            return self._settle(part, path, Stored(key, size, digest.hexdigest()))
        finally:
            part.unlink(missing_ok=True)
            with self._lock:
                self._busy -= 1

    def _settle(self, part: Path, path: Path, stored: Stored) -> Stored:
        try:
            path.hardlink_to(part)
        except FileExistsError:
            if hashlib.sha256(path.read_bytes()).hexdigest() != stored.sha256:
                raise Conflict(f"{path.name} is there with other content") from None
        return stored

    def keys(self) -> set[str]:
        return {str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file()}

    def read(self, key: str, chunk: int = 1 << 16) -> Iterator[bytes]:
        """As a store gives an object: in parts."""
        with (self.root / key).open("rb") as file:
            while data := file.read(chunk):
                yield data
