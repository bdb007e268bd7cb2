"""A Database's service while it is made out of a backup: each stage is one commit."""

from __future__ import annotations

from typing import Any

import pytest

from postbase_operator.archive.run import VARIABLE, FillRun
from postbase_operator.archive.staging import ATTEMPT, KEY, NAMES, SEALED, Staging
from postbase_operator.planning.observed import VolumeRole
from postbase_operator.railway import fill_service
from postbase_operator.railway.fill_service import COMMAND, RESTORE, ROLE, RUN_AS, fills, role
from postbase_operator.railway.graphql.models import ServiceInstance
from postbase_operator.railway.graphql.values import NULL
from postbase_operator.railway.services import DRAINING_SECONDS
from unit.conftest import UID, database
from unit.planning.test_filling import KEY as PLACE
from unit.railway.test_receiver_service import STORE_KEYS

DB = database(provider="Railway", postgresVersion="17")
TOLD = Staging(FillRun(object_key=PLACE), 2, "a = 'b'\n", "CA", "CERT", "PEM", STORE_KEYS)


def service(**more: Any) -> ServiceInstance:
    wire = {"serviceId": "s1", "serviceName": "x", "startCommand": COMMAND}
    return ServiceInstance.model_validate(wire | more)


def test_it_is_marked_from_its_first_moment_on_and_one_without_a_mark_serves() -> None:
    assert role(fill_service.begun(UID)) is VolumeRole.FILLING
    assert fill_service.begun(UID)[RESTORE] == UID
    assert role({}) is VolumeRole.CURRENT
    assert role({ROLE: "edited"}) is VolumeRole.CURRENT


def test_a_run_that_has_ended_is_not_begun_anew_by_railway() -> None:
    for made in (
        fill_service.instance("i", "us-west2"),
        fill_service.fill_patch(service(), "i", TOLD)["services"]["s1"]["deploy"],
        fill_service.recover_patch(service(), DB)["services"]["s1"]["deploy"],
    ):
        assert made["restartPolicyType"] == "NEVER"


def test_what_an_attempt_has_found_is_known_until_it_serves() -> None:
    def variables(patch: dict[str, Any]) -> dict[str, Any]:
        return dict(patch["services"]["s1"]["variables"])

    assert fill_service.WHOLE not in variables(fill_service.fill_patch(service(), "i", TOLD))
    told = variables(fill_service.fill_patch(service(), "i", TOLD, "1 0/5 then"))
    assert told[fill_service.WHOLE] == {"value": "1 0/5 then"}
    assert fill_service.WHOLE not in variables(fill_service.recover_patch(service(), DB))
    assert variables(fill_service.serve_patch(service(), "r", "7"))[fill_service.WHOLE] is NULL


@pytest.mark.trap("sealed-is-not-shown")
def test_what_fills_is_told_in_one_commit_and_what_opens_something_is_sealed() -> None:
    patch = fill_service.fill_patch(service(), "ours:1", TOLD)["services"]["s1"]
    told = patch["variables"]
    assert {name for name, value in told.items() if value.get("isSealed")} == {
        KEY,
        "POSTBASE_STORE_SECRET_ACCESS_KEY",
    }
    assert patch["source"] == {"image": "ours:1"}
    assert patch["deploy"]["startCommand"] == COMMAND
    assert told[RUN_AS] == {"value": "0"}  # the volume is root's
    environ = {name: value["value"] for name, value in told.items()}
    again = Staging.of(environ | {"RAILWAY_VOLUME_MOUNT_PATH": "/v"})
    assert (again.run, again.attempt, again.settings) == (TOLD.run, 2, TOLD.settings)
    assert again.store == STORE_KEYS
    assert "PEM" not in repr(TOLD)
    assert "hidden" not in repr(TOLD)


@pytest.mark.trap("start-command")
def test_to_recover_the_image_the_way_in_and_no_command_and_nothing_of_ours() -> None:
    patch = fill_service.recover_patch(service(), DB)["services"]["s1"]
    assert patch["source"] == {"image": "ghcr.io/railwayapp-templates/postgres-ssl:17"}
    assert patch["deploy"].get("startCommand") is NULL
    assert patch["deploy"]["drainingSeconds"] == DRAINING_SECONDS
    assert patch["networking"] == {"tcpProxies": {"5432": {}}}
    assert {name for name, value in patch["variables"].items() if value is NULL} == {
        *NAMES,
        RUN_AS,
    } - {ATTEMPT, VARIABLE}
    assert set(patch["variables"]) > SEALED


def test_the_last_start_is_as_of_any_other_and_leaves_nothing_of_the_restore() -> None:
    patch = fill_service.serve_patch(service(), UID, "7")["services"]["s1"]
    assert patch["deploy"]["restartPolicyType"] == "ALWAYS"
    told = patch["variables"]
    assert told[ROLE] == {"value": "current"}
    assert told["POSTBASE_SYSTEM_ID"] == {"value": "7"}
    gone = {name for name, value in told.items() if value is NULL}
    assert gone == {ATTEMPT, VARIABLE, fill_service.WHOLE}


def test_which_attempt_was_described() -> None:
    told = TOLD.variables()
    assert fill_service.is_told(told, 2)
    assert not fill_service.is_told(told, 3)
    assert not fill_service.is_told({ATTEMPT: "2"}, 2)  # it recovers, and is to be filled anew
    assert VARIABLE in told
    assert fills(service())
    assert not fills(service(startCommand=None))
