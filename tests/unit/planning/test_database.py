"""The plan of a Database over its life: what is seen, what is done, what is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from postbase_operator.api.conditions import KStatus, find_condition, kstatus
from postbase_operator.api.database import Database, DatabaseStatus
from postbase_operator.api.project import Project
from postbase_operator.planning import plan as steps
from postbase_operator.planning.database import ANSWER_AGAIN, Context, plan_database
from postbase_operator.planning.next_look import AT_ONCE, SECRETS_AGAIN, SOON
from postbase_operator.planning.observed import (
    Access,
    Observed,
    Process,
    ProcessState,
    Server,
    ServerFacts,
    Volume,
    VolumeRole,
)
from postbase_operator.planning.plan import Plan
from postbase_operator.settings import Settings
from unit.conftest import NOW, UID, database

GIB = 1024**3
SHOP = Project.model_validate({"metadata": {"name": "shop", "namespace": "team", "uid": UID}})
FACTS = ServerFacts(
    system_id="7300000000000000001",
    version="15.18",
    started_at=NOW,
    in_recovery=False,
    loaded_revision="r1",
    mounted_revision="r1",
)
CURRENT = Volume(
    name="shop-main-1-1",
    generation=1,
    role=VolumeRole.CURRENT,
    database_uid=UID,
    system_id=FACTS.system_id,
    image="sha256:abc",
    image_tag="postgres:15",
    requested_bytes=GIB,
    capacity_bytes=GIB,
    kept="Retain",
)
RUNNING = Process(
    state=ProcessState.RUNNING,
    identity="pod-1",
    address="10.0.0.5",
    image="postgres:15",
    image_digest="sha256:abc",
)
NEWER = ("image of postgres",)
HEALTHY = Observed(
    wanted_revision="r1",
    access=Access("shop-main-credentials", "shop-main.team.svc", 5432),
    volumes=(CURRENT,),
    process=RUNNING,
    server=Server(FACTS, access_right=True),
)


def plan(seen: Observed, db: Database | None = None, **context: Any) -> Plan[DatabaseStatus]:
    known: dict[str, Any] = {
        "project": SHOP,
        "settings": Settings(sidecar_image="i"),
        "now": NOW,
    } | context
    return plan_database(db or database(), seen, Context(**known))


def verdict(made: Plan[DatabaseStatus], generation: int = 3) -> tuple[str, str, KStatus]:
    ready = find_condition(made.status.conditions, "Ready")
    assert ready is not None
    assert made.status.phase is not None
    told = kstatus(
        made.status.conditions,
        generation=generation,
        observed=made.status.observed_generation,
        deleting=False,
    )
    return made.status.phase.value, ready.reason, told


def kinds(made: Plan[DatabaseStatus]) -> list[str]:
    return [type(step).__name__ for step in made.steps]


def test_a_new_database_gets_a_volume_and_a_workload() -> None:
    made = plan(Observed(wanted_revision="r1"))
    assert made.steps == (
        steps.EnsureSecrets(first=True),
        steps.CreateVolume(1),
    )
    assert made.requeue_after == AT_ONCE
    empty = replace(CURRENT, system_id="", image="", capacity_bytes=0)
    made = plan(Observed(wanted_revision="r1", volumes=(empty,)))
    assert made.steps == (steps.EnsureSecrets(), steps.ApplyWorkload(CURRENT.name, system_id=""))
    assert verdict(made) == ("Provisioning", "Starting", KStatus.IN_PROGRESS)
    assert made.notices == ()  # its creation is told by its creation


def test_a_healthy_one_is_applied_again_and_nothing_else() -> None:
    made = plan(HEALTHY)
    assert made.steps == (steps.ApplyWorkload(CURRENT.name, FACTS.system_id),)
    assert made.requeue_after == SECRETS_AGAIN
    assert verdict(made) == ("Running", "Running", KStatus.CURRENT)
    assert made.status.credentials_secret_ref is not None
    assert made.status.credentials_secret_ref.name == "shop-main-credentials"
    assert made.status.version == "15.18"


def test_the_same_look_twice_gives_the_same_status_and_no_event() -> None:
    first = plan(HEALTHY)
    db = database().model_copy(update={"status": first.status})
    again = plan(HEALTHY, db, now=NOW.replace(hour=23))
    assert again.status == first.status
    assert first.notices
    assert not again.notices


def test_a_volume_learns_whose_data_it_holds_before_anything_is_built_on_it() -> None:
    fresh = replace(CURRENT, system_id="", image="")
    server = Server(FACTS, access_right=False)
    made = plan(replace(HEALTHY, volumes=(fresh,), server=server))
    assert kinds(made) == ["RecordOrigin", "ApplyWorkload", "SetUpAccess"]
    assert made.requeue_after == AT_ONCE
    assert verdict(made) == ("Provisioning", "SettingUp", KStatus.IN_PROGRESS)


def test_a_project_that_is_not_there_yet_is_waited_for() -> None:
    made = plan(Observed(), project=None)
    assert made.steps == ()
    assert verdict(made) == ("Pending", "ProjectNotFound", KStatus.IN_PROGRESS)


def test_a_project_that_went_away_stops_nothing() -> None:
    made = plan(HEALTHY, project=None)
    assert verdict(made) == ("Running", "Running", KStatus.CURRENT)


def test_a_refused_change_leaves_a_running_server_running() -> None:
    settings = Settings(sidecar_image="i", regions=("us-west1",))
    made = plan(HEALTHY, database(region="mars1"), settings=settings)
    assert made.steps == ()
    assert verdict(made) == ("Running", "UnknownRegion", KStatus.FAILED)


def test_an_unknown_version_names_the_known_ones() -> None:
    settings = Settings(sidecar_image="i", postgres_images={"15": "p:15", "17": "p:17"})
    made = plan(Observed(), database(postgresVersion="16"), settings=settings)
    ready = find_condition(made.status.conditions, "Ready")
    assert ready is not None
    assert "known: 15, 17" in ready.message
    assert "spec.postgresVersion" in ready.message
    assert verdict(made) == ("Failed", "UnknownVersion", KStatus.FAILED)


def test_a_region_of_elsewhere_is_refused() -> None:
    settings = Settings(sidecar_image="i", regions=("us-west1",))
    made = plan(Observed(), database(region="mars1"), settings=settings)
    assert verdict(made)[1] == "UnknownRegion"


def test_another_databases_volume_is_never_taken_in_silence() -> None:
    made = plan(Observed(foreign_volumes=("shop-main-1-1",)))
    assert made.steps == ()
    assert verdict(made) == ("Failed", "VolumeExists", KStatus.FAILED)
    ready = find_condition(made.status.conditions, "Ready")
    assert ready is not None
    assert "spec.adoptVolume" in ready.message


def test_no_empty_database_is_made_where_there_was_one() -> None:
    """Its claim was deleted by hand, and the node was drained."""
    held = plan(HEALTHY).status
    made = plan(Observed(), database().model_copy(update={"status": held}))
    assert made.steps == ()
    assert verdict(made) == ("Failed", "VolumeLost", KStatus.FAILED)


def test_a_server_that_cannot_be_reached_for_long_is_asked_less_often() -> None:
    process = replace(RUNNING, since=NOW.replace(hour=1))
    made = plan(replace(HEALTHY, process=process, server=None))
    assert made.requeue_after == SECRETS_AGAIN / 6


def test_a_renewed_certificate_is_loaded() -> None:
    facts = replace(FACTS, certificate_renewed=True)
    assert "ReloadConfig" in kinds(plan(replace(HEALTHY, server=Server(facts, access_right=True))))


def test_volumes_without_a_current_one_stop_everything() -> None:
    made = plan(Observed(volumes=(replace(CURRENT, role=VolumeRole.PREVIOUS),)))
    assert made.steps == ()
    assert verdict(made)[1] == "NoCurrentVolume"


def test_of_two_current_volumes_the_higher_is_the_newer_truth() -> None:
    second = replace(CURRENT, name="shop-main-1-2", generation=2)
    made = plan(replace(HEALTHY, volumes=(second, CURRENT)))
    assert steps.ApplyWorkload("shop-main-1-2", FACTS.system_id) in made.steps


def test_a_volume_that_is_going_is_not_current() -> None:
    made = plan(Observed(volumes=(replace(CURRENT, deleting=True),)))
    assert verdict(made)[1] == "NoCurrentVolume"


def test_storage_grows_and_never_shrinks() -> None:
    grown = plan(HEALTHY, database(storage={"size": "2Gi"}))
    assert steps.GrowVolume(CURRENT.name) in grown.steps
    big = replace(CURRENT, requested_bytes=3 * GIB)
    assert "GrowVolume" not in kinds(plan(replace(HEALTHY, volumes=(big,))))


@pytest.mark.parametrize(
    ("process", "phase", "reason", "told"),
    [
        (Process(), "Running", "Starting", KStatus.IN_PROGRESS),
        (
            Process(ProcessState.WAITING, "ErrImagePull", "no such image"),
            "Running",
            "ErrImagePull",
            KStatus.IN_PROGRESS,
        ),
        (Process(ProcessState.STARTING), "Running", "Starting", KStatus.IN_PROGRESS),
        (Process(ProcessState.STOPPING), "Running", "Restarting", KStatus.IN_PROGRESS),
        (
            Process(ProcessState.FAILED, exit_code=75),
            "Running",
            "VolumeInUse",
            KStatus.IN_PROGRESS,
        ),
        (Process(ProcessState.FAILED, exit_code=64), "Failed", "DataMissing", KStatus.FAILED),
        (Process(ProcessState.FAILED, exit_code=65), "Failed", "VersionMismatch", KStatus.FAILED),
        (
            Process(ProcessState.FAILED, exit_code=1, message="PANIC: disk"),
            "Running",
            "PostgresFailed",
            KStatus.IN_PROGRESS,
        ),
    ],
)
def test_what_the_process_does_is_told(
    process: Process, phase: str, reason: str, told: KStatus
) -> None:
    made = plan(replace(HEALTHY, process=process, server=None))
    assert verdict(made) == (phase, reason, told)


def test_a_server_that_does_not_answer_is_asked_again_soon() -> None:
    made = plan(replace(HEALTHY, server=None, server_error="PostgreSQL: timeout"))
    assert verdict(made) == ("Running", "ServerUnreachable", KStatus.IN_PROGRESS)
    assert made.requeue_after == SOON


SILENT = replace(
    HEALTHY,
    process=replace(RUNNING, ready=True),
    server=None,
    server_error="PostgreSQL: timeout",
    unanswered_since=NOW,
)


@pytest.mark.parametrize(
    ("seen", "seconds", "told"),
    [
        (SILENT, 0, "Running"),
        (SILENT, 9, "Running"),
        (SILENT, 10, "ServerUnreachable"),
        (replace(SILENT, process=replace(RUNNING, ready=False)), 0, "ServerUnreachable"),
        (replace(SILENT, process=Process()), 0, "Starting"),
    ],
)
def test_one_that_serves_and_gave_no_answer_just_now_is_asked_again_first(
    seen: Observed, seconds: int, told: str
) -> None:
    db = database().model_copy(update={"status": plan(HEALTHY).status})
    made = plan(seen, db, now=NOW + timedelta(seconds=seconds))
    assert verdict(made)[1] == told
    if told == "Running":
        assert (made.status, made.steps, made.notices) == (db.status, (), ())
        assert made.requeue_after == ANSWER_AGAIN


def test_the_data_of_another_system_is_not_served() -> None:
    other = replace(FACTS, system_id="7300000000000000009")
    made = plan(replace(HEALTHY, server=Server(other, access_right=True)))
    assert verdict(made)[1:] == ("DataMissing", KStatus.FAILED)


@pytest.mark.parametrize(
    ("mounted", "loaded", "poked", "wanted_steps"),
    [
        ("r1", "r1", "", []),
        ("r0", "r0", "", ["PokeConfig"]),
        ("r0", "r0", "r1", []),  # poked already: the kubelet is at it
        ("r1", "r0", "r1", ["ReloadConfig"]),
        ("r1", "r1", "r1", []),
        ("r1", "r1", "r0", []),
    ],
)
def test_settings_travel_by_poke_and_reload(
    mounted: str, loaded: str, poked: str, wanted_steps: list[str]
) -> None:
    facts = replace(FACTS, mounted_revision=mounted, loaded_revision=loaded)
    seen = replace(
        HEALTHY,
        process=replace(RUNNING, config_revision=poked),
        server=Server(facts, access_right=True),
    )
    made = plan(seen)
    assert [k for k in kinds(made) if k != "ApplyWorkload"] == wanted_steps
    if loaded != "r1":
        assert verdict(made)[1] == "Reloading"
        assert made.requeue_after == SOON


def test_settings_that_postgresql_refuses_are_told_by_name() -> None:
    facts = replace(FACTS, loaded_revision="r0", rejected=("work_mem: invalid value",))
    made = plan(replace(HEALTHY, server=Server(facts, access_right=True)))
    assert made.requeue_after == SECRETS_AGAIN  # not three times a second: it is refused again
    assert verdict(made) == ("Running", "ParametersRejected", KStatus.FAILED)
    ready = find_condition(made.status.conditions, "Ready")
    assert ready is not None
    assert "work_mem: invalid value" in ready.message


def test_values_that_were_refused_and_are_being_mended_are_not_told_again() -> None:
    facts = replace(FACTS, mounted_revision="r0", loaded_revision="r0", rejected=("work_mem: x",))
    made = plan(replace(HEALTHY, server=Server(facts, access_right=True)))
    assert verdict(made)[1] == "Reloading"


@pytest.mark.parametrize(
    ("process", "replaced"),
    [
        (Process(ProcessState.WAITING, "ErrImagePull", outdated=True, waiting_changes=NEWER), True),
        (Process(ProcessState.WAITING, "ErrImagePull", outdated=True), False),  # in name only
        (Process(ProcessState.WAITING, "ErrImagePull", outdated=False), False),
        (Process(ProcessState.FAILED, exit_code=1, outdated=True, waiting_changes=NEWER), True),
        (Process(ProcessState.FAILED, exit_code=66, message="… revision r0"), True),
        (Process(ProcessState.FAILED, exit_code=66, message="… revision r1"), False),
        (Process(ProcessState.FAILED, exit_code=75), False),
        (Process(ProcessState.STARTING, outdated=True), False),
        (Process(ProcessState.STOPPING, outdated=True), False),
        (replace(RUNNING, outdated=True), False),
    ],
)
def test_only_a_process_that_cannot_come_up_is_replaced(process: Process, replaced: bool) -> None:
    made = plan(replace(HEALTHY, process=process, server=None))
    assert ("ReplaceProcess" in kinds(made)) == replaced


def test_a_start_that_refuses_its_parameters_waits_for_a_person() -> None:
    process = Process(ProcessState.FAILED, exit_code=66, message="work_mem: nonsense revision r1")
    made = plan(replace(HEALTHY, process=process, server=None))
    assert verdict(made)[1:] == ("ParametersRejected", KStatus.FAILED)


def test_a_pending_restart_is_a_condition_and_no_restart() -> None:
    facts = replace(FACTS, pending_restart=("shared_buffers",))
    made = plan(replace(HEALTHY, server=Server(facts, access_right=True)))
    pending = find_condition(made.status.conditions, "RestartPending")
    assert pending is not None
    assert "shared_buffers" in pending.message
    assert verdict(made)[1] == "Running"
    cleared = plan(HEALTHY, database().model_copy(update={"status": made.status}))
    assert find_condition(cleared.status.conditions, "RestartPending") is None


def test_a_template_that_waits_for_a_new_pod_is_listed_in_a_condition() -> None:
    waiting = replace(RUNNING, outdated=True, waiting_changes=("image of postgres",))
    made = plan(replace(HEALTHY, process=waiting))
    pending = find_condition(made.status.conditions, "RestartPending")
    assert pending is not None
    assert pending.reason == "PodTemplateChanged"
    assert "image of postgres" in pending.message
    assert kinds(made) == ["ApplyWorkload"]  # and nothing restarts it


def test_a_volume_is_kept_once_there_is_one_and_only_where_that_is_wanted() -> None:
    def steps_for(db: Database, **volume: Any) -> list[str]:
        loose = replace(CURRENT, kept="", **volume)
        return kinds(plan(replace(HEALTHY, volumes=(loose,)), db))

    assert "RecordOrigin" in steps_for(database())
    assert "RecordOrigin" not in steps_for(database(), capacity_bytes=0)  # nothing is bound yet
    assert "RecordOrigin" not in steps_for(database(deletionPolicy="Delete"))


def test_extensions_come_after_access() -> None:
    without = Server(FACTS, access_right=False, missing_extensions=("postgis",))
    assert "CreateExtensions" not in kinds(plan(replace(HEALTHY, server=without)))
    missing = Server(FACTS, access_right=True, missing_extensions=("postgis",))
    made = plan(replace(HEALTHY, server=missing))
    assert steps.CreateExtensions(("postgis",)) in made.steps
    assert verdict(made)[1] == "CreatingExtensions"


def test_pausing_leaves_the_server_alone_until_it_is_gone() -> None:
    db = database(paused=True)
    stopping = plan(replace(HEALTHY, process=Process(ProcessState.STOPPING), server=None), db)
    assert verdict(stopping) == ("Paused", "Stopping", KStatus.IN_PROGRESS)
    stopped = plan(replace(HEALTHY, process=Process(), server=None), db)
    assert verdict(stopped)[:2] == ("Paused", "Paused")
    assert find_condition(stopped.status.conditions, "Reconciling") is None


def test_what_has_no_effect_is_said() -> None:
    """A password of the user's own is rotated by whoever writes its Secret."""
    own = database(credentials={"secretRef": {"name": "own"}})
    asked = own.metadata.model_copy(update={"annotations": {"postbase.sh/request-rotate": "1"}})
    for db, reason in ((own, "Accepted"), (own.model_copy(update={"metadata": asked}), IDLE)):
        accepted = find_condition(plan(HEALTHY, db).status.conditions, "Accepted")
        assert accepted is not None
        assert accepted.reason == reason
        assert ("request-rotate" in accepted.message) is (reason == IDLE)


IDLE = "NotImplemented"
