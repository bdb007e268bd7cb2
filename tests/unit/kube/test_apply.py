"""When an apply is left out: the intent is unchanged AND every field of ours still holds."""

from __future__ import annotations

from typing import Any

import pytest

from postbase_operator.kube.apply import INTENT, holds, intent_hash, is_current


@pytest.mark.parametrize(
    ("desired", "live", "same"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, True),
        ({"a": 1}, {"a": 2}, False),
        ({"a": 1}, {}, False),
        ({"a": {}}, {}, True),
        ({"a": []}, {}, True),
        ({"a": False}, {}, False),
        ({"a": {}}, {"a": {"b": 1}}, False),
        (
            {"metadata": {"owners": [{"name": "x"}]}},
            {"metadata": {"owners": [{"name": "x"}, {"name": "y"}]}},
            True,
        ),
        ({"a": "1024Mi"}, {"a": "1Gi"}, True),
        ({"a": "0.5"}, {"a": "500m"}, True),
        ({"a": "1Gi"}, {"a": "2Gi"}, False),
        ({"l": [{"name": "x", "v": 1}]}, {"l": [{"name": "y"}, {"name": "x", "v": 1}]}, False),
        ({"l": [{"name": "x", "v": 1}]}, {"l": [{"name": "x", "v": 2}]}, False),
        ({"l": [{"name": "x"}]}, {"l": []}, False),
        ({"l": ["a", "b"]}, {"l": ["b", "a"]}, False),
        ({"l": ["a"]}, {"l": ["a", "b"]}, False),
        ({"l": [{"port": 1, "name": "p"}]}, {"l": [{"port": 1, "name": "p", "nodePort": 3}]}, True),
        ({"a": None}, {"a": None}, True),
        ({"selector": {"x": "1"}}, {"selector": {"x": "1", "y": "2"}}, False),
        ({"a": 1}, None, False),
    ],
)
def test_holds(desired: Any, live: Any, same: bool) -> None:
    assert holds(desired, live) is same


def test_both_halves_are_needed() -> None:
    identity = {"apiVersion": "v1", "kind": "ConfigMap"}
    desired = {**identity, "metadata": {"name": "c"}, "data": {"a": "1"}}
    mark = intent_hash(desired)
    live = {
        **identity,
        "metadata": {"name": "c", "annotations": {INTENT: mark}},
        "data": {"a": "1"},
    }
    assert is_current(desired, live, mark)
    assert not is_current(desired, {**live, "data": {"a": "edited"}}, mark)
    assert not is_current(desired, live, intent_hash({**desired, "data": {"a": "1", "b": "2"}}))
    # A key that left the intent must go from the object too, though all that is wanted holds.
    assert not is_current({**desired, "data": {}}, live, intent_hash({**desired, "data": {}}))
