"""What fills a volume where no Job can be run beside the server (Railway): told by variables, and
telling its end by a line of its log. PURE.

The service that will run PostgreSQL first runs our image: it fetches the backup and all of the log
up to the planned end onto the volume. Whoever makes the service writes the variables, and the
process reads them: both ends are here, as those of its last word are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from pydantic import PositiveInt

from postbase_operator.archive.receiver_environment import STORE, one_line
from postbase_operator.archive.record import Record, UnreadableRecord
from postbase_operator.archive.run import VARIABLE, FillRun

ATTEMPT = "POSTBASE_ATTEMPT"
AUTHORITY, CERTIFICATE = "POSTBASE_RESTORE_CA", "POSTBASE_RESTORE_CERT"
KEY = "POSTBASE_RESTORE_KEY"
"""By which the operator and the recovered server know each other, before there is a password."""
SETTINGS = "POSTBASE_RESTORE_SETTINGS"
"""What PostgreSQL recovers with, by line: name = 'value'."""
VOLUME = "RAILWAY_VOLUME_MOUNT_PATH"
SEALED = frozenset({KEY, STORE["AWS_SECRET_ACCESS_KEY"], STORE["AWS_SESSION_TOKEN"]})
"""What opens something: a value of these is never shown."""
NAMES = (VARIABLE, ATTEMPT, AUTHORITY, CERTIFICATE, KEY, SETTINGS, *STORE.values())
"""All that such a run is told; none of it is left once PostgreSQL runs there."""
END = "postbase-end "
"""Begins the line of the log in which a run tells that it is over, and how."""

FOLDER = "postbase"
"""In the data folder, whose owner the server's image makes of it: what the recovery needs."""
LOG = f"{FOLDER}/wal"
HBA = f"{FOLDER}/pg_hba.conf"
"""Who may come in once it is recovered; until then it is the operator alone."""


@dataclass(frozen=True, slots=True)
class Staging:
    """All that one attempt has to know. `store` by the keys of the Secret of Jobs."""

    run: FillRun
    attempt: int
    settings: str
    authority: str
    certificate: str
    key: str = field(repr=False)
    store: Mapping[str, str] = field(repr=False)

    def variables(self) -> dict[str, str]:
        return {
            VARIABLE: one_line(self.run),
            ATTEMPT: str(self.attempt),
            SETTINGS: self.settings,
            AUTHORITY: self.authority,
            CERTIFICATE: self.certificate,
            KEY: self.key,
            **{STORE[key]: value for key, value in self.store.items() if key in STORE},
        }

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Staging:
        """Raises UnreadableRecord naming the variable that is missing."""
        for name in (VARIABLE, ATTEMPT, SETTINGS, AUTHORITY, CERTIFICATE, KEY, VOLUME):
            if not environ.get(name):
                raise UnreadableRecord("the environment", f"{name} is missing")
        return cls(
            run=FillRun.from_bytes(environ[VARIABLE].encode()),
            attempt=attempt_in(environ),
            settings=environ[SETTINGS],
            authority=environ[AUTHORITY],
            certificate=environ[CERTIFICATE],
            key=environ[KEY],
            store={key: environ[name] for key, name in STORE.items() if environ.get(name)},
        )


class StagingEnd(Record):
    """The last word of a run. Without a `reason` all is on the volume."""

    title: ClassVar[str] = "the last word of a run"

    attempt: PositiveInt
    reason: str = ""
    message: str = ""

    def line(self) -> str:
        return f"{END}{one_line(self)}"


def attempt_in(variables: Mapping[str, str]) -> int:
    """Which attempt a service was last told to make; 0 where none."""
    said = variables.get(ATTEMPT, "")
    return int(said) if said.isdigit() else 0


def end_in(lines: Iterable[str], attempt: int) -> StagingEnd | None:
    """The last word of this attempt among the lines of a log, the oldest first."""
    found = None
    for line in lines:
        _, begins, rest = line.partition(END)
        if begins:
            try:
                word = StagingEnd.from_bytes(rest.encode())
            except UnreadableRecord:
                continue
            found = word if word.attempt == attempt else found
    return found
