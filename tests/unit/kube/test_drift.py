"""No field of any child can be changed or taken away unseen."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from postbase_operator.desired import workload
from postbase_operator.kube.apply import INTENT, body_of, intent_hash, is_current
from postbase_operator.kube.kinds import Body
from postbase_operator.settings import Settings
from unit.conftest import database

Path = tuple[str | int, ...]

DATABASE = database(
    resources={"cpu": "2", "memory": "4Gi"},
    scheduling={
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "db", "operator": "Exists"}],
    },
)
OBJECTS = [
    body_of(each)
    for each in workload.objects(
        DATABASE, "claim", "73", "postgres:15", Settings(sidecar_image="postbase:1")
    )
]
IDENTITY = {("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace")}


def leaves(value: Any, path: Path = ()) -> Iterator[Path]:
    below = (
        list(value.items())
        if isinstance(value, dict)
        else list(enumerate(value))
        if isinstance(value, list)
        else []
    )
    if not below:
        yield path
    for key, each in below:
        yield from leaves(each, (*path, key))


def live(desired: Body) -> Body:
    """As the API server has it after our apply."""
    held = copy.deepcopy(desired)
    held["metadata"]["annotations"] = {INTENT: intent_hash(desired)}
    return held


def holder(body: Any, path: Path) -> Any:
    for key in path[:-1]:
        body = body[key]
    return body


def other(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    return f"{value}-edited" if isinstance(value, str) else {"edited": "yes"}


@pytest.mark.parametrize("desired", OBJECTS, ids=lambda body: body["kind"])
def test_what_is_changed_or_removed_is_seen(desired: Body) -> None:
    mark = intent_hash(desired)
    assert is_current(desired, live(desired), mark)
    unseen = []
    for path in leaves(desired):
        if path in IDENTITY:
            continue
        changed, removed = live(desired), live(desired)
        holder(changed, path)[path[-1]] = other(holder(changed, path)[path[-1]])
        if holder(desired, path)[path[-1]] not in ({}, []):  # the API server leaves these out
            del holder(removed, path)[path[-1]]
        else:
            removed = changed
        if is_current(desired, changed, mark):
            unseen.append(("changed", path))
        if is_current(desired, removed, mark):
            unseen.append(("removed", path))
    assert unseen == []
