"""A server from the bucket alone: a base backup, and the log as far as it goes."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from component.folder_sink import FOLDER
from component.receivers import archived, hot_store, index_of
from component.servers import Server
from component.store_server import store_of
from postbase_operator.archive.receiver import ArchiveOwner
from postbase_operator.objectstore.hot import HotS3Store
from postbase_operator.objectstore.settings import StoreConfig
from postbase_operator.wal.lsn import history_name, segments
from postbase_operator.wal.manifest import Manifest
from postbase_operator.wal.physical import PhysicalBackup
from postbase_operator.wal.unpack import place_segment, unpack


def restore(
    target: Server, backup: PhysicalBackup, config: StoreConfig, owner: ArchiveOwner
) -> None:
    """Of its data folder; whoever starts it then waits for the recovery's end."""
    store, log = store_of(config), hot_store(config)
    target.data.mkdir(mode=0o700)
    manifest = Manifest.parse(b"".join(store.get_stream(f"{FOLDER}backup_manifest")))
    for segment in manifest.segments(backup.segment_size):
        place_segment(store.get_stream(f"{FOLDER}wal/{segment.name}.zst"), segment, target.data)
    pieces = [item.key for item in backup.objects if item.key.startswith("pieces/")]
    unpack([partial(store.get_stream, f"{FOLDER}{key}") for key in pieces], manifest, target.data)
    folder = target.subfolder("log-of-the-bucket")
    _take_out(log, owner, folder)
    (target.data / "recovery.signal").touch()
    target.settings |= {
        "restore_command": f"'cp {folder}/%f \"%p\"'",
        "recovery_target_timeline": "'latest'",
    }
    target.take_over()


def _take_out(log: HotS3Store, owner: ArchiveOwner, folder: Path) -> None:
    index = index_of(log, owner)
    for timeline in index.timelines:
        for run in index.runs(timeline):
            for segment in segments(run.start, run.end, timeline):
                data = archived(log, owner, segment)
                (folder / segment.name).write_bytes(data.ljust(segment.size, b"\0"))
    for timeline, key in index.histories.items():
        (folder / history_name(timeline)).write_bytes(log.get(str(key)))
    for file in folder.iterdir():
        file.chmod(0o644)
