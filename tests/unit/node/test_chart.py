"""When an install is done, and when waiting for it is of no use."""

from typing import Any

import pytest

from node import chart
from railway.settings import REGIONS, Settings

IMAGES: dict[str, Any] = {
    "operator": "localhost/postbase/operator:abc",
    "s3": "localhost/postbase/s3:def",
    "postgres": {"15": "localhost/postbase/postgres:15", "17": "localhost/postbase/postgres:17"},
}


def test_values_name_the_images_of_this_checkout() -> None:
    values = chart.values(IMAGES)
    assert values["image"] == {
        "repository": "localhost/postbase/operator",
        "tag": "abc",
        "pullPolicy": "IfNotPresent",
    }
    assert values["postgresImages"] == IMAGES["postgres"]


def test_the_gateway_signs_in_where_a_github_is_named() -> None:
    assert "github" not in chart.gateway("")
    named = chart.gateway("http://10.88.0.1:9999")
    assert named["github"] == {"url": "http://10.88.0.1:9999", "clientId": "demo"}


def test_railway_is_served_where_a_double_is_named() -> None:
    assert chart.railway("") == {}
    named = chart.railway("http://10.88.0.1:9999/graphql/v2")
    assert named["endpoint"] == "http://10.88.0.1:9999/graphql/v2"
    assert named["tokenSecretRef"] == {"name": "railway"}
    image, _, _ = str(named["image"]).rpartition(":")
    assert image == Settings().operator_image
    assert set(named["regions"]) <= set(REGIONS)  # type: ignore[call-overload]  # of any type


def workload(**status: int) -> dict[str, Any]:
    return {"metadata": {"generation": 2}, "spec": {"replicas": 1}, "status": status}


@pytest.mark.parametrize(
    ("status", "done"),
    [
        ({"observedGeneration": 2, "updatedReplicas": 1, "readyReplicas": 1, "replicas": 1}, True),
        ({"observedGeneration": 1, "updatedReplicas": 1, "readyReplicas": 1, "replicas": 1}, False),
        ({"observedGeneration": 2, "updatedReplicas": 1, "readyReplicas": 1, "replicas": 2}, False),
        ({"observedGeneration": 2}, False),
    ],
)
def test_settled_only_with_this_generation_and_no_pod_of_before(
    status: dict[str, int], done: bool
) -> None:
    assert chart.settled(workload(**status)) is done


def pod(image: str, restarts: int, reason: str) -> dict[str, Any]:
    state = {"waiting": {"reason": reason}} if reason else {"running": {}}
    container = {"name": "operator", "restartCount": restarts, "state": state}
    return {
        "metadata": {"name": "postbase-operator-1"},
        "spec": {"containers": [{"name": "operator", "image": image}]},
        "status": {"containerStatuses": [container]},
    }


@pytest.mark.parametrize(
    ("restarts", "reason", "ill"),
    [
        (0, "ContainerCreating", False),
        (1, "CrashLoopBackOff", False),
        (4, "CrashLoopBackOff", True),
        (0, "ImagePullBackOff", True),
        (9, "", False),
    ],
)
def test_trouble_is_what_waiting_does_not_mend(restarts: int, reason: str, ill: bool) -> None:
    ours = [IMAGES["operator"]]
    assert (
        bool(chart.trouble(pod("localhost/postbase/operator:abc", restarts, reason), ours)) is ill
    )
    assert chart.trouble(pod("localhost/postbase/operator:old", restarts, reason), ours) == ""
