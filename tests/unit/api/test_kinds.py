"""What the kinds know about themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from postbase_operator.api.api_token import ApiToken
from postbase_operator.api.backup import Backup, BackupOrigin
from postbase_operator.api.database import Database
from postbase_operator.api.parameters import OWNED, is_owned, owned_among
from postbase_operator.api.pitr_restore import PitrRestore
from postbase_operator.api.policies import (
    BackupMethod,
    BackupPolicy,
    BackupSettings,
    PitrPolicy,
    PitrSettings,
    RecoveryPoint,
)
from postbase_operator.api.project import ProjectDefaults
from postbase_operator.api.runs import RunPhase, spec_hash

BACKUP = {"spec": {"databaseRef": {"name": "db"}}}
RESTORE = {
    "spec": {"databaseRef": {"name": "db"}, "source": {"latest": {}}, "target": {"inPlace": {}}}
}


def database(**spec: Any) -> Database:
    least = {"projectRef": {"name": "p"}, "postgresVersion": "15", "storage": {"size": "1Gi"}}
    return Database.model_validate({"metadata": {"name": "d"}, "spec": {**least, **spec}})


@pytest.mark.parametrize("model", [Backup, PitrRestore])
@pytest.mark.parametrize("phase", [None, *RunPhase])
def test_done_is_done_for_good(
    model: type[Backup] | type[PitrRestore], phase: RunPhase | None
) -> None:
    body = BACKUP if model is Backup else RESTORE
    status = {"phase": phase} if phase else {}
    done = phase in (RunPhase.COMPLETED, RunPhase.FAILED)
    assert model.model_validate({**body, "status": status}).is_done() is done


@pytest.mark.parametrize(
    ("label", "origin"),
    [(None, "manual"), ("schedule", "schedule"), ("pitr", "pitr"), ("else", "manual")],
)
def test_origin(label: str | None, origin: str) -> None:
    labels = {"postbase.sh/origin": label} if label else {}
    backup = Backup.model_validate({**BACKUP, "metadata": {"labels": labels}})
    assert backup.origin is BackupOrigin(origin)


def test_spec_hash_is_about_the_meaning() -> None:
    """The API server fills in defaults: what Git brings back must still be the same run."""
    filled = {"databaseRef": {"name": "db"}, "method": "Logical", "deletionPolicy": "Retain"}
    short, long = (Backup.model_validate({"spec": s}).spec for s in (BACKUP["spec"], filled))
    other = Backup.model_validate({"spec": {**filled, "method": "Physical"}}).spec
    assert spec_hash(short) == spec_hash(long) != spec_hash(other)


class TestPolicies:
    def test_product_values(self) -> None:
        defaults = ProjectDefaults()
        assert database().backup_policy(defaults) == BackupPolicy()
        assert database().pitr_policy(defaults) == PitrPolicy()

    def test_a_database_stands_over_its_project(self) -> None:
        project = ProjectDefaults(
            backup=BackupSettings(retention_days=3, method=BackupMethod.PHYSICAL),
            pitr=PitrSettings(enabled=True, retention_days=14),
        )
        db = database(backup={"retentionDays": 90}, pitr={"enabled": False})
        backup, pitr = db.backup_policy(project), db.pitr_policy(project)
        assert (backup.retention_days, backup.method) == (90, BackupMethod.PHYSICAL)
        assert (pitr.enabled, pitr.retention_days) == (False, 14)

    def test_a_projects_fall_back_goes_with_zero_only(self) -> None:
        project = PitrSettings(rpo=RecoveryPoint.ZERO, fallback_after=timedelta(seconds=30))
        assert PitrPolicy.of(PitrSettings(), project).fallback_after == timedelta(seconds=30)
        asynchronous = PitrSettings(rpo=RecoveryPoint.ASYNC)
        assert PitrPolicy.of(asynchronous, project).fallback_after is None

    def test_a_database_stays_in_its_region(self) -> None:
        there, elsewhere = ProjectDefaults(region="us-west1"), ProjectDefaults(region="eu-west1")
        new = database()
        assert new.region(there) == "us-west1"
        made = new.model_copy(
            update={"status": new.status.model_copy(update={"region": "us-west1"})}
        )
        assert made.region(elsewhere) == "us-west1"
        assert database(region="ap-south1").region(there) == "ap-south1"


class TestParameters:
    @pytest.mark.parametrize("name", OWNED)
    def test_listed_ones_are_owned(self, name: str) -> None:
        assert is_owned(name)
        assert is_owned(name.upper())

    @pytest.mark.parametrize("name", ["recovery_of_a_later_major", "ssl_new", "some_file"])
    def test_families_are_owned(self, name: str) -> None:
        assert is_owned(name)

    @pytest.mark.parametrize(
        "name", ["work_mem", "hot_standby_feedback", "wal_level", "max_wal_size", "timezone"]
    )
    def test_others_are_the_users(self, name: str) -> None:
        assert not is_owned(name)

    def test_names_those_that_are_owned(self) -> None:
        assert owned_among({"work_mem": "1", "port": "2", "fsync": "3"}) == ("fsync", "port")


def test_tokens_are_found_by_their_digest_and_expire() -> None:
    digest = "0a" * 32
    assert ApiToken.name_of(digest) == "token-" + "0a" * 20
    body: dict[str, Any] = {"digest": digest, "accountRef": {"name": "jane"}}
    now = datetime(2026, 11, 23, tzinfo=UTC)
    assert ApiToken.model_validate({"spec": body}).is_valid(now)
    expiring = ApiToken.model_validate({"spec": {**body, "expiresAt": "2026-11-23T00:00:00Z"}})
    assert not expiring.is_valid(now)
    assert expiring.is_valid(now - timedelta(seconds=1))


def test_reads_what_a_newer_operator_wrote() -> None:
    db = Database.model_validate(
        {**database().to_wire(), "status": {"phase": "Running", "fromTheFuture": 1}}
    )
    assert db.status.phase == "Running"


def test_models_do_not_change_under_ones_feet() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        database().spec.paused = True  # type: ignore[misc]


def test_defaults_are_not_written() -> None:
    assert database().to_wire() == {
        "apiVersion": "postbase.sh/v1alpha1",
        "kind": "Database",
        "metadata": {"name": "d"},
        "spec": {"projectRef": {"name": "p"}, "postgresVersion": "15", "storage": {"size": "1Gi"}},
    }
