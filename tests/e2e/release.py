"""The release that the cluster runs, and the one before it, by helm as an administrator uses it.

`releases/<version>/` has what a release was: its chart as `helm package` writes it, and the inputs
of its image, as an archive of git: operator/Dockerfile operator/postbase_operator
requirements/runtime.txt. They are never changed; a new release adds a folder.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from e2e.cluster import KUBECONFIG, OPERATOR_NAMESPACE, ROOT, Body, Cluster, eventually
from node import builder, chart, golang, images, loading, paths

NAME = "postbase"
DEPLOYMENT = f"deployment/{NAME}-operator"
REPLICAS = 2
PREVIOUS = Path(__file__).parent / "releases" / "0.1.0"
PREVIOUS_CHART = PREVIOUS / "postbase-0.1.0.tgz"


def helm(*words: str, stdin: str = "", seconds: float = 120) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(str(golang.built("helm")), *words),
            *(f"--kubeconfig={KUBECONFIG}", f"--namespace={OPERATOR_NAMESPACE}"),
        ],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


@dataclass(frozen=True)
class Release:
    cluster: Cluster

    def to_previous(self) -> None:
        """Chart and operator of the release before, with the cluster's values."""
        image = previous_image()
        repository, _, tag = image.rpartition(":")
        values = known(json.loads(paths.VALUES.read_text()), defaults(PREVIOUS_CHART))
        values["image"] = {**values["image"], "repository": repository, "tag": tag}
        upgrade = ("upgrade", NAME, str(PREVIOUS_CHART), "--take-ownership", "--values=-")
        done = helm(*upgrade, stdin=json.dumps(values))
        assert done.returncode == 0, done.stderr
        self.wait_rolled(image)

    def to_image(self, image: str) -> None:
        """Another operator under this release's chart."""
        chart.install(
            {**json.loads(paths.IMAGES.read_text()), "operator": image}, KUBECONFIG, own=True
        )
        self.wait_rolled(image)

    def to_current(self) -> None:
        """As `make up` leaves it: by the same function, with the images that it has loaded."""
        chart.install(json.loads(paths.IMAGES.read_text()), KUBECONFIG, own=True)
        self.wait_rolled(current_image())

    def wait_rolled(self, image: str) -> None:
        """Every replica is of this image and Ready, and none of before is left."""

        def rolled() -> bool:
            pods = self.cluster.operator_pods()
            return len(pods) == REPLICAS and all(_runs(pod, image) for pod in pods)

        eventually(rolled, f"{REPLICAS} replicas of {image}", seconds=90)

    def replicas(self) -> set[str]:
        return {pod["metadata"]["name"] for pod in self.cluster.operator_pods()}

    def definitions(self) -> dict[str, Any]:
        """What the cluster serves of each resource type of ours."""
        listed = json.loads(self.cluster.kubectl("get", "crd", "-o", "json"))["items"]
        return versions([crd for crd in listed if crd["spec"]["group"] == "postbase.sh"])


def versions(definitions: list[Body]) -> dict[str, Any]:
    return {each["metadata"]["name"]: each["spec"]["versions"] for each in definitions}


def previous_definitions() -> dict[str, Any]:
    done = helm("template", NAME, str(PREVIOUS_CHART), "--kube-version=1.34.0")
    assert done.returncode == 0, done.stderr
    objects = [body for body in yaml.safe_load_all(done.stdout) if body]
    return versions([body for body in objects if body["kind"] == "CustomResourceDefinition"])


def current_definitions() -> dict[str, Any]:
    return versions([yaml.safe_load(file.read_text()) for file in (ROOT / "crds").glob("*.yaml")])


def current_image() -> str:
    return str(json.loads(paths.IMAGES.read_text())["operator"])


def previous_image() -> str:
    """On the node, built from its own sources; from the cache where they were built before."""
    with builder.scratch() as checkout:
        with tarfile.open(PREVIOUS / "operator.tar.xz") as archive:
            archive.extractall(checkout, filter="data")
        image = images.ensure_operator(checkout)
        loading.load({image.reference: image.archive})
    return image.reference


def changed_image(file: str, before: str, after: str) -> str:
    """On the node, built from the sources of this release with one change in one file."""
    with builder.scratch() as checkout:
        for name in ("operator", "requirements"):
            shutil.copytree(
                ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        source = (checkout / file).read_text()
        assert source.count(before) == 1, f"{file} has no single {before!r}"
        (checkout / file).write_text(source.replace(before, after))
        image = images.ensure_operator(checkout)
        loading.load({image.reference: image.archive})
    return image.reference


def defaults(package: Path) -> Body:
    done = helm("show", "values", str(package))
    assert done.returncode == 0, done.stderr
    found: Body = yaml.safe_load(done.stdout)
    return found


def known(values: Body, defaults: Body) -> Body:
    """The values that a chart has: an older one refuses those that came later."""
    return {
        name: known(value, defaults[name]) if isinstance(value, dict) and defaults[name] else value
        for name, value in values.items()
        if name in defaults
    }


def _runs(pod: Body, image: str) -> bool:
    ready = {c["type"]: c["status"] for c in pod["status"].get("conditions", [])}.get("Ready")
    current = all(container["image"] == image for container in pod["spec"]["containers"])
    return ready == "True" and current and "deletionTimestamp" not in pod["metadata"]
