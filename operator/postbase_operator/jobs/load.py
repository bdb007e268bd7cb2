"""Restores a dump into a database of its own, beside the one that serves and untouched by it.

Every stored byte is compared first, before anything of it is run. pg_restore runs beside us in the
database's own image (load.sh); what it restores, in which order and as whom is decided here. What a
run before this one has left goes first; what fails leaves nothing.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from postbase_operator.archive.copies import DATABASE
from postbase_operator.archive.keys import GlobalsKey, LogicalStem, parse_backup
from postbase_operator.archive.load_run import LoadRun
from postbase_operator.archive.record import BackupRecord, StoredObject
from postbase_operator.desired import names
from postbase_operator.errors import PostbaseError, Unavailable
from postbase_operator.jobs import desk
from postbase_operator.jobs.desk import Failed, logger
from postbase_operator.jobs.fifo import TURN, write_pipe
from postbase_operator.jobs.load_doors import open_doors
from postbase_operator.jobs.logical import decompressed
from postbase_operator.objectstore.store import NotFound, ObjectStore
from postbase_operator.postgres.dump_text import Contents, Globals, Head, fault
from postbase_operator.postgres.loading import Loading
from postbase_operator.postgres.scram import verifier

PIPES = ("stored", "head", "schemas", "rest", "end")
LOOK_AGAIN = 1.0
"""Seconds between two looks at what pg_restore says and at what the volume holds."""
LOST = re.compile(
    r"connection to server|server closed the connection|terminating connection|no connection to"
    r"|the database system is|SSL connection has been closed|SSL SYSCALL error|SSL error:"
    r"|could not (?:receive data from|send data to) server"
)
FULL = "No space left on device"


def prepare() -> None:
    """Pipes, before pg_restore starts. Can be done again."""
    for name in PIPES:
        path = Path(names.RUN_MOUNT, name)
        if not path.exists():
            os.mkfifo(path, 0o600)


def load() -> None:
    run, folder = desk.load_task(), Path(names.RUN_MOUNT)
    password = secrets.token_urlsafe(32)
    into = open_doors(run, password, folder)
    Load(run, desk.store(), folder, into, password).make()


class Load:
    """One attempt."""

    def __init__(
        self, run: LoadRun, store: ObjectStore, folder: Path, into: Loading, password: str
    ) -> None:
        place = parse_backup(run.object_key)
        if not isinstance(place, LogicalStem):
            raise Failed("BackupNotLogical", f"{run.object_key} is no logical backup")
        self._run, self._store, self._folder, self._into = run, store, folder, into
        self._place, self._password = place, password
        self._record = self._recorded()
        self._mighty: frozenset[str] = frozenset()
        self._looked = 0.0

    def make(self) -> None:
        """Returns once the database is whole. Raises Failed, or what store and server raise."""
        if self._into.is_whole():
            return
        globals_ = Globals.parse(self._globals().decode())
        self._check_tablespaces(globals_)
        listed = self._verified()
        head = self._head(listed)
        self._check(head)
        self._mighty = self._into.mighty()
        try:
            self._fill(listed, head, globals_)
        except PostbaseError:
            self._clear()
            raise

    def _fill(self, listed: str, head: Head, globals_: Globals) -> None:
        into, wanted = self._into, {each.name for each in self._run.extensions}
        created = frozenset(name for name, _ in head.extensions if name in wanted)
        contents = Contents.parse(listed, created)
        into.begin(head, verifier(self._password, secrets.token_bytes(16)))
        into.roles(globals_)
        self._mighty = into.mighty()
        into.prepare()
        self._restore("schemas", contents.schemas)
        into.extend(head.extensions)
        self._restore("rest", contents.rest)
        into.analyze()
        into.finish(head)

    def _clear(self) -> None:
        """That it cannot be done now fails nothing more: the operator does it again."""
        try:
            self._into.undo()
        except Unavailable as error:
            logger.warning("%s was left: %s", self._run.scratch, error)

    # -- what is in the bucket -------------------------------------------------------------

    def _recorded(self) -> BackupRecord:
        try:
            return BackupRecord.from_bytes(self._store.get(str(self._place.record)))
        except NotFound:
            why = f"the store has no {self._place.record}"
            raise Failed("BackupMissing", why) from None

    def _object(self, key: str) -> StoredObject:
        for each in self._record.objects:
            if f"{self._place}{each.key}" == key:
                return each
        raise Failed("BackupMissing", f"{self._place.record} does not name {key}")

    def _globals(self) -> bytes:
        key = str(GlobalsKey(self._place))
        return b"".join(self._compared(key))

    def _compared(self, key: str) -> Iterator[bytes]:
        """The object's bytes; at its end, whether they are those that were stored."""
        found, wanted = hashlib.sha256(), self._object(key)
        try:
            for chunk in self._store.get_stream(key):
                found.update(chunk)
                yield chunk
        except NotFound:
            raise Failed("BackupMissing", f"the store has no {key}") from None
        if found.hexdigest() != wanted.sha256:
            raise Failed("ChecksumMismatch", f"{key} is not what was stored")

    def _dump(self) -> Iterator[bytes]:
        return decompressed(self._compared(self._place.object_key))

    def _verified(self) -> str:
        """The table of contents, once every byte of the dump has been compared."""
        self._feed("stored", self._dump())
        self._ended("stored")
        return (self._folder / "contents").read_text()

    def _head(self, listed: str) -> Head:
        (self._folder / "head.list").write_text(Contents.parse(listed).head)
        self._feed("head", self._dump(), to_end=False)
        self._ended("head")
        text = (self._folder / "head.sql").read_text()
        return Head.parse(text, DATABASE, self._run.scratch)

    # -- before anything is made -----------------------------------------------------------

    def _check_tablespaces(self, globals_: Globals) -> None:
        """A new Database has but the one, so that there nothing is moved that lay well."""
        if not globals_.tablespaces or self._run.whole == DATABASE:
            return
        named = ", ".join(globals_.tablespaces)
        why = f"the backup is of a server with tablespaces ({named}), and in place its tables would"
        why += (
            " be moved out of them: restore into a new Database, where all lie in the default one"
        )
        raise Failed("UnsupportedTablespaces", why)

    def _check(self, head: Head) -> None:
        """Raises Failed for what would only be found in the middle."""
        listed = {each.name for each in self._run.extensions}
        others = [name for name, _ in head.extensions if name not in listed]
        untrusted = self._into.untrusted(others)
        if untrusted:
            why = "the backup has extensions that only a superuser may create, or that the image "
            why += f"lacks: name them in spec.extensions: {', '.join(untrusted)}"
            raise Failed("ExtensionNotListed", why)
        # A dump has two characters for a byte of binary data, and indexes not at all.
        self._check_room(self._record.source_bytes // 2)

    def _check_room(self, more: int) -> None:
        """A volume that is full stops the database that serves from it, too."""
        limit = self._run.limit_bytes
        if limit is None or self._into.used() + more <= limit:
            return
        why = f"with the copy the volume would hold more than {limit >> 20} MiB, which is what may "
        why += "be filled of it: raise spec.storage.size, or restore into a new Database"
        raise Failed("VolumeTooSmall", why)

    # -- pg_restore ------------------------------------------------------------------------

    def _restore(self, name: str, entries: str) -> None:
        (self._folder / f"{name}.list").write_text(entries)
        self._feed(name, self._watched(self._dump()), to_end=False)
        self._ended(name, self._look)

    def _watched(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._look()
            yield chunk

    def _look(self) -> None:
        """Every second: a complaint or a volume that fills ends it at once."""
        if time.monotonic() - self._looked < LOOK_AGAIN:
            return
        self._looked = time.monotonic()
        for name in ("schemas", "rest"):
            self._judge(name)
        self._check_room(0)

    def _judge(self, name: str) -> None:
        path = self._folder / f"{name}.said"
        said = path.read_text(errors="replace") if path.exists() else ""
        found = fault(said, self._mighty)
        if not found:
            return
        if LOST.search(found):
            raise Failed("ServerUnavailable", found)
        raise Failed("VolumeFull" if FULL in found else "RestoreFailed", found)

    def _status(self, name: str) -> Path:
        return self._folder / f"{name}.status"

    def _feed(self, name: str, chunks: Iterator[bytes], *, to_end: bool = True) -> None:
        over = self._status(name).exists
        write_pipe(self._folder / name, chunks, over, to_end=to_end)

    def _ended(self, name: str, look: Callable[[], None] = lambda: None) -> None:
        """How pg_restore ended. One that builds indexes does so for hours; the Job's deadline, and
        the container that starts again and says `interrupted`, end the waiting."""
        while not self._status(name).exists():
            look()
            time.sleep(TURN)
        if name in ("schemas", "rest"):
            self._judge(name)
        status = self._status(name).read_text().strip()
        if status == "0" or (status == "1" and self._only_owners(name)):
            return
        why = f"pg_restore ({name}) ended with {status}; the log of the container load says why"
        raise Failed("RestoreInterrupted" if status != "127" else "RestoreFailed", why)

    def _only_owners(self, name: str) -> bool:
        """It says 1 for complaints that are no fault, too; how many, it says last."""
        path = self._folder / f"{name}.said"
        said = path.read_text(errors="replace") if path.exists() else ""
        return "errors ignored on restore" in said
