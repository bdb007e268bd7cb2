"""Fills a volume of Railway with a backup and with its log, for the image that runs there next.

On Railway one volume is at one container, which is of one image: nothing of ours can stand beside
PostgreSQL and fetch the log for it. So all of it is fetched first, and verified, up to the planned
end; only then may PostgreSQL start. Another run over what a kill has left gives the same.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from postbase_operator.archive.keys import PhysicalFolder, RecoveryProgressKey, parse_backup
from postbase_operator.archive.record import BackupRecord
from postbase_operator.archive.run import LastWord, RecoveryProgress
from postbase_operator.archive.staging import FOLDER, HBA, LOG, VOLUME, Staging, StagingEnd
from postbase_operator.archive.staging import attempt_in as attempt_of
from postbase_operator.desired import staged
from postbase_operator.errors import PostbaseError
from postbase_operator.jobs import desk, fill
from postbase_operator.jobs.desk import Failed
from postbase_operator.jobs.far_receiver import from_outside
from postbase_operator.jobs.supply import Answer, File, Supply
from postbase_operator.objectstore.s3 import S3Store
from postbase_operator.objectstore.settings import StoreConfig
from postbase_operator.objectstore.store import ObjectStore
from postbase_operator.wal import control

logger = logging.getLogger(__name__)
WORKERS = 4
TOLD_EVERY = 3.0
MUSL = "musl"
OF = "pgdata.of"
"""Beside the data: the key of the backup that it was made of."""
RUN = f"{FOLDER}/run"
"""In the data: what its log was fetched for."""
MIB = 1024 * 1024
LARGER = (
    "this restore is not tried again: make it anew (in place the PitrRestore, else the Database) "
    "with a larger spec.storage.size of the Database"
)
"""A size that is raised afterwards mends none that has been given up."""


def main() -> int:
    """0, or 1 and a last word; either way the line of the log that tells it."""
    logging.basicConfig(level="INFO", format="%(asctime)s %(message)s")
    attempt = max(1, attempt_of(os.environ))
    try:
        told = Staging.of(os.environ)
        config = from_outside(StoreConfig.from_mapping(told.store))
        store = S3Store(lambda: config)
        Stage(told, store, Path(os.environ[VOLUME])).make()
    except PostbaseError as error:
        return _end(attempt, desk.last_word(error))
    except OSError as error:
        return _end(attempt, _full(error) if _is_full(error) else _of_system(error))
    return _end(attempt, None)


def _end(attempt: int, word: LastWord | None) -> int:
    reason, message = (word.reason, word.message) if word is not None else ("", "")
    logger.info("%s", StagingEnd(attempt=attempt, reason=reason, message=message).line())
    return 0 if word is None else 1


def _is_full(error: OSError) -> bool:
    return error.errno == errno.ENOSPC


def _full(error: OSError) -> LastWord:
    return LastWord(reason="VolumeFull", message=f"{error}: {LARGER}")


def _of_system(error: OSError) -> LastWord:
    """A volume that cannot be written, for example: the platform mounts it as root's."""
    return LastWord(reason="RunFailed", message=str(error)[:1500])


class Stage:
    """One attempt."""

    def __init__(self, told: Staging, store: ObjectStore, volume: Path) -> None:
        self._told, self._store, self._volume = told, store, volume
        self._data = volume / "pgdata"
        self._files, self._bytes, self._said = 0, 0, -TOLD_EVERY

    def make(self) -> None:
        """Raises as fill.make does, and Failed for what cannot be recovered there."""
        run = self._told.run
        place = parse_backup(run.object_key)
        if not isinstance(place, PhysicalFolder):
            raise Failed("BackupNotPhysical", f"{run.object_key} is no physical backup")
        record = fill.record_of(place, self._store)
        check_fits(record)
        self._tell(place)
        supply = Supply(self._store, record, run.recovery) if run.recovery is not None else None
        self._clear()
        if not self._data.exists():
            files = sum(1 for _ in names(supply)) if supply is not None else 0
            needed = record.source_bytes + files * record.wal_segment_size
            check_room(needed, shutil.disk_usage(self._volume).free)
            self._write(self._volume / OF, run.object_key)
        fill.make(run, self._store, self._volume)
        if supply is not None:
            self._fetch_log(place, supply)
        self._settle()
        if run.recovery is not None:
            self._store.delete(str(RecoveryProgressKey(place.archive, run.recovery.restore)))

    def _clear(self) -> None:
        """Attempts plan anew, and another plan may begin with another backup: over the first one's
        data PostgreSQL would find the end of the log too early, and promote. So data stays only
        where it can become what is asked for. Whose it is was noted before it got its name."""
        part = self._volume / "pgdata.part"
        shutil.rmtree(part, ignore_errors=True)
        if not self._data.exists() or self._is_ours():
            return
        if not (self._data / "recovery.signal").exists() and not (self._data / FOLDER).exists():
            raise Failed("VolumeInUse", "a database that was made fit to serve is on the volume")
        logger.info("what another attempt has left is fetched anew")
        self._data.rename(part)
        fill.sync(self._volume)
        shutil.rmtree(part)

    def _is_ours(self) -> bool:
        """It is of the same backup, and PostgreSQL has not touched it, or recovers it to the same
        end. What an attempt before has promoted never is: nobody knows any more how far it came."""
        if said(self._volume / OF) != self._told.run.object_key:
            return False
        if (self._data / "backup_label").exists():
            return True  # PostgreSQL takes it away when it begins
        wanted = self._told.run.to_bytes().decode()
        return (self._data / "recovery.signal").exists() and said(self._data / RUN) == wanted

    # -- the log -----------------------------------------------------------------------------

    def _fetch_log(self, place: PhysicalFolder, supply: Supply) -> None:
        """Each file has its name when it is whole; those that an attempt at the very same has left
        are kept. Of one to another end the last file would be cut too early."""
        folder, mark = self._data / LOG, self._data / RUN
        wanted = self._told.run.to_bytes().decode()
        if said(mark) != wanted:
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        self._write(mark, wanted)
        with ThreadPoolExecutor(WORKERS, thread_name_prefix="fetch") as pool:
            for taken in pool.map(lambda name: self._take(supply, folder, name), names(supply)):
                self._files, self._bytes = self._files + 1, self._bytes + taken
                self._tell(place)
        fill.sync(folder)

    def _take(self, supply: Supply, folder: Path, name: str) -> int:
        """In a thread. Its bytes."""
        path = folder / name
        if path.exists():
            return path.stat().st_size
        match supply.answer(name):
            case File(data=data):
                part = folder / f"{name}.part"
                part.write_bytes(data)
                fill.sync(part)
                part.rename(path)
                return len(data)
            case Answer():
                raise Failed("WalGap", f"the archive lacks {name}")

    def _tell(self, place: PhysicalFolder) -> None:
        """How far it is, every few seconds. That it cannot fails nothing."""
        task = self._told.run.recovery
        if task is None or time.monotonic() - self._said < TOLD_EVERY:
            return
        self._said = time.monotonic()
        now = RecoveryProgress(wal_files=self._files, bytes=self._bytes, at=datetime.now(UTC))
        try:
            key = RecoveryProgressKey(place.archive, task.restore)
            self._store.put(str(key), now.to_bytes(), if_absent=False)
        except PostbaseError as error:
            logger.warning("progress could not be told: %s", error)

    # -- what the image needs ----------------------------------------------------------------

    def _settle(self) -> None:
        """Nothing of it is touched once PostgreSQL has been recovered here."""
        if not (self._data / "recovery.signal").exists():
            return
        told, folder = self._told, self._data / FOLDER
        folder.mkdir(exist_ok=True)
        for name, text in (
            ("ca.crt", told.authority),
            ("server.crt", told.certificate),
            ("server.key", told.key),
        ):
            self._write(folder / name, text)
        self._write(self._data / HBA, staged.hba())
        self._write(self._data / "pg_hba.conf", staged.MEANWHILE)
        self._write(self._data / "pg_ident.conf", "")
        conf = self._data / "postgresql.conf"
        own = conf.read_text().partition(staged.MARK)[0] if conf.exists() else ""
        self._write(conf, own + staged.SERVER)
        had = control.max_prepared_transactions((self._data / control.FILE).read_bytes())
        self._write(self._data / "postgresql.auto.conf", staged.with_room(told.settings, had))

    def _write(self, path: Path, text: str) -> None:
        part = path.with_name(f"{path.name}.part")
        part.touch(mode=0o600)
        part.write_text(text)
        fill.sync(part)
        part.rename(path)
        fill.sync(path.parent)


def said(mark: Path) -> str:
    """ "" where there is none."""
    return mark.read_text() if mark.exists() else ""


def names(supply: Supply) -> Iterator[str]:
    """All files that PostgreSQL may ask for before the planned end, the histories first. Raises
    Failed where there is no end: nothing here could wait for it."""
    if not supply.is_pinned:
        raise Failed("InvalidSpec", "the end of the log is not known")
    yield from supply.histories()
    number = supply.first
    while not supply.is_beyond(number):
        yield supply.name(number)
        number += 1


def check_fits(record: BackupRecord) -> None:
    """Raises Failed for data that Railway's image would read otherwise than it was written."""
    if record.libc == MUSL:
        raise Failed(
            "ImageMismatch",
            "the data was written by an image of Alpine, whose C library sorts text otherwise than "
            "that of Railway's image: restore it with provider Kubernetes and such an image, or "
            "load a dump into a Database that begins empty",
        )


def check_room(needed: int, free: int) -> None:
    """In bytes. Raises Failed before anything is fetched: Railway takes a volume offline that is
    full."""
    if needed > free:
        raise Failed(
            "VolumeFull",
            f"the backup and its log take {needed // MIB} MiB, and the volume has {free // MIB}: "
            f"{LARGER}",
        )
