"""The double of Railway: what may be asked to go wrong, one test each."""

from __future__ import annotations

import urllib.error
from collections.abc import Iterator
from http.client import RemoteDisconnected

import pytest

from component.railway_caller import Caller, Failed, Place
from railway import errors
from railway.clock import VirtualClock
from railway.double import RailwayDouble
from railway.faults import (
    Blocked,
    Crashes,
    Gateway,
    Lost,
    NotFoundFor,
    PatchRejected,
    Problem,
    Refuses,
    Revoked,
    Stale,
    TooMany,
)

READ = "query { apiToken { workspaces { id } } }"


@pytest.fixture
def railway() -> Iterator[RailwayDouble]:
    with RailwayDouble(clock=VirtualClock(), processes=False) as double:
        yield double


@pytest.fixture
def call(railway: RailwayDouble) -> Caller:
    return Caller(railway, railway.token())


@pytest.fixture
def place(call: Caller) -> Place:
    return Place(call)


def services(place: Place) -> int:
    return len(place.call("ListServices", projectId=place.project)["services"]["edges"])


def test_too_many(railway: RailwayDouble, call: Caller) -> None:
    railway.next("apiToken", TooMany(retry_after=17))
    answer = call.send(READ)
    assert answer.status == 429
    assert answer.headers["Retry-After"] == "17"
    assert answer.headers["X-RateLimit-Limit"] == "10000"
    assert answer.headers["X-RateLimit-Remaining"] == "0"
    assert answer.headers["X-RateLimit-Reset"]
    assert call.send(READ).status == 200


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("fault", [Gateway, Problem])
def test_an_answer_that_does_not_tell_what_was_done(
    railway: RailwayDouble, place: Place, fault: type[Gateway] | type[Problem], done: bool
) -> None:
    railway.next("serviceCreate", fault(done=done))
    with pytest.raises((Failed, ValueError)):
        place.make_service()
    assert services(place) == int(done)
    assert railway.calls[-2].status == (504 if fault is Gateway else 200)


def test_a_lost_answer(railway: RailwayDouble, place: Place) -> None:
    railway.next("CreateService", Lost())
    with pytest.raises((RemoteDisconnected, ConnectionError, urllib.error.URLError)):
        place.make_service()
    assert services(place) == 1


@pytest.mark.parametrize("status", [200, 403])
def test_a_page_in_place_of_json(railway: RailwayDouble, call: Caller, status: int) -> None:
    railway.next("*", Blocked(status))
    answer = call.send(READ)
    assert answer.status == status
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.text.startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("message", [errors.VOLUMES_TOO_QUICKLY, errors.PROJECTS_TOO_QUICKLY])
def test_too_quickly(railway: RailwayDouble, place: Place, message: str) -> None:
    railway.next("volumeCreate", Refuses(message), times=2)
    for _ in range(2):
        with pytest.raises(Failed, match=message):
            place.make_volume(serviceId=None)
    assert place.make_volume(serviceId=None)


def test_an_instance_is_not_found_for_a_while(railway: RailwayDouble, place: Place) -> None:
    railway.next("serviceCreate", NotFoundFor(8))
    place.service = place.make_service()
    railway.advance(7.9)
    with pytest.raises(Failed, match=r"^ServiceInstance not found$"):
        place.configure()
    railway.advance(0.2)
    place.configure()


def test_a_patch_is_rejected_later(railway: RailwayDouble, place: Place) -> None:
    place.made()
    railway.next("environmentPatchCommit", PatchRejected("no"))
    place.commit_proxy()
    railway.advance(10)
    assert place.patches()[0]["lastAppliedError"] == "no"
    assert place.proxy() is None
    place.commit_proxy()
    railway.advance(10)
    assert place.proxy()


def test_a_deployment_crashes(railway: RailwayDouble, place: Place) -> None:
    place.made()
    railway.next("Deploy", Crashes())
    made = place.call("Deploy", **place.where)
    railway.advance(60)
    told = place.deployment(made)
    assert (told["status"], told["deploymentStopped"]) == ("CRASHED", True)
    assert told["instances"][0]["status"] == "CRASHED"
    place.deploy()


def test_a_container_that_dies_is_started_again(railway: RailwayDouble, place: Place) -> None:
    place.deployed()
    railway.kill_container(place.service, place.environment)
    latest = place.deployment(place.latest()["id"])
    assert (latest["status"], latest["instances"][0]["status"]) == ("SUCCESS", "RESTARTING")
    railway.advance(10)
    assert place.deployment(latest["id"])["instances"][0]["status"] == "RUNNING"


def test_reads_are_late(railway: RailwayDouble, place: Place) -> None:
    railway.next("serviceCreate", Stale(5))
    place.make_service()
    assert services(place) == 0
    with pytest.raises(Failed, match="already exists"):
        place.make_service()
    railway.advance(5)
    assert services(place) == 1


def test_a_token_is_revoked(railway: RailwayDouble, place: Place) -> None:
    railway.next("serviceCreate", Revoked())
    with pytest.raises(Failed, match=r"^Not Authorized$"):
        place.make_service()


def test_railway_deploys_by_itself(railway: RailwayDouble, place: Place) -> None:
    place.deployed()
    made = railway.migrate_host(place.service, place.environment)
    railway.advance(10)
    assert (place.latest()["id"], place.latest()["status"]) == (made.id, "SUCCESS")


def test_what_is_left_behind_is_told(railway: RailwayDouble, place: Place) -> None:
    assert railway.left_behind() == []
    place.deployed()
    one = {"environmentId": place.environment}
    place.call("StagePatch", **one, patch={"sharedVariables": {"A": {"value": "1"}}})
    told = " ".join(railway.left_behind())
    for what in ("service shop-main", "volume ", "proxy ", "container of shop-main", "staged"):
        assert what in told
    place.call("DeleteTcpProxy", id=place.proxy()["id"])
    place.call("DeleteService", id=place.service)
    place.call("DeleteVolume", volumeId=place.volume)
    place.call("CommitStaged", **one)
    railway.advance(10)
    assert railway.left_behind() == []
