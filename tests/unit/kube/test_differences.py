"""What a running pod has otherwise than the template, and what of it needs no new pod."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from postbase_operator.desired import workload
from postbase_operator.kube.apply import body_of
from postbase_operator.kube.differences import differences, resize_of, resize_refused
from postbase_operator.settings import Settings
from unit.conftest import database


def statefulset(**spec: Any) -> dict[str, Any]:
    settings = Settings(sidecar_image=spec.pop("sidecar", "ours:1"))
    image = spec.pop("server", "postgres:15")
    made = workload.objects(database(**spec), "claim", "73", image, settings)
    (body,) = [body_of(each) for each in made if body_of(each)["kind"] == "StatefulSet"]
    return body


def pod() -> dict[str, Any]:
    """As the API server and injectors leave it: with more than the template says."""
    spec = deepcopy(statefulset()["spec"]["template"]["spec"])
    spec["tolerations"] = [{"key": "node.kubernetes.io/not-ready", "operator": "Exists"}]
    spec["containers"].append({"name": "injected"})
    spec["volumes"].append({"name": "injected"})
    spec["containers"][0]["volumeMounts"].append({"name": "injected", "mountPath": "/injected"})
    spec["nodeName"] = "node"
    return {"metadata": {"name": "shop-main-1-0"}, "spec": spec, "status": {}}


def test_what_others_add_is_no_difference() -> None:
    found = differences(pod(), statefulset())
    assert (found.waiting, found.size, found.sidecar) == ((), False, False)


@pytest.mark.parametrize(
    ("change", "waiting"),
    [
        ({"server": "postgres:15.9"}, ("image of postgres",)),
        ({"scheduling": {"nodeSelector": {"disk": "fast"}}}, ("nodeSelector",)),
        ({"serviceAccountName": "other"}, ("serviceAccountName",)),
    ],
)
def test_what_waits_for_a_new_pod(change: dict[str, Any], waiting: tuple[str, ...]) -> None:
    assert differences(pod(), statefulset(**change)).waiting == waiting


def test_a_field_that_the_template_has_no_more_waits_too() -> None:
    held = pod()
    held["spec"]["nodeSelector"] = {"disk": "fast"}
    assert differences(held, statefulset()).waiting == ("nodeSelector",)


def test_a_size_and_a_sidecar_need_no_new_pod() -> None:
    found = differences(pod(), statefulset(resources={"cpu": "2"}, sidecar="ours:2"))
    assert (found.waiting, found.size, found.sidecar) == ((), True, True)


def test_where_pods_cannot_be_resized_their_size_waits() -> None:
    found = differences(pod(), statefulset(resources={"cpu": "2"}), resizable=False)
    assert (found.waiting, found.size) == (("resources of postgres",), False)


def test_the_resize_names_every_container_that_runs_and_no_other() -> None:
    wanted = statefulset(resources={"cpu": "2", "memory": "1Gi"})
    patch = resize_of(wanted)["spec"]
    assert [each["name"] for each in patch["containers"]] == ["postgres"]
    assert [each["name"] for each in patch["initContainers"]] == ["wal-receiver"]
    assert patch["containers"][0]["resources"]["limits"] == {"cpu": "2", "memory": "1Gi"}
    assert set(patch["containers"][0]) == {"name", "resources"}


def test_a_size_that_cannot_be_had_is_told() -> None:
    held = pod()
    assert resize_refused(held) == ""
    refusal = {
        "type": "PodResizePending",
        "status": "True",
        "reason": "Infeasible",
        "message": "Node didn't have enough capacity: memory",
    }
    held["status"]["conditions"] = [refusal]
    assert "Infeasible: Node didn't" in resize_refused(held)
