"""A Database as Railway's service: whose it is, what it is told, and what Railway cannot do."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from postbase_operator.errors import InvalidSpec
from postbase_operator.railway.graphql.models import Limits, Region
from postbase_operator.railway.plans import (
    Plan,
    check_resources,
    check_room,
    check_volume,
    megabytes,
    plan_of,
)
from postbase_operator.railway.services import (
    DRAINING_SECONDS,
    MARKER,
    MOUNT,
    Whose,
    initdb_arguments,
    instance,
    limits,
    limits_differ,
    marker,
    receiver_name,
    region,
    service_name,
    variables,
    whose,
)
from postbase_operator.railway.support import PARAMETERS, REFUSED, check_support
from unit.conftest import database

AMSTERDAM = "europe-west4-drams3a"
OFFERED = (
    Region(name=AMSTERDAM),
    Region(name="us-west2"),
    Region.model_validate(
        {
            "name": "us-west1",
            "deploymentConstraints": {
                "deprecationInfo": {"isDeprecated": True, "replacementRegion": "us-west2"}
            },
        }
    ),
)
HOBBY, PRO, FREE = plan_of("hobby"), plan_of("PRO"), plan_of("free")


@given(st.from_regex(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?", fullmatch=True))
@example("d" * 40)  # as long as one may be: what is drawn is mostly short
@pytest.mark.trap("names-are-shared")
def test_names_are_dns_names_that_railway_takes(name: str) -> None:
    db = database(name)
    for found in (service_name(db, "c"), receiver_name(db, "c")):
        assert len(found) <= 32
        assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", found)
    assert service_name(db, "c") != receiver_name(db, "c")


@pytest.mark.trap("names-are-shared")
def test_databases_of_one_name_have_services_of_their_own() -> None:
    one = database("main")
    other = one.model_copy(update={"metadata": one.metadata.model_copy(update={"uid": "another"})})
    names = {service_name(one, "c"), service_name(other, "c"), service_name(one, "c2")}
    assert len(names) == 3
    assert service_name(one, "c") == service_name(database("main"), "c")


@pytest.mark.trap("no-labels")
def test_whose_a_service_is() -> None:
    db = database()
    made = variables(db, "c", "password")
    assert whose(made, db, "c") is Whose.OURS
    assert marker(db, "c").startswith("c/team/shop-main/")
    assert whose(made, db, "another-cluster") is Whose.ANOTHERS
    assert whose({MARKER: ""}, db, "c") is Whose.NOBODYS
    assert whose({"POSTGRES_USER": "postgres"}, db, "c") is Whose.NOBODYS


@pytest.mark.trap("lost-and-found", "replication-not-in-all", "shared-memory")
def test_what_the_image_insists_on() -> None:
    made = variables(database(resources={"cpu": "1", "memory": "2Gi"}), "c", "password")
    assert made["PGDATA"].startswith(f"{MOUNT}/")
    assert made["POSTGRES_PASSWORD"] == "password"
    assert made["POSTGRES_HOST_AUTH_METHOD"].split("\n") == [
        "scram-sha-256",
        "hostssl replication postbase_walrx all scram-sha-256",
    ]
    assert made.get("RAILWAY_SHM_SIZE_BYTES") == str(512 * 1024 * 1024)
    assert variables(database(), "c", "p")["RAILWAY_SHM_SIZE_BYTES"] == str(128 * 1024 * 1024)
    assert all(isinstance(value, str) for value in made.values())


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, ["--data-checksums", "--encoding=UTF8", "--locale=C.UTF-8"]),
        (
            {"postgresVersion": "17"},
            [
                "--data-checksums",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
            ],
        ),
        (
            {"initdb": {"localeProvider": "icu", "icuLocale": "de;x", "encoding": "UTF8"}},
            [
                "--data-checksums",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--locale-provider=icu",
                "'--icu-locale=de;x'",
            ],
        ),
    ],
)
def test_a_data_directory_is_made_as_on_kubernetes(
    spec: dict[str, Any], expected: list[str]
) -> None:
    arguments = initdb_arguments(database(**spec))
    assert arguments == " ".join(expected)
    assert len(shlex.split(arguments)) == len(expected)


def test_the_major_version_is_that_of_the_tag() -> None:
    own = "mirror:5000/railway/postgres-ssl:17.6"
    assert "builtin" in initdb_arguments(database(image=own))
    with pytest.raises(InvalidSpec, match="major version"):
        initdb_arguments(database(image="mirror/postgres-ssl:latest"))


@pytest.mark.trap("replicas-reset", "sigterm-goes-nowhere", "start-command", "crashed-after-ten")
def test_the_service_runs_in_one_place_and_is_not_cut_short() -> None:
    told = instance(database(), AMSTERDAM)
    assert told["source"] == {"image": "ghcr.io/railwayapp-templates/postgres-ssl:15"}
    assert told["multiRegionConfig"] == {AMSTERDAM: {"numReplicas": 1}}
    assert told["restartPolicyType"] == "ALWAYS"
    assert told["drainingSeconds"] == DRAINING_SECONDS
    assert 0 < DRAINING_SECONDS <= 10  # a redeploy is down as long
    assert told["sleepApplication"] is False
    assert "startCommand" not in told


# -- limits ---------------------------------------------------------------------------------------


def seen(cpu: float | None, memory: float | None) -> Limits:
    return Limits.model_validate({"containers": {"cpu": cpu, "memoryBytes": memory}})


@pytest.mark.trap("gb-is-unclear")
def test_limits_that_are_set_are_not_set_again_whatever_a_gb_is() -> None:
    wanted = limits(database(resources={"cpu": "500m", "memory": "512Mi"}))
    assert (wanted.cpu, wanted.memory_gb) == (0.5, 0.537)
    assert not limits_differ(wanted, seen(0.5, 0.537e9))
    assert not limits_differ(wanted, seen(0.5, 0.537 * 1024**3))
    assert limits_differ(wanted, seen(0.5, 1e9))
    assert limits_differ(wanted, seen(1.0, 0.537e9))
    assert limits_differ(wanted, seen(None, None))
    assert limits_differ(wanted, Limits.model_validate({"containers": None}))
    assert limits_differ(wanted, None)


@pytest.mark.parametrize(
    ("resources", "field"),
    [
        ({"cpu": "49", "memory": "1Gi"}, "spec.resources.cpu"),
        ({"cpu": "1", "memory": "48Gi"}, "spec.resources.memory"),
    ],
)
@pytest.mark.trap("plan-limits")
def test_more_than_the_plan_has(resources: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidSpec, match="Hobby") as refused:
        check_resources(**resources, plan=HOBBY)
    assert refused.value.field == field
    check_resources(**resources, plan=PRO)
    check_resources(**resources, plan=plan_of("a new one"))


# -- the volume -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "plan", "held", "expected"),
    [
        ("1Gi", HOBBY, None, 5000),  # no volume begins smaller than the plan makes them
        ("1Gi", HOBBY, 5000, 5000),
        ("5000M", HOBBY, None, 5000),
        ("60G", PRO, 50_000, 60_000),
        ("60G", PRO, None, 60_000),
        ("10Gi", plan_of("Enterprise"), None, 10_738),
        ("6G", HOBBY, 8000, "VolumeCannotShrink"),  # from a larger plan, that was left
        ("5Gi", HOBBY, None, "PlanLimitExceeded"),
        ("1Gi", FREE, None, "PlanLimitExceeded"),
        ("2Ti", PRO, 50_000, "PlanLimitExceeded"),
        ("8G", HOBBY, 8000, 8000),
        ("55G", PRO, 60_000, "VolumeCannotShrink"),
    ],
)
@pytest.mark.trap("first-size", "volume-never-shrinks")
def test_the_size_of_a_volume(size: str, plan: Plan, held: int | None, expected: int | str) -> None:
    if isinstance(expected, int):
        assert check_volume(size, plan, held) == expected
        return
    with pytest.raises(InvalidSpec) as refused:
        check_volume(size, plan, held)
    assert (refused.value.field, refused.value.reason) == ("spec.storage.size", expected)
    assert "set " in refused.value.why


@given(st.integers(1, 10**15))
def test_never_less_than_was_asked_for(count: int) -> None:
    assert 0 <= megabytes(str(count)) * 1_000_000 - count < 1_000_000


@given(st.integers(1, 2000), st.none() | st.integers(500, 1_000_000), st.sampled_from([HOBBY, PRO]))
@pytest.mark.trap("volume-never-shrinks")
def test_a_volume_never_shrinks(gigabytes: int, held: int | None, plan: Plan) -> None:
    try:
        size = check_volume(f"{gigabytes}G", plan, held)
    except InvalidSpec:
        return
    assert size >= max(gigabytes * 1000, held or 0)


@pytest.mark.trap("volumes-of-a-project")
def test_a_project_that_is_full() -> None:
    check_room(HOBBY, 8, 2)
    check_room(plan_of("enterprise"), 500)
    with pytest.raises(InvalidSpec, match="allows 10") as refused:
        check_room(HOBBY, 9, 2)
    assert refused.value.reason == "PlanLimitExceeded"


# -- the region -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "wanted", "held", "expected"),
    [
        ({"region": AMSTERDAM}, AMSTERDAM, None, AMSTERDAM),
        ({}, "us-west2", None, "us-west2"),
        ({}, "us-west2", AMSTERDAM, AMSTERDAM),  # the Project's default has changed since
        ({"region": "us-west1"}, "us-west1", "us-west1", "us-west1"),  # given up, but it is there
        ({"region": "us-west2"}, "us-west2", AMSTERDAM, "RegionChanged"),
        ({"region": "mars"}, "mars", None, "UnknownRegion"),
        ({}, None, None, "UnknownRegion"),
        ({"region": "us-west1"}, "us-west1", None, "UnknownRegion"),
    ],
)
@pytest.mark.trap("region-change-copies", "regions-retire")
def test_where_it_runs(
    spec: dict[str, str], wanted: str | None, held: str | None, expected: str
) -> None:
    db = database(**spec)
    if expected[0].islower():
        assert region(db, wanted, OFFERED, held) == expected
        return
    with pytest.raises(InvalidSpec, match="set ") as refused:
        region(db, wanted, OFFERED, held)
    assert (refused.value.field, refused.value.reason) == ("spec.region", expected)
    assert (refused.value.why.count("us-west1") == 0) == (wanted != "us-west1")


# -- what Railway cannot do -----------------------------------------------------------------------

SET: dict[str, dict[str, Any]] = {
    "spec.image": {"image": "postgis/postgis:16-3.4"},
    "spec.expose": {"expose": "NodePort"},
    "spec.allowFrom": {"allowFrom": []},
    "spec.storage.storageClassName": {"storage": {"size": "1Gi", "storageClassName": "fast"}},
    "spec.tls.secretRef": {"tls": {"secretRef": {"name": "mine"}}},
    "spec.adoptVolume": {"adoptVolume": "shop-main-1-1"},
    "spec.podSecurity": {"podSecurity": {"runAsUser": 1000}},
    "spec.scheduling": {"scheduling": {"nodeSelector": {"disk": "fast"}}},
    "spec.serviceAccountName": {"serviceAccountName": "mine"},
    "spec.disruptions": {"disruptions": "Block"},
    "spec.onNodeLoss": {"onNodeLoss": "Replace"},
}


def test_each_refusal_has_its_case() -> None:
    assert set(SET) == set(REFUSED)


@pytest.mark.parametrize("field", SET)
@pytest.mark.trap("open-to-everybody")
def test_what_railway_cannot_do_is_said(field: str) -> None:
    with pytest.raises(InvalidSpec) as refused:
        check_support(database(**SET[field]))
    assert (refused.value.field, refused.value.reason) == (field, "NotSupportedOnRailway")
    assert re.search("remove it|set |Set |restore ", refused.value.why, re.IGNORECASE)


FATAL = {
    "dynamic_shared_memory_type",
    "huge_pages",
    "local_preload_libraries",
    "session_preload_libraries",
    "shared_memory_type",
    "shared_preload_libraries",
    "unix_socket_group",
}


def test_each_parameter_that_is_refused_has_its_case() -> None:
    assert set(PARAMETERS) == FATAL


@pytest.mark.parametrize("name", [*sorted(FATAL), "archive_command", "ssl_ciphers"])
@pytest.mark.trap("no-way-back-in")
def test_parameters_that_would_be_fatal_are_refused(name: str) -> None:
    with pytest.raises(InvalidSpec, match="remove it") as refused:
        check_support(database(parameters={"work_mem": "8MB", name: "x"}))
    assert refused.value.field == f"spec.parameters.{name}"


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"superuser_reserved_connections": "100"}, "superuser_reserved_connections"),
        ({"superuser_reserved_connections": " 0x64 "}, "superuser_reserved_connections"),
        ({"max_connections": "3"}, "max_connections"),
        ({"max_connections": "20", "reserved_connections": "17"}, "reserved_connections"),
    ],
    ids=str,
)
@pytest.mark.trap("no-way-back-in")
def test_connections_that_are_all_reserved_are_refused(
    parameters: dict[str, str], field: str
) -> None:
    """PostgreSQL takes each setting, and then does not start with them."""
    with pytest.raises(InvalidSpec, match="reserve less") as refused:
        check_support(database(parameters=parameters))
    assert refused.value.field == f"spec.parameters.{field}"


def test_what_railway_can_do_is_taken() -> None:
    check_support(database(parameters={"max_connections": "4", "reserved_connections": "many"}))
    check_support(database(parameters={"work_mem": "8MB"}, expose="LoadBalancer", paused=True))
    check_support(database(image="ghcr.io/railwayapp-templates/postgres-ssl:17.6"))
