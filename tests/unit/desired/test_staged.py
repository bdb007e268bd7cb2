"""The files of a copy that PostgreSQL recovers on Railway."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from postbase_operator.archive.run import RecoveryTask
from postbase_operator.archive.staging import LOG
from postbase_operator.desired import staged

TASK = RecoveryTask(restore="r", timeline=3, end="0/5000000")


def settings(text: str) -> dict[str, str]:
    pairs = (line.split(" = ", 1) for line in text.splitlines())
    return {name: value[1:-1].replace("''", "'") for name, value in pairs}


def test_a_target_only_where_there_is_one() -> None:
    plain = settings(staged.recovery(TASK, {}))
    assert plain["recovery_target_timeline"] == "3"
    assert "recovery_target_time" not in plain
    moment = datetime(2026, 11, 23, 14, 30, 0, 500, tzinfo=UTC)
    until = settings(staged.recovery(TASK.model_copy(update={"stop_at": moment}), {}))
    assert until["recovery_target_time"] == "2026-11-23 14:30:00.000500+00:00"
    assert until["recovery_target_inclusive"] == "on"
    assert settings(staged.recovery(None, {}))["recovery_target"] == "immediate"


def test_smaller_sizes_than_the_logs_do_not_hinder() -> None:
    """max_connections of the log may be larger (A standby that is hot would refuse to start)."""
    assert settings(staged.recovery(TASK, {}))["hot_standby"] == "off"


def test_there_is_room_for_the_prepared_transactions_of_the_log() -> None:
    """Without it the recovery ends at the first that it replays."""

    def room(had: int, **wanted: str) -> str:
        text = staged.with_room(staged.recovery(TASK, wanted), had)
        return settings(text)["max_prepared_transactions"]

    assert room(0) == "0"
    assert room(5) == "5"
    assert room(5, max_prepared_transactions="3") == "5"
    assert room(5, max_prepared_transactions="8") == "8"


def test_commit_times_are_kept_where_the_spec_asks_for_them() -> None:
    assert "track_commit_timestamp" not in settings(staged.recovery(TASK, {}))
    tracked = settings(staged.recovery(TASK, {"track_commit_timestamp": "on", "work_mem": "8MB"}))
    assert tracked["track_commit_timestamp"] == "on"
    assert "work_mem" not in tracked


def restored(folder: Path, name: str, to: str) -> int:
    command = settings(staged.recovery(TASK, {}))["restore_command"]
    command = command.replace("%f", name).replace("%p", to)
    return subprocess.run(["/bin/sh", "-c", command], cwd=folder, check=False).returncode


def test_only_what_is_not_there_ends_the_log(tmp_path: Path) -> None:
    (tmp_path / LOG).mkdir(parents=True)
    (tmp_path / LOG / "000000010000000000000001").write_bytes(b"log")
    assert restored(tmp_path, "000000010000000000000001", "taken") == 0
    assert (tmp_path / "taken").read_bytes() == b"log"
    assert restored(tmp_path, "000000010000000000000002", "taken") == 1
    # More than 125, so that PostgreSQL gives up and does not promote early.
    assert restored(tmp_path, "000000010000000000000001", "no/such/folder") == 255


@pytest.mark.trap("replication-not-in-all")
def test_who_may_come_in_before_and_after() -> None:
    lines = [each for each in staged.MEANWHILE.splitlines() if not each.startswith("#")]
    assert lines == ["hostssl all postgres all cert"]
    assert "hostssl replication postbase_walrx all scram-sha-256" in staged.hba()
    assert "trust" not in "".join(each for each in staged.hba().splitlines() if "host" in each)
