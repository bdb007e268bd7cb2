"""spec.expose: Private on Railway: what does not go with it, each refused with its remedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from postbase_operator.api.database import Database
from postbase_operator.api.policies import BackupMethod, RecoveryPoint
from postbase_operator.archive.receiver import ArchiveOwner, ReceiverConfig
from postbase_operator.archive.wish import ArchivingWish
from postbase_operator.errors import InvalidSpec
from postbase_operator.gateway.connection import uri
from postbase_operator.planning import plan as steps
from postbase_operator.planning.restore_rehearsal import Rehearsal
from postbase_operator.planning.restore_seen import ADMITTED
from postbase_operator.postgres.credentials import Front, fresh, written
from postbase_operator.railway.backups.backup_servers import BackupServers
from postbase_operator.railway.graphql.deployments import Deployment
from postbase_operator.railway.graphql.models import ServiceInstance
from postbase_operator.railway.ground import Ground
from postbase_operator.railway.observe import process
from postbase_operator.railway.sql.servers import Servers
from postbase_operator.railway.support import (
    UNSUPPORTED,
    check_private_beginning,
    check_private_step,
    check_support,
)
from postbase_operator.railway.wal.archive_books import ArchiveBooks
from unit.conftest import NOW, database
from unit.railway.test_restoring import FILL, beside, restoring

FROM = {"databaseUID": "6f1c1b0e-3a52-4c1e-9d0e-0a1b2c3d4e5f"}


def private(**spec: Any) -> Database:
    return database(provider="Railway", expose="Private", **spec)


def refused(error: InvalidSpec, field: str) -> str:
    assert (error.field, error.reason) == (field, UNSUPPORTED)
    return error.why


def test_a_dump_is_refused_at_the_policy_and_a_copy_of_the_files_is_not() -> None:
    with pytest.raises(InvalidSpec, match="set Physical") as said:
        check_support(private(backup={"method": "Logical"}))
    refused(said.value, "spec.backup.method")
    check_support(private(backup={"method": "Physical"}))
    check_support(private())
    check_support(database(provider="Railway", backup={"method": "Logical"}))


async def test_a_dump_is_refused_at_the_backup() -> None:
    async def nowhere() -> Ground:
        raise AssertionError

    servers = BackupServers(nowhere, cast(Servers, None), cast(ArchiveBooks, None), lambda: NOW)
    with pytest.raises(InvalidSpec, match="set Physical") as said:
        await servers.server(private(), BackupMethod.LOGICAL)
    refused(said.value, "spec.method")


@pytest.mark.parametrize(
    "begins",
    [
        {"latest": {}},
        {"backupRef": {"name": "last"}},
        {"restore": {"from": FROM, "latest": {}}},
    ],
    ids=str,
)
def test_it_begins_empty(begins: dict[str, Any]) -> None:
    with pytest.raises(InvalidSpec, match=r"set spec\.expose: ClusterIP") as said:
        check_private_beginning(private(bootstrap=begins))
    refused(said.value, "spec.bootstrap")
    check_private_beginning(private(bootstrap={"empty": {}}))
    check_private_beginning(private())
    check_private_beginning(database(provider="Railway", bootstrap=begins))


@pytest.mark.parametrize(
    "step",
    [
        *FILL[1:],
        steps.RecoverVolume("v", "uid"),
        steps.PromoteVolume("v", "1", "uid"),
        steps.LoadBackup("uid", "key", 1, "app_restored"),
        steps.SwapDatabases("app_restored", "app_before"),
    ],
    ids=lambda step: type(step).__name__,
)
def test_no_restore_goes_into_it(step: steps.Step) -> None:
    with pytest.raises(InvalidSpec, match=r"set spec\.expose: ClusterIP") as said:
        check_private_step(private(), step)
    refused(said.value, "spec.databaseRef")
    check_private_step(database(provider="Railway"), step)
    check_private_step(private(), steps.FailVolume("v"))


@pytest.mark.parametrize("rpo", list(RecoveryPoint), ids=str)
def test_no_commit_waits_for_what_only_a_deployment_can_let_go(rpo: RecoveryPoint) -> None:
    """By its own spec, or by a default of its Project."""
    owner = ArchiveOwner(
        database_uid="u", system_id="1", incarnation="i", cluster="c", namespace="n", name="d"
    )
    wish = ArchivingWish(ReceiverConfig(enabled=True, rpo=rpo, owner=owner))
    applied = steps.ApplyWorkload("v", "1", archiving=wish)
    if rpo is RecoveryPoint.ASYNC:
        check_support(private(pitr={"rpo": rpo.value}))
        return check_private_step(private(), applied)
    checks: tuple[Callable[[], None], ...] = (
        lambda: check_support(private(pitr={"rpo": rpo.value})),
        lambda: check_private_step(private(), applied),
    )
    for check in checks:
        with pytest.raises(InvalidSpec, match="set Async") as said:
            check()
        refused(said.value, "spec.pitr.rpo")
    check_support(database(provider="Railway", pitr={"rpo": rpo.value}))
    return check_private_step(database(provider="Railway"), applied)


async def test_a_restore_into_it_is_told_before_anything_is_made() -> None:
    in_place = Rehearsal(private(region="us-west2"), FILL)
    said = await restoring().rehearse(in_place)
    assert said.reason == UNSUPPORTED
    assert said.message.startswith("spec.target.inPlace: ")
    said = await restoring().rehearse(beside(expose="Private"))
    assert said.reason == UNSUPPORTED
    assert said.message.startswith("spec.target.newDatabase: ")
    assert await restoring().rehearse(beside(expose="LoadBalancer")) == ADMITTED


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("SUCCESS", "running"),
        ("DEPLOYING", "starting"),
        ("CRASHED", "failed"),
        ("REMOVED", "absent"),
    ],
)
def test_it_runs_without_a_proxy(status: str, expected: str) -> None:
    latest = Deployment(id="d", status=status)
    seen = ServiceInstance(service_id="s", service_name="shop-main", latest_deployment=latest)
    host = "shop-main.railway.internal"
    found = process(seen, None, "v", private(), None, host)
    assert (found.state.value, found.address) == (expected, host)
    assert found.ready is (expected == "running")
    assert process(seen, None, "v", private(), None).state.value != "running"


def test_its_url_has_its_private_name() -> None:
    front = Front("shop-main-1a2b3c4d.railway.internal", 5432)
    data = {key: value.decode() for key, value in written(fresh("word"), front).items()}
    assert uri(data["host"], int(data["port"]), data) == (
        "postgresql://app_a:word@shop-main-1a2b3c4d.railway.internal:5432/app?sslmode=require"
    )
