"""The order of a backup that no Job can take, and what its process says of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from postbase_operator.archive.backup_order import (
    KEYS,
    ORDER,
    SAID,
    BackupKeys,
    BackupOrder,
    BackupWord,
    keys_in,
    order_in,
    word_in,
)
from postbase_operator.archive.receiver_environment import one_line
from postbase_operator.archive.record import Progress, RunPart, UnreadableRecord
from unit.desired.test_backup_job import run_of
from unit.planning.test_backup import backup

AT = datetime(2026, 11, 29, 12, tzinfo=UTC)
RUN = run_of(backup(method="Physical"))
UNTIL = AT + timedelta(hours=1)
MADE = BackupOrder(attempt=2, made_at=AT, until=UNTIL, run=RUN)


def word(**more: object) -> BackupWord:
    return BackupWord.model_validate({"id": RUN.id, "attempt": 2, "at": AT} | more)


def test_it_is_read_as_it_was_written_and_holds_no_key() -> None:
    keys = BackupKeys(password="of the role", store={"AWS_SECRET_ACCESS_KEY": "hidden"})
    variables = {ORDER: one_line(MADE), KEYS: one_line(keys)}
    assert order_in(variables) == MADE
    assert keys_in(variables) == keys
    assert "hidden" not in variables[ORDER] + repr(keys)
    assert "of the role" not in variables[ORDER] + repr(keys)
    assert "\n" not in variables[ORDER]


@pytest.mark.parametrize("said", ["", "x", "{}", '{"version": 2}'])
def test_what_cannot_be_read_is_no_order(said: str) -> None:
    assert order_in({ORDER: said}) is None
    assert order_in({}) is None
    with pytest.raises(UnreadableRecord):
        keys_in({KEYS: said})


def test_the_last_word_is_that_of_the_attempt() -> None:
    failed = word(ended=True, reason="StoreUnavailable", message="two\nlines")
    lines = [
        "2026 " + word().line(),
        "noise",
        failed.line(),
        f"{SAID}noise",
        word(attempt=3).line(),
        word(id="bkp_another").line(),
    ]
    assert "\n" not in failed.line()
    assert word_in(lines, MADE) == failed
    assert word_in(lines[:2], MADE) == word()
    assert word_in(lines[3:], MADE) is None


def test_what_a_job_writes_of_its_progress_is_what_it_was() -> None:
    told = Progress(phase=RunPart.COPYING, bytes_done=1, bytes_total=2, at=AT)
    assert b"attempt" not in told.to_bytes()
    assert b"taker" not in told.to_bytes()
