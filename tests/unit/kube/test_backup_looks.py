"""What is told of a Backup where store, record, Project or mark are not as one would wish."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from postbase_operator.api.backup import Backup
from postbase_operator.api.base import Resource
from postbase_operator.api.conditions import find_condition
from postbase_operator.api.database import Database
from postbase_operator.api.database_status import FinishedRun, RunKind
from postbase_operator.api.ids import public_id
from postbase_operator.archive.keys import Archive, LogicalStem, PhysicalFolder
from postbase_operator.archive.run import BackupRun, ServerFacts
from postbase_operator.desired.backup_job import backup_job
from postbase_operator.kube.apply import body_of
from postbase_operator.kube.kinds import BACKUP, DATABASE, JOB, PITR_RESTORE, PROJECT
from postbase_operator.objectstore.store import Reason, StoreDenied, StoreUnavailable
from postbase_operator.planning.backup import plan_backup
from postbase_operator.planning.backup_done import wish
from postbase_operator.planning.backup_observed import BackupSeen, Limits
from postbase_operator.planning.backup_steps import AbortLeftovers, BackupPlan, StartRun, StopRun
from unit.archive.test_record import record
from unit.conftest import NOW, UID
from unit.kube.backup_world import (
    PROJECT_UID,
    SETTINGS,
    SYSTEM,
    World,
    project,
    running_database,
    world,
)
from unit.planning.test_backup import LOGICAL, POLICIES, backup

PROJ = public_id("Project", PROJECT_UID)
EARLIER = public_id("Backup", "4b1e4f5c-0000-4000-8000-00000000000e")
INCARNATION = f"{SYSTEM}-1"
HOUR = timedelta(hours=1)


def look(made: World, of: Backup) -> BackupSeen:
    return asyncio.run(made.looks.look(of))


def plan(made: World, of: Backup, at: timedelta = timedelta()) -> BackupPlan:
    return plan_backup(of, look(made, of), POLICIES, Limits(), NOW + at)


def reason(told: BackupPlan) -> str:
    found = find_condition(told.status.conditions, "Ready")
    assert found is not None
    return found.reason


def of_method(method: str) -> tuple[Backup, PhysicalFolder | LogicalStem, dict[str, Any]]:
    """A Backup, where an earlier one of this wish lies, and what its record says."""
    facts: dict[str, Any] = {"id": EARLIER, "method": method, "project": PROJ}
    facts |= {"incarnation": INCARNATION, "system_id": SYSTEM}
    if method == "Physical":
        return backup(method=method), PhysicalFolder(Archive(UID, INCARNATION), EARLIER), facts
    return backup(), LogicalStem(PROJ, "shop-main", EARLIER), facts | LOGICAL


def remembering(of: Backup) -> World:
    mark = FinishedRun(
        kind=RunKind.BACKUP,
        name=of.metadata.name,
        spec_hash=wish(of),
        id=EARLIER,
        completed_at=NOW - 30 * HOUR,
    )
    return world(of, db=running_database(finishedRuns=[mark.to_wire()]))


@pytest.mark.parametrize("method", ["Logical", "Physical"])
def test_one_that_came_back_finds_what_it_has_stored(method: str) -> None:
    asked, place, facts = of_method(method)
    made = remembering(asked)
    made.memory.objects[str(place.record)] = record(**facts).to_bytes()
    told = plan(made, asked)
    assert (told.status.phase, reason(told)) == ("Completed", "Completed")
    assert told.status.object_key == place.object_key
    assert told.status.verified_at == record(**facts).completed_at
    assert told.steps == ()


def test_one_that_came_back_without_its_bytes_has_expired() -> None:
    asked, _, _ = of_method("Logical")
    told = plan(remembering(asked), asked)
    assert (told.status.phase, reason(told)) == ("Completed", "Expired")
    assert told.status.object_key is None


def test_whether_its_bytes_are_there_is_not_guessed_while_the_store_is_silent() -> None:
    asked, _, _ = of_method("Logical")
    made = remembering(asked)
    made.memory.fault = StoreUnavailable(Reason.UNREACHABLE, "no answer", passing=True)
    told = plan(made, asked)
    assert (told.status.phase, reason(told), told.steps) == ("Pending", "StoreUnavailable", ())


@pytest.mark.parametrize("method", ["Physical", "Logical"])
def test_of_a_database_on_railway_both_kinds_are_taken(method: str) -> None:
    asked = backup(method=method)
    body = running_database().to_wire()
    body["spec"]["provider"] = "Railway"
    told = plan(world(asked, db=Database.model_validate(body)), asked)
    assert told.status.phase == "Running"
    assert [isinstance(each, StartRun) for each in told.steps] == [True]


def begun(of: Backup) -> Backup:
    """It runs since NOW, and its process has gone."""
    stem = LogicalStem(PROJ, "shop-main", of.id)
    told = {
        "phase": "Running",
        "attempts": 1,
        "startedAt": NOW.isoformat(),
        "databaseUID": UID,
        "objectKey": stem.object_key,
    }
    return Backup.model_validate(of.to_wire() | {"status": told})


@pytest.mark.parametrize("body", [b"half of {", b'{"version": 9, "tool": {}}'])
def test_a_record_that_cannot_be_read_ends_by_the_deadline_and_costs_no_byte(body: bytes) -> None:
    asked = begun(backup())
    made = world(asked)
    made.memory.objects[str(LogicalStem(PROJ, "shop-main", asked.id).record)] = body
    first = plan(made, asked)
    assert (first.status.phase, reason(first), first.steps) == ("Running", "StoreUnavailable", ())
    end = plan(made, asked, 25 * HOUR)
    assert (end.status.phase, reason(end)) == ("Failed", "DeadlineExceeded")
    assert not any(isinstance(step, AbortLeftovers) for step in end.steps)


def test_keys_that_are_refused_are_told_and_end_by_the_deadline() -> None:
    made = world(backup())
    made.memory.fault = StoreDenied("GET …: AccessDenied")
    told = plan(made, backup())
    assert (told.status.phase, reason(told)) == ("Pending", "Denied")


def test_a_project_that_is_away_ends_no_run_and_lets_none_begin() -> None:
    running, waiting = begun(backup()), backup()
    made = world(running, objectStore={"bucket": "own"})
    made.cache.drop(PROJECT, project().to_wire())
    seen = look(made, running)
    assert seen.source is not None
    assert seen.source.project_id == ""
    told = plan(made, running)
    assert (told.status.phase, told.steps) == ("Running", ())
    assert made.stores.asked == [], "another store than the Project's own was asked"
    first = plan(made, waiting)
    assert (first.status.phase, reason(first)) == ("Pending", "ProjectNotFound")


def test_a_database_that_is_away_ends_it() -> None:
    running = begun(backup())
    made = world(running)
    made.cache.drop(DATABASE, running_database().to_wire())
    assert reason(plan(made, running)) == "DatabaseDeleted"


def test_a_store_that_was_taken_away_is_told_and_starts_no_attempt() -> None:
    running = begun(backup())
    made = world(running)
    made.stores._default = None
    told = plan(made, running)
    assert (told.status.phase, reason(told), told.steps) == ("Running", "StoreUnavailable", ())


def job_of(of: Backup, source_bytes: int) -> dict[str, Any]:
    facts = ServerFacts(
        system_id=SYSTEM,
        postgres_version="15.8",
        major=15,
        arch="x86_64",
        libc="gnu",
        block_size=8192,
        wal_segment_size=2**24,
        encoding="UTF8",
        source_bytes=source_bytes,
    )
    run = BackupRun(
        id=of.id,
        method=of.spec.method,
        backup_name=of.metadata.name,
        spec_hash=wish(of),
        project=PROJ,
        namespace="team",
        name="shop-main",
        database_uid=UID,
        incarnation=INCARNATION,
        image_digest="",
        host="shop-main.team.svc",
        port=5432,
        dbname="app",
        server=facts,
    )
    body = body_of(backup_job(of, running_database(), run, "postgres:15", 1, SETTINGS))
    body["metadata"]["creationTimestamp"] = NOW.isoformat()
    return body


def test_its_deadline_follows_the_volume_and_then_what_its_run_was_told() -> None:
    gib = 2**30
    big = running_database(volume={"claimName": "c", "generation": 1, "capacity": "100Gi"})
    made = world(backup(), db=big)
    first = look(made, backup())
    assert first.source is not None
    assert first.source.size_bytes == 100 * gib
    running = begun(backup())
    made.hold(BACKUP, running)
    made.hold(JOB, job_of(running, 3 * gib))
    seen = look(made, running)
    assert seen.source is not None
    assert seen.source.size_bytes == 3 * gib
    assert plan(made, running, HOUR - timedelta(seconds=1)).status.phase == "Running"
    end = plan(made, running, HOUR)
    assert (reason(end), end.steps[0]) == ("DeadlineExceeded", StopRun(1))


def test_a_database_is_told_its_own_backups_and_which_a_restore_reads() -> None:
    other = Backup.model_validate(
        backup().to_wire() | {"spec": {"databaseRef": {"name": "another"}}}
        | {"metadata": {"name": "b", "namespace": "team"}}
    )  # fmt: skip
    made = world(backup(), other)
    restore = {
        "metadata": {"name": "undo", "namespace": "team"},
        "spec": {
            "databaseRef": {"name": "shop-main"},
            "source": {"backupRef": {"name": "before-migration"}},
            "target": {"inPlace": {}},
        },
    }
    made.hold(PITR_RESTORE, restore)
    known = made.looks.of(running_database().to_wire(), project())
    assert [each.metadata.name for each in known.all] == ["before-migration"]
    assert known.pinned == {"before-migration"}
    assert known.has_store
    done = restore | {"status": {"phase": "Completed"}}
    made.hold(PITR_RESTORE, done)
    assert made.looks.of(running_database().to_wire(), project()).pinned == frozenset()


ELSE = "4b1e4f5c-0000-4000-8000-00000000000f"
OTHERS = public_id("Project", ELSE)


@pytest.mark.parametrize(
    ("told", "counts"),
    [
        ({"databaseUID": UID}, True),
        ({"databaseUID": ELSE, "projectID": PROJ}, True),
        ({"databaseUID": ELSE, "projectID": OTHERS}, False),
        ({"databaseUID": ELSE, "objectKey": f"{PROJ}/db_gone/bkp_x.dump.gz"}, True),
        ({"objectKey": None, "databaseUID": UID}, False),
        ({"phase": "Failed", "databaseUID": UID}, False),
    ],
    ids=[
        "of a Database that is there",
        "Physical, of one that is gone",
        "of one that is gone, and was another Project's",
        "a dump of before, by its key",
        "without bytes",
        "failed",
    ],
)
def test_whose_quota_a_backup_counts_for(told: dict[str, Any], counts: bool) -> None:
    """The bytes of a Database that is gone take as much room as those of one that is there."""
    status = {"phase": "Completed", "sizeBytes": 100, "objectKey": "v1/a/b/base/c/"} | told
    made = Backup.model_validate(backup().to_wire() | {"status": status})
    assert world(made).looks.usage(project()) == ((1, 100) if counts else (0, 0))


def test_a_look_reads_nothing_of_other_databases(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a fleet there are tens of thousands of Backups: reading them all took seconds a look."""
    own = backup()
    made, db = world(own), running_database()
    for number in range(300):
        for kind, status in ((BACKUP, {"phase": "Completed"}), (PITR_RESTORE, {})):
            of = {"name": f"{kind.plural}-{number}", "namespace": "team", "uid": str(number)}
            spec = {"databaseRef": {"name": f"other-{number % 100}"}}
            made.cache.put(kind, {"metadata": of, "spec": spec, "status": status})
        other = db.to_wire()
        other["metadata"] = {**other["metadata"], "name": f"other-{number}", "uid": f"{number}"}
        made.cache.put(DATABASE, other)
    read: list[str] = []
    validate = Resource.model_validate.__func__  # type: ignore[attr-defined]

    def noted(cls: type[Resource], body: Any) -> Any:
        read.append(body["metadata"]["name"])
        return validate(cls, body)

    monkeypatch.setattr(Resource, "model_validate", classmethod(noted))
    look(made, own)
    made.looks.of(db.to_wire(), None)
    assert set(read) <= {own.metadata.name, "shop-main", "shop"}
    assert len(read) < 20
