"""When a deletion waits for a last backup, when it goes on, and when the volume stays."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from postbase_operator.api.backup import Backup, BackupOrigin
from postbase_operator.api.database import Database
from postbase_operator.api.policies import BackupMethod
from postbase_operator.api.project import ProjectDefaults
from postbase_operator.planning import plan as steps
from postbase_operator.planning.final_backup import PATIENCE, Final, final, final_name
from unit.conftest import NOW, database


def going(at: datetime = NOW, **spec: Any) -> Database:
    db = database(**{"deletionPolicy": "FinalBackup", **spec})
    metadata = db.metadata.model_copy(update={"deletion_timestamp": at})
    status = db.status.model_copy(update={"system_id": "7300000000000000001"})
    return db.model_copy(update={"metadata": metadata, "status": status})


def made(db: Database, phase: str, **more: Any) -> Backup:
    return Backup.model_validate(
        {
            "metadata": {"name": final_name(db), "namespace": "team", "uid": "u"} | more,
            "spec": {"databaseRef": {"name": db.metadata.name}},
            "status": {"phase": phase, "objectKey": "proj_a/b/c.dump.gz"},
        }
    )


def look(db: Database, *backups: Backup, now: datetime = NOW) -> Final:
    return final(db, backups, ProjectDefaults(), now)


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
def test_no_other_policy_waits(policy: str) -> None:
    assert not look(going(deletionPolicy=policy)).waits


def test_of_a_private_database_it_is_physical() -> None:
    (step,) = look(going(provider="Railway", expose="Private")).todo
    assert isinstance(step, steps.CreateBackup)
    assert step.backup.spec.method is BackupMethod.PHYSICAL


def test_it_is_asked_for_once_and_waited_for() -> None:
    db = going(backup={"method": "Physical"})
    asked = look(db)
    (step,) = asked.todo
    assert isinstance(step, steps.CreateBackup)
    assert step.backup.origin is BackupOrigin.FINAL
    assert step.backup.spec.method is BackupMethod.PHYSICAL
    assert len(step.backup.metadata.name) <= 63
    assert asked.waits
    for phase in ("Pending", "Running"):
        waiting = look(db, made(db, phase))
        assert (waiting.waits, waiting.todo) == (True, ())
    done = look(db, made(db, "Completed"))
    assert (done.waits, done.keeps, done.todo) == (False, False, ())


def test_what_cannot_be_is_not_waited_for_and_the_volume_stays() -> None:
    db = going()
    late = NOW + PATIENCE
    cases = [
        look(going(paused=True)),
        look(db, made(db, "Failed")),
        look(db, made(db, "Running", deletionTimestamp="2026-11-23T03:00:00Z")),
        look(db, made(db, "Running"), now=late),
        look(db, now=late),
    ]
    for each in cases:
        assert (each.waits, each.keeps, each.todo) == (False, True, ())
        assert each.reason == "FinalBackupFailed"
    assert look(db, made(db, "Running"), now=late - timedelta(seconds=1)).waits


def test_one_that_has_never_run_has_nothing_to_back_up() -> None:
    db = going()
    fresh = db.model_copy(update={"status": database().status})
    found = look(fresh)
    assert (found.waits, found.keeps) == (False, False)
