"""How many Databases of a Project were there before one."""

from __future__ import annotations

from typing import Any

from postbase_operator.api.project import Project
from postbase_operator.handlers.siblings import elder
from postbase_operator.kube.cache import Cache
from postbase_operator.kube.kinds import DATABASE


def body(name: str, second: int, project: str = "shop") -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "namespace": "team",
            "uid": name,
            "creationTimestamp": f"2026-01-01T00:00:{second:02}Z",
        },
        "spec": {"projectRef": {"name": project}},
    }


def shop(**quota: int) -> Project:
    return Project.model_validate({"metadata": {"name": "shop"}, "spec": {"quota": quota}})


def test_by_age_and_within_a_second_by_name() -> None:
    cache = Cache()
    bodies = [body("b", 1), body("a", 1), body("c", 0), body("d", 0, "another")]
    for each in bodies:
        cache.put(DATABASE, each)
    counts = {each["metadata"]["name"]: elder(cache, each, shop(databases=1)) for each in bodies}
    assert counts == {"c": 0, "a": 1, "b": 2, "d": 0}


def test_without_a_quota_nobody_counts() -> None:
    cache = Cache()
    for each in (body("a", 0), body("b", 1)):
        cache.put(DATABASE, each)
    assert elder(cache, body("b", 1), shop()) == 0
    assert elder(cache, body("b", 1), None) == 0
