"""What a receiver is told where no file can be mounted (Railway): by variables. PURE.

Whoever makes the service writes them, and its process reads them: both ends are here. Those that
open something are apart, so that a platform which can hide a value hides these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from postbase_operator.archive.receiver import ReceiverConfig, ReceiverReport
from postbase_operator.archive.record import Record, UnreadableRecord

CONFIG = "POSTBASE_RECEIVER"
"""receiver.json. A receiver that has this variable is told everything by variables."""
HOST, PORT = "POSTBASE_SERVER_HOST", "POSTBASE_SERVER_PORT"
PASSWORD = "POSTBASE_SERVER_PASSWORD"  # noqa: S105 - the name of a variable
STORE = {
    "store.json": "POSTBASE_STORE",
    "ca.crt": "POSTBASE_STORE_CA",
    "AWS_ACCESS_KEY_ID": "POSTBASE_STORE_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY": "POSTBASE_STORE_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN": "POSTBASE_STORE_SESSION_TOKEN",
}
"""By the keys of the Secret that is mounted elsewhere (objectstore/settings.py)."""
SEALED = frozenset({PASSWORD, "POSTBASE_STORE_SECRET_ACCESS_KEY", "POSTBASE_STORE_SESSION_TOKEN"})
"""What opens something: a value of these is never shown."""
REPORT = "postbase-report "
"""Begins the line of the log in which such a receiver tells its report, where that has changed."""


@dataclass(frozen=True, slots=True)
class Told:
    """All that a receiver has to know. `store` by the keys of the Secret."""

    config: ReceiverConfig
    host: str
    port: int
    password: str = field(repr=False)
    store: Mapping[str, str] = field(repr=False)

    def variables(self) -> dict[str, str]:
        known = {STORE[key]: value for key, value in self.store.items() if key in STORE}
        return {
            CONFIG: one_line(self.config),
            HOST: self.host,
            PORT: str(self.port),
            PASSWORD: self.password,
            **known,
        }

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Told:
        """Raises UnreadableRecord naming the variable that is missing, or cannot be used."""
        for name in (CONFIG, HOST, PASSWORD, STORE["store.json"]):
            if not environ.get(name):
                raise UnreadableRecord("the environment", f"{name} is missing")
        port = environ.get(PORT, "5432")
        if not port.isdigit():
            raise UnreadableRecord("the environment", f"{PORT} is {port!r}, and no port")
        return cls(
            config=ReceiverConfig.from_bytes(environ[CONFIG].encode()),
            host=environ[HOST],
            port=int(port),
            password=environ[PASSWORD],
            store={key: environ[name] for key, name in STORE.items() if environ.get(name)},
        )


def one_line(record: Record) -> str:
    """A record where a line break would end it."""
    return " ".join(line.strip() for line in record.to_bytes().decode().splitlines())


def report_in(line: str) -> ReceiverReport | None:
    """Of a line of the log; None where it is of something else, or cannot be read."""
    try:
        return ReceiverReport.from_bytes(line.partition(REPORT)[2].encode())
    except UnreadableRecord:
        return None


def config_in(variables: Mapping[str, str]) -> ReceiverConfig | None:
    """What a receiver was last told; None where that cannot be read: it is told anew."""
    try:
        return ReceiverConfig.from_bytes(variables.get(CONFIG, "").encode())
    except UnreadableRecord:
        return None
