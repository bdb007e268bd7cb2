"""The folder that is the PATH of bring-up and tests: links to declared programs, no others."""

import os
from pathlib import Path

from node import paths


def link(name: str, target: Path) -> None:
    """In one step: another command may be looking the name up."""
    paths.BIN.mkdir(parents=True, exist_ok=True)
    entry = paths.BIN / name
    if entry.is_symlink() and entry.readlink() == target:
        return
    new = entry.with_name(f".{name}.{os.getpid()}")
    new.symlink_to(target)
    new.rename(entry)
