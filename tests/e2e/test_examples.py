"""Every file of docs/examples, as it stands, brought by server-side apply: it comes to what it
promises, leaves no drift, and its spec stays the property of who applied it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from e2e.cluster import ROOT, Body, Cluster, eventually
from e2e.gitops import MANAGER, OURS, drift, fields_of, live, put

pytestmark = pytest.mark.timeout(900)

EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.yaml"))
LOCAL = {
    "docker.io/postgis/postgis:17-3.5": (
        "localhost/postbase/postgis:15-uid70",
        {"runAsUser": 70},
    )
}
"""No registry is in reach of the node: it runs its own PostGIS in the place of this one."""

RUNS = ("Backup", "PitrRestore")
"""Kinds that run once."""
REFUSED = {
    "ledger-recovered": "spec.bootstrap",
    "undo-the-delete": "spec.source",
    "look-at-yesterday": "spec.source",
}
"""What cannot be given to them is refused: begun empty they would look done."""
WHY = ("NotImplemented", "NoArchive", "NoBaseBackup", "TargetBeforeWindow", "TargetAfterWindow")
"""The moments and the Database that they name are of no archive here."""
BY_DEFAULT = {"spec.restartPolicy"}
"""Promised by their defaults, so named although the manifest is silent."""


def manifests(example: Path) -> list[Body]:
    found = [body for body in yaml.safe_load_all(example.read_text()) if body]
    for body in found:
        image = body["spec"].get("image")
        if image is not None:
            body["spec"]["image"], body["spec"]["podSecurity"] = LOCAL[image]
    return found


def conditions(body: Body) -> dict[str, Body]:
    """Of the newest generation only."""
    return {
        condition["type"]: condition
        for condition in body.get("status", {}).get("conditions", [])
        if condition.get("observedGeneration") == body["metadata"]["generation"]
    }


@pytest.fixture(scope="module")
def settled(cluster: Cluster, namespace: str) -> dict[Path, list[Body]]:
    """All of them, applied in their order and side by side from then on; as they are when still."""
    for example in EXAMPLES:
        put(cluster, namespace, manifests(example))
    return {
        example: [settled_one(cluster, namespace, body) for body in manifests(example)]
        for example in EXAMPLES
    }


def settled_one(cluster: Cluster, namespace: str, body: Body) -> Body:
    """Ready; what this release does not do has said so."""
    kind, name = body["kind"], body["metadata"]["name"]
    wanted, status = ("Stalled" if name in REFUSED else "Ready"), "True"

    def still() -> Body | None:
        found = live(cluster, namespace, body)
        told = conditions(found)
        return found if told.get(wanted, {}).get("status") == status else None

    return eventually(still, f"{kind} {name}: {wanted}={status}", seconds=120)


@pytest.fixture(params=EXAMPLES, ids=lambda example: example.stem)
def example(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


def test_there_are_examples_of_every_kind_that_people_write() -> None:
    kinds = {body["kind"] for example in EXAMPLES for body in manifests(example)}
    assert kinds == {"Project", "Database", *RUNS}


def test_it_comes_to_what_it_promises_and_names_what_has_no_effect(
    settled: dict[Path, list[Body]], example: Path
) -> None:
    """What the example asks for and this release does not do is named; nothing else is."""
    for body in settled[example]:
        told = conditions(body)
        if field := REFUSED.get(body["metadata"]["name"]):
            assert told["Stalled"]["reason"] in WHY
            assert field in told["Stalled"]["message"]
        if body["kind"] in RUNS:
            continue
        accepted = told["Accepted"]
        if accepted["status"] == "False":
            assert accepted["reason"] == "NotImplemented"
            assert set(fields_in(accepted["message"])) <= BY_DEFAULT | set(paths(body["spec"]))


def fields_in(message: str) -> list[str]:
    return message.partition(": ")[2].split(", ")


def paths(value: object, at: str = "spec") -> list[str]:
    """spec.pitr, spec.pitr.rpo and so on: every field that the manifest writes."""
    if not isinstance(value, dict):
        return [at]
    return [at, *(path for key, inner in value.items() for path in paths(inner, f"{at}.{key}"))]


def test_git_finds_nothing_to_do(
    cluster: Cluster, namespace: str, settled: dict[Path, list[Body]], example: Path
) -> None:
    """A status that is written between kubectl's two reads shows as a difference, once; one of the
    spec would stay, as nothing here takes it away."""
    found = [""]

    def none() -> bool:
        found[0] = drift(cluster, namespace, manifests(example))
        return found[0] == ""

    try:
        eventually(none, "no drift", seconds=15)
    except AssertionError:
        raise AssertionError(found[0]) from None


def test_its_spec_is_the_property_of_who_applied_it(
    settled: dict[Path, list[Body]], example: Path
) -> None:
    for body in settled[example]:
        assert "f:spec" in fields_of(body, MANAGER)
        ours = fields_of(body, OURS)
        assert "f:status" in ours, "the operator has not written yet: nothing would be proven"
        assert set(ours) <= {"f:status", "f:metadata"}
        assert set(ours.get("f:metadata", {})) <= {"f:finalizers"}
