"""The images that the double can run, and what each makes of its variables and its volume."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

Log = Callable[[str], None]


class Exits(Exception):
    """The container ends before its program runs, or instead of it."""

    def __init__(self, code: int, said: str) -> None:
        super().__init__(said)
        self.code = code
        self.said = said


@dataclass
class Spec:
    """What a container is started with."""

    image: str
    start_command: str | None
    variables: dict[str, str]
    address: str
    """Its own, on loopback."""
    mount_path: str | None = None
    volume: Path | None = None
    """The folder behind `mount_path`; None where nothing is really run."""
    hosts: dict[str, str] = field(default_factory=dict)
    """Private names and their addresses: what its resolver would know."""

    def on_host(self, text: str) -> str:
        """A value with the private names and the mount's path as this machine has them."""
        for name, address in self.hosts.items():
            text = text.replace(name, address)
        if self.volume is not None and self.mount_path:
            text = text.replace(self.mount_path, str(self.volume))
        return text


@dataclass
class Program:
    arguments: list[str]
    environment: dict[str, str]
    folder: Path
    uid: int | None = None


class Image(Protocol):
    passes_sigterm: bool

    def check(self, spec: Spec) -> None:
        """What its script looks at before all else; raises Exits."""

    def prepare(self, spec: Spec, scratch: Path, log: Log) -> Program:
        """All before the program; may take seconds."""


@dataclass
class OperatorImage:
    """Ours: `python -m postbase_operator ARGS` with the variables of the service."""

    passes_sigterm: bool = True

    def check(self, spec: Spec) -> None:
        """A volume is mounted as root's, and the image's user is another unless this says root."""
        self._arguments(spec)
        if spec.mount_path is not None and spec.variables.get("RAILWAY_RUN_UID") != "0":
            raise Exits(1, f"PermissionError: [Errno 13] Permission denied: '{spec.mount_path}'")

    def _arguments(self, spec: Spec) -> list[str]:
        """§4: a start command replaces ENTRYPOINT, in exec form: no shell."""
        words = shlex.split(spec.start_command or "postbase-operator")
        for entry in (["postbase-operator"], ["python", "-m", "postbase_operator"]):
            if words[: len(entry)] == entry:
                rest = words[len(entry) :]
                return [sys.executable, "-m", "postbase_operator", *map(spec.on_host, rest)]
        raise Exits(127, f"exec: {words[0]}: not run by the double in the operator's image")

    def prepare(self, spec: Spec, scratch: Path, log: Log) -> Program:
        environment = {name: spec.on_host(value) for name, value in spec.variables.items()}
        own = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        return Program(self._arguments(spec), own | environment, scratch)


def image_for(name: str, images: Mapping[str, Image]) -> Image | None:
    """By the longest beginning that is known; None is an image that nobody can pull."""
    fits = [
        prefix
        for prefix in images
        if name == prefix or name.startswith((f"{prefix}:", f"{prefix}@"))
    ]
    return images[max(fits, key=len)] if fits else None
