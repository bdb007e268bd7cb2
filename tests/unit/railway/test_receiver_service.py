"""The receiver as a service on Railway: what it is told, and whether it is as wanted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from postbase_operator.archive.backup_order import KEYS, ORDER
from postbase_operator.archive.receiver import ReceiverConfig
from postbase_operator.archive.receiver_environment import CONFIG, PASSWORD, STORE
from postbase_operator.archive.server_wish import WISH
from postbase_operator.archive.wish import OFF
from postbase_operator.errors import InvalidSpec
from postbase_operator.railway.cost import LISTED
from postbase_operator.railway.cost import told as cost
from postbase_operator.railway.graphql.models import ServiceInstance
from postbase_operator.railway.graphql.values import NULL
from postbase_operator.railway.receiver_service import (
    AT_MOST,
    AT_MOST_BACKING_UP,
    COMMAND,
    REVISION,
    Wanted,
    at_most,
    is_as_wanted,
    patch,
    told,
    told_last,
    wanted,
)
from postbase_operator.railway.services import LONGEST_NAME, MARKER, receiver_name, service_name
from unit.archive.test_receiver import OWNER
from unit.conftest import database

DB = database("a-database-with-a-rather-long-name", provider="Railway")
STORE_KEYS = {
    "store.json": '{"bucket": "b1"}',
    "AWS_ACCESS_KEY_ID": "AK",
    "AWS_SECRET_ACCESS_KEY": "hidden",
}
ON = ReceiverConfig(enabled=True, owner=OWNER)
TOLD = told(ON, service_name(DB, "c"), "pw", STORE_KEYS)
WANTED = wanted(DB, "c", "registry/postbase:1", "us-west2", TOLD)


def service(**more: Any) -> ServiceInstance:
    wire = {
        "serviceId": "s1",
        "serviceName": "x-wal",
        "startCommand": COMMAND,
        "source": {"image": WANTED.image},
    }
    return ServiceInstance.model_validate(wire | more)


def shown(made: Wanted = WANTED) -> dict[str, str]:
    """As Railway shows the variables of a service that got this commit."""
    committed = patch(service(), made)["services"]["s1"]["variables"]
    return {name: each["value"] for name, each in committed.items() if "isSealed" not in each}


def test_its_name_is_another_one_and_the_database_is_reached_by_its_private_name() -> None:
    name = receiver_name(DB, "c")
    assert len(name) <= LONGEST_NAME
    assert name != service_name(DB, "c")
    assert TOLD.host == f"{service_name(DB, 'c')}.railway.internal"


@pytest.mark.trap("sealed-is-not-shown")
def test_one_commit_says_all_of_it_and_seals_what_opens_something() -> None:
    (described,) = patch(service(), WANTED)["services"].values()
    assert described["source"] == {"image": "registry/postbase:1"}
    assert described["deploy"]["startCommand"] == COMMAND
    assert described["deploy"]["multiRegionConfig"] == {"us-west2": {"numReplicas": 1}}
    assert described["deploy"]["restartPolicyType"] == "ALWAYS"
    assert "networking" not in described
    sealed = {name for name, each in described["variables"].items() if each.get("isSealed")}
    assert sealed == {PASSWORD, STORE["AWS_SECRET_ACCESS_KEY"]}
    assert described["variables"][MARKER]["value"].endswith(DB.metadata.uid)
    assert is_as_wanted(service(), shown(), WANTED)
    assert "hidden" not in repr(WANTED)
    assert "hidden" not in str(shown())


def test_it_runs_in_one_region_though_it_was_made_in_another() -> None:
    elsewhere = service(region="us-east4-eqdc4a")
    (described,) = patch(elsewhere, WANTED)["services"].values()
    regions = described["deploy"]["multiRegionConfig"]
    assert regions == {"us-west2": {"numReplicas": 1}, "us-east4-eqdc4a": NULL}
    assert not is_as_wanted(elsewhere, shown(), WANTED)
    assert is_as_wanted(service(region="us-west2"), shown(), WANTED)


@pytest.mark.parametrize(
    "other",
    [
        replace(WANTED, image="registry/postbase:2"),
        replace(WANTED, region="us-east4-eqdc4a"),
        wanted(DB, "c", WANTED.image, WANTED.region, replace(TOLD, password="other")),
        wanted(DB, "c", WANTED.image, WANTED.region, replace(TOLD, config=OFF)),
    ],
    ids=["image", "region", "password", "config"],
)
@pytest.mark.trap("sealed-is-not-shown")
def test_whatever_changes_is_seen_though_secrets_are_not_shown(other: Wanted) -> None:
    assert other.revision != WANTED.revision
    assert not is_as_wanted(service(), shown(), other)


@pytest.mark.parametrize(
    ("edited", "variables"),
    [
        ({"source": {"image": "nginx"}}, {}),
        ({"startCommand": None}, {}),
        ({}, {CONFIG: "{}"}),
        ({}, {MARKER: ""}),
        ({}, {REVISION: ""}),
    ],
)
def test_what_people_edit_is_put_back(edited: dict[str, Any], variables: dict[str, str]) -> None:
    assert not is_as_wanted(service(**edited), shown() | variables, WANTED)


def test_what_it_was_last_told() -> None:
    assert told_last(shown()) == ON
    assert told_last({}) == OFF


def test_a_store_that_a_pods_identity_opens_is_refused_with_the_remedy() -> None:
    with pytest.raises(InvalidSpec, match="credentialsSecretRef") as refused:
        told(ON, "x", "pw", {"store.json": "{}"})
    assert refused.value.reason == "StoreNeedsKeys"


def test_it_is_in_the_estimate() -> None:
    assert at_most(DB) == AT_MOST
    assert at_most(database(provider="Railway", expose="Private")) == AT_MOST_BACKING_UP
    alone, both = (cost(DB, 5_000, LISTED, each).at_most for each in (None, AT_MOST))
    assert both is not None
    assert alone is not None
    assert float(both) - float(alone) == pytest.approx(25.0)  # a processor, half a GB


def test_an_order_of_a_backup_stays_while_the_database_is_private_and_goes_with_that() -> None:
    """It is no part of what the service is described by."""
    held = shown() | {ORDER: "an order"}
    assert is_as_wanted(service(), held, WANTED)
    open_ = patch(service(), WANTED, held)["services"]["s1"]["variables"]
    assert (open_[ORDER], open_[KEYS]) == (NULL, NULL)
    private = replace(WANTED, variables={**WANTED.variables, WISH: "a wish"})
    told = patch(service(), private, held)["services"]["s1"]["variables"]
    assert ORDER not in told
    assert KEYS not in told
    assert ORDER not in patch(service(), WANTED, shown())["services"]["s1"]["variables"]
