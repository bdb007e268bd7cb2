"""A backup that the receiver's service is told to take, where no Job can get in. PURE.

The order stands in a variable of the service, and in what its process says of it: both ends are
here. It holds no secret: keys stand in a variable beside it, which a platform that can hide a value
hides. Whatever else the service is told does not matter to it.

Other variables come with another process, which finds the same order: so an attempt is claimed in
the bucket before it begins, and whoever finds it claimed does not take it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from pydantic import Field, PositiveInt

from postbase_operator.api.scalars import Instant
from postbase_operator.archive.receiver_environment import one_line
from postbase_operator.archive.record import Record, UnreadableRecord
from postbase_operator.archive.run import BackupRun

ORDER, KEYS = "POSTBASE_BACKUP", "POSTBASE_BACKUP_KEYS"
SAID = "postbase-backup "
"""Begins the line of the log in which the service tells how an attempt does."""


class BackupOrder(Record):
    """One attempt at one Backup. After `until` it is void, whoever finds it."""

    title: ClassVar[str] = "the order of a backup"

    attempt: PositiveInt
    made_at: Instant
    until: Instant
    run: BackupRun

    def is_of(self, backup: str) -> bool:
        """The Backup with this id."""
        return self.run.id == backup


class BackupKeys(Record):
    """What opens the server and the store."""

    title: ClassVar[str] = "the keys of a backup"

    password: str = Field(repr=False)
    """Of the receiver's role."""
    store: dict[str, str] = Field(repr=False)
    """By the keys of the Secret that is mounted elsewhere (objectstore/settings.py)."""


class BackupWord(Record):
    """What becomes of an attempt. One that has ended without a `reason` is whole in the bucket."""

    title: ClassVar[str] = "the word of a backup"

    id: str
    """The Backup's."""
    attempt: PositiveInt
    at: Instant
    ended: bool = False
    reason: str = ""
    """The word of the Backup's condition."""
    message: str = ""

    def line(self) -> str:
        return f"{SAID}{one_line(self)}"


def order_in(variables: Mapping[str, str]) -> BackupOrder | None:
    """None where there is none, or where a later release, or somebody else, has written it."""
    try:
        return BackupOrder.from_bytes(variables.get(ORDER, "").encode())
    except UnreadableRecord:
        return None


def keys_in(variables: Mapping[str, str]) -> BackupKeys:
    """Raises UnreadableRecord."""
    return BackupKeys.from_bytes(variables.get(KEYS, "").encode())


def word_in(lines: Iterable[str], order: BackupOrder) -> BackupWord | None:
    """The last word of this attempt among the lines of a log, the oldest first."""
    found = None
    for line in lines:
        _, begins, rest = line.partition(SAID)
        if begins:
            try:
                word = BackupWord.from_bytes(rest.encode())
            except UnreadableRecord:
                continue
            ours = (word.id, word.attempt) == (order.run.id, order.attempt)
            found = word if ours else found
    return found
