"""What a commit is made of, and what became of one that said success at once."""

from __future__ import annotations

import pytest

from postbase_operator.errors import NotReady, PostbaseError
from postbase_operator.railway.graphql.faults import PlanLimit, Refused
from postbase_operator.railway.graphql.models import Patch, Workflow
from postbase_operator.railway.graphql.patches import (
    merged,
    public_port,
    verdict,
    volume_size,
    workflow_of,
    workflow_verdict,
)
from postbase_operator.railway.graphql.values import wire

TOO_LARGE = "Max size of 5000 MB on current plan. Please select a valid size or upgrade"


def test_one_commit_for_all_of_it() -> None:
    limits = {"services": {"s1": {"deploy": {"drainingSeconds": 60}}}}
    patch = merged(public_port("s1", open_=True), volume_size("v1", 6000), limits)
    assert wire(patch) == {
        "services": {
            "s1": {"networking": {"tcpProxies": {"5432": {}}}, "deploy": {"drainingSeconds": 60}}
        },
        "volumes": {"v1": {"sizeMB": 6000}},
    }


@pytest.mark.trap("null-is-not-absent")
def test_a_port_is_closed_by_null_and_nothing_else() -> None:
    closed = wire(public_port("s1", open_=False))
    assert closed == {"services": {"s1": {"networking": {"tcpProxies": {"5432": None}}}}}
    assert wire(merged(public_port("s1", open_=True), public_port("s1", open_=False))) == closed


def patch(status: str, error: str | None = None, message: str = "ours") -> Patch:
    return Patch(id="p", status=status, last_applied_error=error, message=message)


@pytest.mark.parametrize(
    ("patches", "kind"),
    [
        ([], NotReady),
        ([patch("COMMITTED", message="another")], NotReady),
        ([patch("APPLYING")], NotReady),
        ([patch("STAGED")], NotReady),
        ([patch("COMMITTED")], None),
        ([patch("COMMITTED", ""), patch("STAGED", "boom", "another")], None),
        ([patch("STAGED", TOO_LARGE)], PlanLimit),
        ([patch("COMMITTED", TOO_LARGE)], PlanLimit),
        ([patch("STAGED", "boom")], Refused),
        ([patch("STAGED", "boom"), patch("APPLYING")], NotReady),
    ],
)
@pytest.mark.trap("commit-is-async")
def test_what_became_of_a_commit(patches: list[Patch], kind: type[PostbaseError] | None) -> None:
    found = verdict(patches, "ours")
    assert (type(found) if found is not None else None) is kind


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        ("Complete", None, None),
        ("Running", None, NotReady),
        ("NotFound", None, NotReady),
        ("A new word", None, NotReady),
        ("Error", TOO_LARGE, PlanLimit),
        ("Error", None, Refused),
    ],
)
def test_what_became_of_its_workflow(
    status: str, error: str | None, kind: type[PostbaseError] | None
) -> None:
    found = workflow_verdict(Workflow(status=status, error=error), "ours")
    assert (type(found) if found is not None else None) is kind


def test_the_workflow_of_a_patch() -> None:
    assert workflow_of("e1", "p1") == "commitChanges/e1/p1"
