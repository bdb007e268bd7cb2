"""`node install`: the chart, with values for a small cluster. All that we know of it is here."""

import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from node import paths, waiting
from node.commands import run
from node.console import say, step
from node.errors import NodeError

NAMESPACE = "postbase-system"
RAILWAY_SECRET = "railway"
RAILWAY_IMAGE = "ghcr.io/postbase/operator:demo"
RAILWAY_REGION = "europe-west4-drams3a"
"""The double runs the operator of this checkout by this name; Railway could pull no local image."""
_CHART = paths.CHECKOUT / "charts" / "postbase"
_RELEASE = "postbase"
_WORKLOADS = "deployments,statefulsets"
# A container may fail a few times while what it needs starts beside it; then it will not heal.
_TOO_OFTEN = 4
_HOPELESS = ("ErrImageNeverPull", "ErrImagePull", "ImagePullBackOff", "InvalidImageName")


def install(images: Mapping[str, Any], kubeconfig: Path, *, own: bool) -> None:
    """Returns when everything that the chart runs is Ready with these images.

    `own`: the cluster is ours, so what somebody has applied there by hand is taken over.
    """
    if not (_CHART / "Chart.yaml").exists():
        say("charts/postbase is not there: the cluster is up, the operator is not installed")
        return
    paths.VALUES.write_text(json.dumps(values(images), indent=1) + "\n")
    with step(f"chart {_RELEASE} in {NAMESPACE}", usually=15):
        run(
            [
                *("helm", "upgrade", "--install", _RELEASE, _CHART, "--kubeconfig", kubeconfig),
                *("--namespace", NAMESPACE, "--create-namespace", "--values", paths.VALUES),
                *(["--take-ownership"] if own else []),
            ],
            env={"HELM_CACHE_HOME": str(paths.CLUSTER / "helm")},
            log="install",
        )
        waiting.until(
            lambda: _all_ready(kubeconfig, (images["operator"], images["s3"])),
            f"everything in {NAMESPACE} is Ready (kubectl -n {NAMESPACE} get pods)",
            seconds=180,
            every=0.5,
        )


def uninstall(kubeconfig: Path) -> None:
    run(
        [
            *("helm", "uninstall", _RELEASE, "--kubeconfig", kubeconfig),
            *("--namespace", NAMESPACE, "--ignore-not-found", "--wait"),
        ],
        log="install",
    )


def values(images: Mapping[str, Any]) -> dict[str, object]:
    """In JSON, which is YAML. The ratio lets twenty databases at once be scheduled on two cores."""
    repository, _, tag = images["operator"].rpartition(":")
    return {
        "image": {"repository": repository, "tag": tag, "pullPolicy": "IfNotPresent"},
        "postgresImages": {major: images["postgres"][major] for major in ("15", "17")},
        "postgresPullPolicy": "IfNotPresent",  # no registry has them
        "regions": ["us-west1", "eu-west1"],  # both are this cluster
        "cpuRequestRatio": 0.05,
        "objectStore": {
            "embedded": {"enabled": True, "image": images["s3"]},
            "publicEndpoint": os.environ.get("PUBLIC_STORE_URL", ""),
        },
        "gateway": gateway(os.environ.get("GITHUB_URL", "")),
        "railway": railway(os.environ.get("RAILWAY_URL", "")),
    }


def gateway(github: str) -> dict[str, object]:
    """With tokens by command; `github` is the address of one to sign in with, such as a test's."""
    chosen: dict[str, object] = {
        "enabled": True,
        "postgresVersion": "15",
        "resources": {"requests": {"cpu": "20m", "memory": "96Mi"}, "limits": {"memory": "384Mi"}},
    }
    if github:
        chosen["github"] = {"url": github, "clientId": "demo"}
        chosen["signIn"] = {"policy": "open"}
    return chosen


def railway(url: str) -> dict[str, object]:
    """With a project's token from a Secret that is there; `url` is the API's, of a double."""
    if not url:
        return {}
    return {
        "tokenSecretRef": {"name": RAILWAY_SECRET},
        "endpoint": url,
        "image": RAILWAY_IMAGE,
        "regions": [RAILWAY_REGION],
    }


def settled(workload: Mapping[str, Any]) -> bool:
    """The controller has seen this generation, and every replica is of it and Ready."""
    status = workload["status"]
    wanted: int = workload["spec"].get("replicas", 1)
    seen: int = status.get("observedGeneration", 0)
    counts = [status.get(name, 0) for name in ("updatedReplicas", "readyReplicas", "replicas")]
    return seen >= workload["metadata"]["generation"] and counts == [wanted] * 3


def trouble(pod: Mapping[str, Any], ours: Collection[str]) -> str:
    """The container that will not come up by waiting, and why; empty where there is none.

    Only of `ours` images: a pod of before, which this very install replaces, may well be ill.
    """
    if any(container["image"] not in ours for container in pod["spec"]["containers"]):
        return ""
    for container in pod["status"].get("containerStatuses", []):
        waits = container.get("state", {}).get("waiting", {})
        often = container.get("restartCount", 0) >= _TOO_OFTEN
        if waits.get("reason") in _HOPELESS or (waits and often):
            return f"{container['name']} of {pod['metadata']['name']}: {waits['reason']}"
    return ""


def _all_ready(kubeconfig: Path, ours: Collection[str]) -> bool:
    for pod in _get("pods", kubeconfig):
        if why := trouble(pod, ours):
            name = pod["metadata"]["name"]
            raise NodeError(f"{why}; see: kubectl -n {NAMESPACE} logs --previous {name}")
    return all(settled(workload) for workload in _get(_WORKLOADS, kubeconfig))


def _get(what: str, kubeconfig: Path) -> list[dict[str, Any]]:
    words = ("kubectl", "--kubeconfig", kubeconfig, "--namespace", NAMESPACE, "get", what)
    found: list[dict[str, Any]] = json.loads(run([*words, "--output", "json"]))["items"]
    return found
