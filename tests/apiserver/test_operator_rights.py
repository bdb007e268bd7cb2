"""The operator at work with the chart's rights and no others: nothing that it does is forbidden,
in every namespace or in listed ones, also where the API server is strict about owners (OpenShift).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from kubernetes import config

from apiserver.access import ROOT, Api
from apiserver.charts import LISTED, Body, rendered
from node import golang, paths, ports, waiting
from node.control_plane import Argv, Plane, control_plane

pytestmark = pytest.mark.timeout(300)
OPERATOR_NAMESPACE = "postbase-system"
ACCOUNT = "postbase-operator"
OWNERS = "--enable-admission-plugins=OwnerReferencesPermissionEnforcement"
"""Whoever makes a child that blocks its owner's deletion must be allowed to set that finalizer."""


@dataclass(frozen=True)
class Operator:
    log: Path
    port: int

    def metrics(self) -> list[str]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
            lines: list[str] = answer.read().decode().splitlines()
        return lines

    def leads(self) -> bool:
        try:
            return "postbase_leader 1.0" in self.metrics()
        except OSError:
            return False

    def forbidden(self) -> list[str]:
        """Requests that were refused, by the operator's own count and by its log (kopf's)."""
        lines = [m for m in self.metrics() if m.startswith("postbase_api_requests_total")]
        assert lines, "no request was counted"
        told = [line for line in self.log.read_text().splitlines() if "forbidden" in line.lower()]
        return [line for line in lines if 'code="403"' in line] + told


@contextmanager
def api_server(folder: Path, *admission: str) -> Iterator[Api]:
    """With the controllers, because without garbage collection nothing is ever deleted."""
    folder.mkdir()
    usual = Plane.apiserver

    def apiserver(plane: Plane) -> Argv:
        return [*usual(plane), *admission]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Plane, "apiserver", apiserver)
        with control_plane(folder, controllers=True) as plane:
            client = config.new_client_from_config(str(plane.kubeconfig))
            api = Api(plane.kubeconfig, plane.kubectl, client)
            api.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
            api.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
            for name in (OPERATOR_NAMESPACE, "team-a", "team-b"):
                api.kubectl("create", "namespace", name)
            yield api
            client.close()


@contextmanager
def installed(api: Api, folder: Path, values: Body) -> Iterator[Operator]:
    """The release without its pods, and this checkout's operator as its account."""
    objects = [
        each
        for each in rendered(values)
        if each["kind"] in ("ServiceAccount", "ClusterRole", "Role") or "roleRef" in each
    ]
    api.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))
    served = ",".join(values.get("watch", {}).get("namespaces", []))
    operator = Operator(folder / "operator.log", ports.free())
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT / "operator"),
        "KUBECONFIG": str(kubeconfig(api, folder)),
        "POSTBASE_OPERATOR_NAMESPACE": OPERATOR_NAMESPACE,
        "POSTBASE_WATCH_NAMESPACES": served,
        "POSTBASE_SIDECAR_IMAGE": "postbase:1",
        "POSTBASE_HEALTH_PORT": str(operator.port),
    }
    die_with_us = [str(paths.BIN / "setpriv"), "--pdeathsig", "KILL"]
    with operator.log.open("wb") as log:
        process = subprocess.Popen(
            [*die_with_us, sys.executable, "-m", "postbase_operator", "operator"],
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        waiting.until(
            lambda: operator.leads() or process.poll() is not None, "it leads", seconds=90
        )
        assert process.poll() is None, operator.log.read_text()
        yield operator
    finally:
        process.terminate()
        process.wait(timeout=60)


def kubeconfig(api: Api, folder: Path) -> Path:
    """The administrator's, with the account's token in place of his certificate."""
    token = api.kubectl("create", "token", ACCOUNT, f"--namespace={OPERATOR_NAMESPACE}").strip()
    body = yaml.safe_load(api.kubeconfig.read_text())
    body["users"][0]["user"] = {"token": token}
    file = folder / "kubeconfig"
    file.touch(mode=0o600)
    file.write_text(yaml.safe_dump(body))
    return file


def make(api: Api, namespace: str, deletion_policy: str) -> None:
    least = {
        "projectRef": {"name": "shop"},
        "postgresVersion": "17",
        "storage": {"size": "1Gi"},
        "deletionPolicy": deletion_policy,
    }
    backup = {"databaseRef": {"name": "main"}}
    none: dict[str, object] = {}
    kinds = (("Project", "shop", none), ("Database", "main", least), ("Backup", "main", backup))
    items = [
        {"apiVersion": "postbase.sh/v1alpha1", "kind": k, "metadata": {"name": n}, "spec": spec}
        for k, n, spec in kinds
    ]
    stdin = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    api.kubectl("apply", f"--namespace={namespace}", "-f", "-", stdin=stdin)


@pytest.mark.parametrize(
    ("values", "admission", "deletion_policy"),
    [({}, (), "Delete"), (LISTED, (OWNERS,), "Retain")],
    ids=["everywhere", "listed, as on OpenShift"],
)
def test_nothing_that_it_does_is_forbidden(
    tmp_path: Path, values: Body, admission: tuple[str, ...], deletion_policy: str
) -> None:
    """From a Database's making to its end, but for what needs a kubelet.

    On OpenShift `Delete` would need the right to delete Secrets, which the operator does not have.
    """
    if not golang.built("kube").exists():
        pytest.skip("kube-apiserver is not built: run `make up`, or `python3 -m node build`")
    with (
        api_server(tmp_path / "plane", *admission) as api,
        installed(api, tmp_path, values) as operator,
    ):
        for namespace in ("default", "team-b"):
            make(api, namespace, deletion_policy)
        live_and_die(api, deletion_policy)
        if values != LISTED:  # it may have come to the other one first
            held = "--for=jsonpath={.metadata.finalizers}"
            api.kubectl("wait", "database/main", held, "-n=default", "--timeout=90s")
        assert not operator.forbidden()
        there = json.loads(api.kubectl("get", "database/main", "-n=default", "-o", "json"))
        assert ("finalizers" in there["metadata"]) is (values != LISTED)


def live_and_die(api: Api, deletion_policy: str) -> None:
    def wait(what: str, condition: str) -> None:
        api.kubectl("wait", what, f"--for={condition}", "--namespace=team-b", "--timeout=90s")

    for child in ("statefulset/main-1", "networkpolicy/main", "poddisruptionbudget/main"):
        wait(child, "create")
    for name in ("database/main", "backup/main", "project/shop"):
        wait(name, "jsonpath={.status.conditions}")
    patch = '{"spec": {"publishNotReadyAddresses": false}}'
    api.kubectl("patch", "service/main", "--namespace=team-b", "--patch", patch)
    wait("service/main", "jsonpath={.spec.publishNotReadyAddresses}=true")
    api.kubectl("delete", "database/main", "--namespace=team-b", "--timeout=90s")
    if deletion_policy == "Delete":
        wait("pvc/main-1-1", "delete")
