"""The hash of a part's inputs: its name in the cache, so that what has not changed is not built."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

_LEFT_BY_PYTHON = "__pycache__"


def of_texts(*texts: str) -> str:
    """Twelve hex digits. Each text is framed by its length: ("ab", "c") is not ("a", "bc")."""
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode()
        digest.update(f"{len(data)}:".encode())
        digest.update(data)
    return digest.hexdigest()[:12]


def of_files(root: Path, names: Iterable[str | Path], *more: str) -> str:
    """Over names and contents of files and whole folders below `root`, and `more` beside them."""
    parts: list[str] = list(more)
    for path in sorted(file for name in names for file in _files(root / name)):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        executable = "x" if path.stat().st_mode & 0o100 else "-"
        parts.append(f"{path.relative_to(root)} {executable} {content}")
    return of_texts(*parts)


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return [p for p in path.rglob("*") if p.is_file() and _LEFT_BY_PYTHON not in p.parts]
    return [path]
