"""The description against the API: schemathesis makes requests of it, valid ones and others, and
looks whether each answer is one that the description has. On a real API server.

Paths lead to objects that are there; what deletes them asks for others, which are not.
"""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import load_all_checks
from schemathesis.core.transport import Response
from schemathesis.generation.modes import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from apiserver.access import ROOT
from apiserver.gateways import GatewayWorld, gateway_world
from component.fake_github import PENDING, FakeGitHub, serving

pytestmark = pytest.mark.timeout(300)
CASES = 8
"""Of each operation."""
schema = schemathesis.openapi.from_path(str(ROOT / "docs" / "openapi.json"))
load_all_checks()
STATE = {403, 404, 409, 422, 429, 503}
"""What a valid request may meet: the plan, what is not there, and the state of things."""


@dataclass
class Target:
    world: GatewayWorld
    token: str
    spare: str
    paths: dict[str, str]
    valid: Counter[str] = field(default_factory=Counter)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.world.replicas[0].port}"


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with gateway_world(tmp_path_factory.mktemp("schema")) as world, ExitStack() as running:
        github = running.enter_context(serving(FakeGitHub(script=[PENDING])))
        world.start(
            trusted_proxies="127.0.0.1", github_url=github.url, github_client_id=github.client_id
        )
        token = world.token("jane", "Pro")
        client = world.client(token)
        project = client.post("/projects", {"name": "shop"}).data["id"]
        path = f"/projects/{project}/databases"
        database = client.post(path, {"name": "main"}).data["id"]
        pitr = {
            "receiver": {"state": "Running"},
            "recoveryWindow": {"from": "2020-01-01T00:00:00Z"},
        }
        world.run(database, pitr=pitr)
        client.post(f"{path}/main/pitr/enable")
        backup = client.post(f"{path}/main/backups").data["id"]
        restore = client.post(f"{path}/main/pitr/restore", {"target_time": "latest"}).data
        known = {
            "project": project,
            "database": "main",
            "backup": backup,
            "restore": restore["restore_id"],
        }
        yield Target(world, token, world.token("jim", "Pro"), known)


NUMBERS = itertools.count(1)


def unsaid(case: schemathesis.Case[Any]) -> bool:
    """Whether it has a value of which the description cannot say whether it is one of ours."""
    regions = isinstance(case.body, dict) and case.body.get("region") is not None
    return "cursor" in (case.query or {}) or regions or case.operation.path == "/auth/device/token"


def call(target: Target, case: schemathesis.Case[Any]) -> Response:
    """Waits as it is told where it was too fast."""
    ends = case.operation.method.upper() == "DELETE"
    if case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE and not ends:
        case.path_parameters = {
            name: target.paths.get(name, value) for name, value in case.path_parameters.items()
        }
    token = target.spare if ends else target.token
    # An address of its own each: requests without a token are limited by address.
    number = next(NUMBERS)
    case.headers["X-Forwarded-For"] = f"10.1.{number >> 8 & 255}.{number & 255}"
    while True:
        headers = {"Authorization": f"Bearer {token}"}
        response = case.call(base_url=target.url, headers=headers, timeout=60)
        if response.status_code != 429:
            return response
        time.sleep(int(response.headers["retry-after"][0]))


@schema.include(path_regex="^(?!/auth/token$)").parametrize()
@settings(
    max_examples=CASES,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
def test_each_answer_is_described(target: Target, case: schemathesis.Case[Any]) -> None:
    response = call(target, case)
    valid = case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE
    if valid and not unsaid(case):
        target.valid[str(response.status_code)] += 1
    case.validate_response(
        response,
        excluded_checks=[positive_data_acceptance] if unsaid(case) else [],
        headers={"Authorization": f"Bearer {target.token}"},
    )
    # Envelopes all, but for the two that are for other readers.
    if case.operation.path not in ("/docs", "/openapi.json"):
        body = json.loads(response.content) if response.content else {"success": True}
        assert body["success"] is (response.status_code < 400)


def test_nine_in_ten_valid_requests_get_an_answer_in_the_matter(target: Target) -> None:
    """Runs last: 2xx, or what a valid request may meet."""
    total = sum(target.valid.values())
    met = sum(n for status, n in target.valid.items() if int(status) < 300 or int(status) in STATE)
    assert total > 100
    assert met / total >= 0.9, target.valid
