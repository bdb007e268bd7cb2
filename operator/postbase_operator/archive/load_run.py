"""What the Job that restores a logical backup is told. PURE; as run.py."""

from __future__ import annotations

from typing import ClassVar

from pydantic import NonNegativeInt

from postbase_operator.archive.record import Part, Record


class WantedExtension(Part):
    """One of spec.extensions: these alone are created by a superuser."""

    name: str
    version: str | None = None


class LoadRun(Record):
    """One attempt at restoring a dump into a database of its own."""

    title: ClassVar[str] = "the run's description"

    object_key: str
    """As a Backup's status.objectKey has it."""
    host: str
    port: int
    scratch: str
    """The database to make and fill …"""
    whole: str
    """… and what it is called once it is whole."""
    owner: str
    extensions: tuple[WantedExtension, ...] = ()
    limit_bytes: NonNegativeInt | None = None
    """What all that is on the server's volume may take together; None: not known."""
