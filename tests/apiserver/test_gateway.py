"""The REST API against a real API server, as a client meets it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from apiserver.gateways import Client, GatewayWorld, gateway_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayWorld]:
    with gateway_world(tmp_path_factory.mktemp("gateway")) as world:
        world.start()
        yield world


@pytest.fixture(scope="module")
def jane(world: GatewayWorld) -> Client:
    return world.client(world.token("jane", "Pro"))


def test_health_is_open_and_says_what_the_page_says(world: GatewayWorld) -> None:
    answer = world.client().get("/")
    assert answer.status == 200
    assert answer.data["name"] == answer.json["name"] == "Postbase Cloud API"
    assert answer.json["status"] == "healthy"


def test_me(jane: Client) -> None:
    assert jane.get("/auth/me").data["login"] == "jane"


def test_project_life(jane: Client) -> None:
    made = jane.post("/projects", {"name": "myapp"})
    assert made.status == 201, made.json
    assert jane.get("/projects").data["projects"] == [made.data]
    assert jane.get("/projects/myapp").data == made.data
