"""From what Railway shows to what the planner knows."""

from __future__ import annotations

from typing import Any

import pytest

from postbase_operator.errors import InvalidSpec
from postbase_operator.planning.observed import ProcessState, VolumeRole
from postbase_operator.railway import fill_service, observe, services
from postbase_operator.railway.graphql.models import (
    EnvironmentState,
    Limits,
    ServiceInstance,
    TcpProxy,
    VolumeInstance,
)
from unit.conftest import database

DB = database(provider="Railway", postgresVersion="17")
NAME = services.service_name(DB, "c")
READY = TcpProxy(
    id="p", domain="x.proxy.rlwy.net", proxy_port=31000, application_port=5432, sync_status="ACTIVE"
)


def service(status: str | None, image: str | None = None, **more: Any) -> ServiceInstance:
    meta = {"image": image} if image else None
    latest = {"id": "d1", "status": status, "meta": meta} | more
    given = {"serviceId": "s", "serviceName": NAME, "latestDeployment": latest if status else None}
    return ServiceInstance.model_validate(given)


def volume(id: str = "0a1b2c3d-4e5f", name: str = "brave-volume", **more: Any) -> VolumeInstance:
    given = {"id": "i", "volumeId": id, "sizeMB": 5000, "volume": {"name": name}, "serviceId": "s"}
    return VolumeInstance.model_validate(given | more)


def state(*volumes: VolumeInstance) -> EnvironmentState:
    return EnvironmentState("e", "production", volumes=volumes)


@pytest.mark.parametrize(
    ("status", "proxy", "expected"),
    [
        (None, READY, ProcessState.ABSENT),
        ("QUEUED", READY, ProcessState.STARTING),
        ("A_NEW_WORD", READY, ProcessState.STARTING),
        ("SUCCESS", READY, ProcessState.RUNNING),
        ("SUCCESS", None, ProcessState.STARTING),
        ("SUCCESS", READY.model_copy(update={"sync_status": "CREATING"}), ProcessState.STARTING),
        ("CRASHED", READY, ProcessState.FAILED),
        ("REMOVING", READY, ProcessState.STOPPING),
    ],
)
@pytest.mark.trap("success-is-started")
def test_it_runs_once_it_can_be_asked(
    status: str | None, proxy: TcpProxy | None, expected: ProcessState
) -> None:
    assert observe.process(service(status), proxy, "v", DB, None).state is expected


def test_one_that_was_stopped_is_absent() -> None:
    stopped = service("SUCCESS", deploymentStopped=True)
    assert observe.process(stopped, READY, "v", DB, None).state is ProcessState.ABSENT


def test_one_that_was_removed_stops_no_more() -> None:
    going = observe.process(service("REMOVING"), READY, "v", DB, None)
    assert going.state is ProcessState.STOPPING
    gone = observe.process(service("REMOVED"), READY, "v", DB, None)
    assert gone.state is ProcessState.ABSENT


def test_what_waits_for_a_new_process() -> None:
    older = observe.process(service("SUCCESS", services.IMAGE + ":16"), READY, "v", DB, None)
    assert older.waiting_changes == ("image of postgres",)
    same = observe.process(service("SUCCESS", services.IMAGE + ":17"), READY, "v", DB, None)
    assert not same.outdated
    assert not observe.process(service("SUCCESS"), READY, "v", DB, None).outdated  # not told


def test_limits_that_are_not_the_specs_wait() -> None:
    wanted = services.limits(DB)
    containers = {"cpu": wanted.cpu, "memoryBytes": wanted.memory_bytes}
    right = Limits.model_validate({"containers": containers})
    assert not observe.process(service("SUCCESS"), READY, "v", DB, right).size_waits
    assert observe.process(service("SUCCESS"), READY, "v", DB, None).size_waits


def test_a_volume_without_its_name_is_given_it() -> None:
    held = volume()
    seen = observe.volume(held, DB, NAME, {fill_service.SYSTEM_ID: "73"})
    assert (seen.name, seen.system_id, seen.kept) == (held.volume_id, "73", "Retain")
    assert seen.capacity_bytes == seen.requested_bytes == 5_000_000_000
    assert not seen.labelled
    named = volume(name=observe.volume_name(NAME, held.volume_id))
    assert observe.volume(named, DB, NAME, {}).labelled


def test_what_is_on_its_way_out_keeps_its_name_and_what_serves_never_has_it() -> None:
    part = volume(name=observe.part_name(NAME, "0a1b2c3d-4e5f"))
    assert observe.volume(part, DB, NAME, fill_service.left(None)).labelled
    assert observe.volume(part, DB, NAME, fill_service.begun("uid")).labelled
    assert not observe.volume(part, DB, NAME, {}).labelled
    assert not observe.volume(part, DB, NAME, fill_service.back("uid", "7", 3)).labelled


@pytest.mark.trap("volume-outlives-service")
def test_no_database_begins_beside_its_own_data() -> None:
    lost = volume(name=observe.volume_name(NAME, "0a1b2c3d-4e5f"), serviceId=None)
    with pytest.raises(InvalidSpec, match="no empty database is made"):
        observe.check_beginning(state(lost), NAME, DB)
    gone = lost.model_copy(update={"is_pending_deletion": True})
    observe.check_beginning(state(gone), NAME, DB)


def test_what_an_earlier_one_has_left_is_told_unless_the_spec_says_empty() -> None:
    stem = NAME.rpartition("-")[0]
    kept = volume(name=f"{stem}-00000000-0a1b2c3d", serviceId=None)
    with pytest.raises(InvalidSpec, match=r"spec\.bootstrap.*00000000"):
        observe.check_beginning(state(kept), NAME, DB)
    empty = database(provider="Railway", bootstrap={"empty": {}})
    observe.check_beginning(state(kept), NAME, empty)
    observe.check_beginning(state(kept.model_copy(update={"service_id": "s2"})), NAME, DB)
    observe.check_beginning(state(volume(name="another-00000000-0a1b2c3d")), NAME, DB)


def test_with_an_archive_it_may_begin_beside_what_an_earlier_one_has_left() -> None:
    kept = volume(name=f"{NAME.rpartition('-')[0]}-00000000-0a1b2c3d", serviceId=None)
    latest = database(provider="Railway", bootstrap={"latest": {}})
    observe.check_beginning(state(kept), NAME, latest)


def test_what_a_volume_is_for_stands_in_the_variables_of_its_service() -> None:
    assert observe.volume(volume(), DB, NAME, {}).role is VolumeRole.CURRENT
    filled = observe.volume(volume(), DB, NAME, fill_service.begun("uid"))
    assert (filled.role, filled.restore) == (VolumeRole.FILLING, "uid")


def test_one_that_was_left_before_it_was_whole_is_nobodys_data() -> None:
    part = volume(name=observe.part_name(NAME, "0a1b2c3d-4e5f"), serviceId=None)
    assert observe.parts_of_volumes(state(part), NAME) == (part,)
    assert observe.own_volumes(state(part), NAME) == ()
    observe.check_beginning(state(part), NAME, DB)
    assert observe.parts_of_volumes(state(volume()), NAME) == ()
    gone = part.model_copy(update={"is_pending_deletion": True})
    assert observe.parts_of_volumes(state(gone), NAME) == ()
    assert observe.is_gone(state(gone), part.volume_id)
    assert not observe.is_gone(state(part), part.volume_id)
    assert not observe.is_gone(state(), part.volume_id)


@pytest.mark.trap("volume-made-twice")
def test_of_two_volumes_none_is_guessed() -> None:
    assert observe.one_volume(state(), service(None)) is None
    assert observe.one_volume(state(volume()), service(None)) == volume()
    with pytest.raises(InvalidSpec, match="several volumes"):
        observe.one_volume(state(volume(), volume("ffff", "calm-volume")), service(None))
