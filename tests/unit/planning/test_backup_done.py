"""A Backup that was completed is known again by its name and spec, from status or bucket."""

from __future__ import annotations

from datetime import timedelta

import pytest

from postbase_operator.api.backup import Backup, BackupStatus
from postbase_operator.api.database_status import FinishedRun
from postbase_operator.api.runs import RunPhase
from postbase_operator.planning.backup_done import REMEMBERED, done_before, remember, wish
from unit.archive.test_record import record
from unit.conftest import NOW
from unit.planning.test_backup import backup, mark


def completed(made: Backup, minutes: int = 0) -> Backup:
    done = NOW + timedelta(minutes=minutes)
    status = BackupStatus(phase=RunPhase.COMPLETED, completed_at=done)
    return made.model_copy(update={"status": status})


def named(name: str, origin: str = "manual") -> Backup:
    made = backup(origin)
    return made.model_copy(update={"metadata": made.metadata.model_copy(update={"name": name})})


def test_the_status_knows_it_again() -> None:
    assert done_before(backup(), [mark()]) == mark()
    assert done_before(backup(deletionPolicy="Delete"), [mark()]) == mark()


@pytest.mark.parametrize(
    "other",
    [named("another"), backup(method="Physical"), backup(retentionDays=3)],
    ids=["name", "method", "days"],
)
def test_another_name_or_spec_is_another_wish(other: Backup) -> None:
    assert done_before(other, [mark()]) is None


def test_the_bucket_knows_it_again_where_the_status_is_lost() -> None:
    earlier = record(spec_hash=wish(backup()))
    found = done_before(backup(), [], [record(), earlier])
    assert found is not None
    assert (found.id, found.completed_at) == (earlier.id, earlier.completed_at)
    for changes in ({"namespace": "other"}, {"backup_name": "b"}, {"backup_name": None}):
        assert done_before(backup(), [], [earlier.model_copy(update=changes)]) is None


def test_its_own_record_is_no_earlier_one() -> None:
    own = record(id=backup().id, spec_hash=wish(backup()))
    assert done_before(backup(), [], [own]) is None


def test_what_people_made_is_remembered_once_and_the_newest() -> None:
    first = remember((), [completed(backup()), completed(named("night", "schedule"))])
    assert [(run.name, run.spec_hash) for run in first] == [("before-migration", wish(backup()))]
    assert first[0].id == backup().id
    again = completed(backup(), 60)  # it came back: the mark stays that of the first
    assert remember(first, [again]) == first
    many = [completed(named(f"b{n}"), n) for n in range(REMEMBERED + 5)]
    kept = remember(first, many)
    assert len(kept) == REMEMBERED
    assert kept[0].name == f"b{REMEMBERED + 4}"
    unfinished = backup().model_copy(update={"status": BackupStatus(phase=RunPhase.FAILED)})
    assert remember((), [unfinished]) == ()


def test_marks_of_restores_are_none_of_ours() -> None:
    restore = FinishedRun.model_validate(
        {"kind": "PitrRestore", "name": "before-migration", "specHash": wish(backup())}
    )
    assert done_before(backup(), [restore]) is None
    assert len(remember([restore], [completed(backup())])) == 2
