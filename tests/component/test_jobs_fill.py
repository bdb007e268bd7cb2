"""The Job that fills a volume with a physical backup: whole, or not at all."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from component.fault_proxy import Answers, FaultProxy
from component.job_runs import flip, run_of, take_physical
from component.servers import Server, Servers, servers
from component.store_server import StoreServer, store_of, store_server
from component.test_jobs_physical import system_id_of
from postbase_operator.archive.run import BackupRun, FillRun, LastWord
from postbase_operator.errors import PostbaseError
from postbase_operator.jobs import desk, fill
from postbase_operator.jobs.desk import last_word
from postbase_operator.objectstore.s3 import S3Store
from postbase_operator.objectstore.settings import StoreConfig

__all__ = ["servers"]
FOUND = ("ChecksumMismatch", "BackupDamaged", "BackupMissing")


@pytest.fixture(scope="module")
def server(servers: Servers) -> Server:
    made = servers.new(15)
    made.load(2)
    return made


@pytest.fixture
def run(server: Server, s3_store: S3Store) -> BackupRun:
    made = run_of("Physical", system_id_of(server))
    take_physical(made, s3_store, server.conninfo)
    return made


def take(run: BackupRun, store: S3Store, volume: Path) -> None:
    volume.mkdir(exist_ok=True)
    fill.make(FillRun(object_key=str(run.place)), store, volume)


@pytest.fixture
def in_memory() -> Iterator[Path]:
    """A hundred fills are not to wait for a disk a hundred times."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


@pytest.mark.timeout(400)
def test_a_flipped_byte_anywhere_is_found_and_the_volume_is_none(
    run: BackupRun,
    s3_store: S3Store,
    s3_server: StoreServer,
    s3_config: StoreConfig,
    in_memory: Path,
) -> None:
    """At 100 random places, of each kind of object some; those of a dump: test_jobs_load.py."""
    chance, volume = random.Random(6), in_memory / "volume"  # noqa: S311 - no secret
    all_keys = sorted(each.key for each in s3_store.list(""))
    folder = str(run.place)
    kinds = {
        kind: [key for key in all_keys if key.removeprefix(folder).startswith(kind)]
        for kind in ("backup.json", "backup_manifest", "pieces/", "wal/")
    }
    assert all(kinds.values())
    assert sum(map(len, kinds.values())) == len(all_keys), all_keys
    for number in range(100):
        key = chance.choice(list(kinds.values())[number % 4])
        at = chance.randrange(s3_store.stat(key).size)
        flip(s3_server, s3_config, key, at)
        with pytest.raises(PostbaseError) as caught:
            take(run, s3_store, volume)
        assert last_word(caught.value).reason in FOUND, (key, at)
        assert not (volume / "pgdata").exists()
        flip(s3_server, s3_config, key, at)
        shutil.rmtree(volume)
    take(run, s3_store, volume)
    assert (volume / "pgdata/PG_VERSION").read_text() == "15\n"


def test_what_is_cut_short_is_found(
    run: BackupRun,
    s3_store: S3Store,
    s3_server: StoreServer,
    s3_config: StoreConfig,
    tmp_path: Path,
) -> None:
    keys = [each.key for each in s3_store.list("") if "/pieces/" in each.key]
    path = s3_server.folder / "objects" / s3_config.bucket / keys[0]
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(PostbaseError) as caught:
        take(run, s3_store, tmp_path / "volume")
    assert last_word(caught.value).reason in FOUND
    assert not (tmp_path / "volume/pgdata").exists()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A volume of 16 MiB."""
    if os.geteuid() != 0:
        pytest.skip("a file system of its own is mounted by root alone")
    volume = tmp_path / "small"
    volume.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", str(volume)], check=True)
    yield volume
    subprocess.run(["umount", "--lazy", str(volume)], check=True)


def test_a_volume_that_is_too_small_is_told_by_its_name(
    run: BackupRun,
    s3_store: S3Store,
    small: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(desk, "LAST_WORD", tmp_path / "termination-log")
    with pytest.raises(OSError, match="No space left"):
        desk.run(lambda: take(run, s3_store, small))
    assert LastWord.from_bytes(desk.LAST_WORD.read_bytes()).reason == "VolumeFull"
    assert not (small / "pgdata").exists()


def test_a_run_that_a_store_has_ended_is_followed_by_one_that_is_whole(
    run: BackupRun, s3_proxy: FaultProxy, s3_config: StoreConfig, tmp_path: Path
) -> None:
    store = store_of(replace(s3_config, endpoint=s3_proxy.endpoint))
    s3_proxy.next("GET .*pieces", Answers(503, "SlowDown"), times=1000)
    with pytest.raises(PostbaseError) as caught:
        take(run, store, tmp_path / "volume")
    assert last_word(caught.value).reason == "StoreUnavailable"
    for rule in s3_proxy._rules:
        rule.times = 0
    take(run, store, tmp_path / "volume")
    take(run, store, tmp_path / "volume")  # whole by its name: nothing is done again
    assert sorted(each.name for each in (tmp_path / "volume").iterdir()) == ["pgdata"]


@pytest.mark.parametrize("back", [True, False], ids=["is back", "stays away"])
def test_a_store_whose_process_is_killed_in_the_middle(
    server: Server, tmp_path: Path, back: bool
) -> None:
    """Asked again until it answers; one that stays away leaves no volume that looks whole."""
    with ExitStack() as first, ExitStack() as second:
        gateway = first.enter_context(store_server(tmp_path / "s3"))
        config = gateway.config
        store = S3Store(lambda: config) if back else store_of(config)
        run = run_of("Physical", system_id_of(server))
        take_physical(run, store, server.conninfo)

        class Killing:
            """Kills the process once the fill reads its first piece."""

            def __init__(self) -> None:
                self.killed = False

            def __getattr__(self, name: str) -> Any:
                return getattr(store, name)

            def get_stream(self, key: str, *args: Any) -> Any:
                if "/pieces/" in key and not self.killed:
                    self.killed = True
                    first.close()
                    if back:
                        second.enter_context(store_server(tmp_path / "s3", port=gateway.port))
                return store.get_stream(key, *args)

        killing: Any = Killing()
        if back:
            take(run, killing, tmp_path / "volume")
        else:
            with pytest.raises(PostbaseError) as caught:
                take(run, killing, tmp_path / "volume")
            assert last_word(caught.value).reason == "StoreUnavailable"
        assert killing.killed
        assert (tmp_path / "volume/pgdata").exists() is back
