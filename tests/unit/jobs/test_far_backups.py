"""Who carries out the order of a backup: by a child, whose end is told, and not for too long."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Self

import pytest

from postbase_operator.archive.backup_order import ORDER, BackupOrder, BackupWord, word_in
from postbase_operator.archive.receiver_environment import one_line
from postbase_operator.jobs import far_backups
from postbase_operator.jobs.far_backups import FarBackups
from unit.desired.test_backup_job import run_of
from unit.planning.test_backup import backup

WAITS = "code"
"""A module that reads standard input until its end, and says what is no word."""


def order(until: timedelta = timedelta(hours=1)) -> BackupOrder:
    now = datetime.now(UTC)
    run = run_of(backup(method="Physical"))
    return BackupOrder(attempt=1, made_at=now, until=now + until, run=run)


class Later(datetime):
    """After the end of every order that is made here."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return super().now(tz) + timedelta(hours=2)


def told(made: BackupOrder) -> FarBackups:
    return FarBackups({**os.environ, ORDER: one_line(made)})


def until(condition: Callable[[], object]) -> None:
    """A machine that stands still for all of the seconds costs one look."""
    ends, looks = time.monotonic() + 30, 700
    while not condition():
        looks -= 1
        assert looks > 0 or time.monotonic() < ends
        time.sleep(0.02)


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Callable[[BackupOrder], BackupWord | None]:
    caplog.set_level("INFO")
    return lambda made: word_in([each.getMessage() for each in caplog.records], made)


Said = Callable[[BackupOrder], BackupWord | None]


def ended(backups: FarBackups, made: BackupOrder, said: Said) -> BackupWord:
    def look() -> bool:
        backups.look()
        word = said(made)
        return word is not None and word.ended

    until(look)
    word = said(made)
    assert word is not None
    return word


def test_one_that_ends_without_a_word_has_failed(
    monkeypatch: pytest.MonkeyPatch, said: Said
) -> None:
    monkeypatch.setattr(far_backups, "PROGRAM", "this")
    made = order()
    word = ended(told(made), made, said)
    assert (word.reason, word.message) == ("RunFailed", "the backup's program ended with 0")


def test_one_that_is_killed_is_told_as_such_and_that_once(
    monkeypatch: pytest.MonkeyPatch, said: Said, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(far_backups, "PROGRAM", WAITS)
    made = order()
    backups = told(made)
    backups.look()
    word = said(made)
    assert word is not None
    assert not word.ended
    child = backups._child
    assert child is not None
    child.kill()
    assert ended(backups, made, said).reason == "OOMKilled"
    before = len(caplog.records)
    for _ in range(5):
        backups.look()
    assert len(caplog.records) == before
    monkeypatch.setattr(far_backups, "SAID_AGAIN", 0.0)
    backups.look()
    assert len(caplog.records) == before + 1


def test_that_it_runs_is_told_again(
    monkeypatch: pytest.MonkeyPatch, said: Said, caplog: pytest.LogCaptureFixture
) -> None:
    """Its first word may be behind five hundred other lines by the time that somebody looks."""
    monkeypatch.setattr(far_backups, "PROGRAM", WAITS)
    made = order()
    backups = told(made)
    backups.look()
    caplog.clear()
    backups.look()
    assert said(made) is None
    monkeypatch.setattr(far_backups, "SAID_AGAIN", 0.0)
    backups.look()
    word = said(made)
    assert word is not None
    assert not word.ended
    backups.stop()


def test_it_is_ended_at_its_deadline(monkeypatch: pytest.MonkeyPatch, said: Said) -> None:
    monkeypatch.setattr(far_backups, "PROGRAM", WAITS)
    made = order()
    backups = told(made)
    backups.look()
    monkeypatch.setattr(far_backups, "datetime", Later)
    assert ended(backups, made, said).reason == "DeadlineExceeded"
    assert backups._child is not None
    assert backups._child.poll() is not None


def test_an_order_that_is_void_is_not_begun(monkeypatch: pytest.MonkeyPatch, said: Said) -> None:
    monkeypatch.setattr(far_backups, "PROGRAM", "no_such_module")
    made = order(timedelta(seconds=-1))
    backups = told(made)
    backups.look()
    assert backups._child is None
    assert said(made) is None


@pytest.mark.parametrize("environ", [{}, {ORDER: "of a later release"}])
def test_without_an_order_there_is_nothing_to_do(environ: dict[str, str]) -> None:
    backups = FarBackups(environ)
    backups.look()
    backups.stop()
    assert backups._child is None


def test_it_ends_with_who_has_started_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(far_backups, "PROGRAM", WAITS)
    backups = told(order())
    backups.look()
    child = backups._child
    assert child is not None
    backups.stop()
    assert child.poll() is not None
