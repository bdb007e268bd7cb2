"""How a running pod differs from the template that would make it now. PURE.

CPU, memory and the sidecar's image can be changed on the running pod; everything else waits for the
next one.
"""

from __future__ import annotations

from dataclasses import dataclass

from postbase_operator.desired import names
from postbase_operator.kube.apply import holds
from postbase_operator.kube.kinds import Body

CONTAINERS = ("initContainers", "containers")
REMOVABLE = ("nodeSelector", "affinity", "topologySpreadConstraints")
"""Fields that nobody but us puts into a pod: one that the template has no more is a difference."""


@dataclass(frozen=True, slots=True)
class Differences:
    """`waiting` in words, "image of postgres"; the other two can be mended at once."""

    waiting: tuple[str, ...] = ()
    size: bool = False
    sidecar: bool = False


def differences(pod: Body, workload: Body | None, *, resizable: bool = True) -> Differences:
    """What the pod has otherwise; `resizable` False where the cluster cannot resize pods."""
    if workload is None:
        return Differences()
    wanted, has = workload["spec"]["template"]["spec"], pod["spec"]
    found = {field for field in REMOVABLE if has.get(field) and not wanted.get(field)}
    for field, value in wanted.items():
        if field in CONTAINERS:
            found |= set(_of_containers(value, has.get(field) or [], _running_images(pod)))
        elif not holds(value, has.get(field), exact=False):
            found.add(field)
    sizes = {f"resources of {name}" for name in RESIZED} & found if resizable else set()
    sidecar = f"image of {names.SIDECAR_CONTAINER}"
    waiting = found - sizes - {sidecar}
    there = {each["name"] for each in has.get("initContainers") or []}
    upgradable = sidecar in found and names.SIDECAR_CONTAINER in there
    return Differences(tuple(sorted(waiting)), bool(sizes), upgradable)


RESIZED = (names.POSTGRES_CONTAINER, names.SIDECAR_CONTAINER)


def _running_images(pod: Body) -> dict[str, str]:
    """What each container's image is by digest: a tag that means the wanted digest is no change."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    return {each["name"]: each.get("imageID", "") for each in statuses}


def _of_containers(wanted: list[Body], running: list[Body], images: dict[str, str]) -> list[str]:
    there = {each["name"]: each for each in running}
    return [
        f"{field} of {each['name']}"
        for each in wanted
        if each["name"] != names.INITDB_CONTAINER  # it has ended, and the next is made anew anyway
        for field, value in each.items()
        if not holds(value, there.get(each["name"], {}).get(field), exact=False)
        and not (field == "image" and images.get(each["name"]) == value)
        and field != "imagePullPolicy"  # of no effect on what runs
    ]


def resize_of(workload: Body) -> Body:
    """The patch (strategic merge) of a pod's `resize` that gives it the template's sizes."""
    template = workload["spec"]["template"]["spec"]
    return {
        "spec": {
            field: [
                {"name": each["name"], "resources": each["resources"]}
                for each in template[field]
                if each["name"] in RESIZED
            ]
            for field in CONTAINERS
        }
    }


def resize_refused(pod: Body) -> str:
    """Why the kubelet cannot give the pod the size that it was asked for; "" where it can."""
    for condition in (pod.get("status") or {}).get("conditions") or []:
        if condition["type"] == "PodResizePending" and condition.get("status") == "True":
            return f"{condition.get('reason', 'Pending')}: {condition.get('message', '')}"
    return ""
