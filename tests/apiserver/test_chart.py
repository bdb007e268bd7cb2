"""The chart: linted, refused where its values are wrong, taken whole by a real API server, and
giving the operator the rights that it needs and none that it does not."""

from __future__ import annotations

import subprocess

import pytest
import yaml

from apiserver.access import ROOT, Api
from node import golang

CHART = ROOT / "charts" / "postbase"
EMBEDDED = (
    "--set=objectStore.embedded.enabled=true",
    "--set=objectStore.embedded.image=versitygw:1",
)
USER = "--as=system:serviceaccount:postbase-system:postbase-operator"


def helm(*words: str) -> subprocess.CompletedProcess[str]:
    program = golang.built("helm")
    if not program.exists():
        pytest.skip("helm is not built: run `make up`, or `python3 -m node build`")
    return subprocess.run(
        [str(program), *words], check=False, capture_output=True, text=True, timeout=60
    )


def try_template(
    *values: str, namespace: str = "postbase-system"
) -> subprocess.CompletedProcess[str]:
    """A helm that was built from its module takes Kubernetes for 1.20 unless told."""
    options = (f"--namespace={namespace}", "--kube-version=1.34.0")
    return helm("template", "postbase", str(CHART), *options, *values)


def template(*values: str, namespace: str = "postbase-system") -> str:
    done = try_template(*values, namespace=namespace)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("values", [(), EMBEDDED, ("--set=watch.namespaces={a,b}",)])
def test_lint(values: tuple[str, ...]) -> None:
    done = helm("lint", "--strict", str(CHART), *values)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ("cpuRequestRatio=2", "cpuRequestRatio"),
        ("image.pullPolicy=Sometimes", "pullPolicy"),
        ("operator.wrokers=3", "wrokers"),
        ("postgresImages.13=postgres:13", "postgresImages"),
    ],
)
def test_wrong_values_are_refused_by_name(value: str, field: str) -> None:
    done = try_template("--set", value)
    assert done.returncode != 0
    assert field in done.stderr


def test_the_embedded_store_wants_its_image_named() -> None:
    done = try_template(EMBEDDED[0])
    assert done.returncode != 0
    assert "objectStore.embedded.image" in done.stderr


@pytest.mark.parametrize("values", [(), EMBEDDED, ("--set=watch.namespaces={default}",)])
def test_a_real_api_server_takes_all_of_it(api: Api, values: tuple[str, ...]) -> None:
    manifests = template("--set=crds.enabled=false", *values, namespace="default")
    told = api.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=manifests)
    assert told.count("(server dry run)") == sum(map(bool, yaml.safe_load_all(manifests)))


def test_every_pod_is_restricted(api: Api, namespace: str) -> None:
    """Pod Security admission only warns about templates, so the warnings are what is looked at."""
    label = "pod-security.kubernetes.io/warn=restricted"
    api.kubectl("label", "namespace", namespace, label)
    manifests = template("--set=crds.enabled=false", *EMBEDDED, namespace=namespace)
    workloads = [
        each
        for each in yaml.safe_load_all(manifests)
        if each and each["kind"] in ("Deployment", "StatefulSet")
    ]
    assert len(workloads) == 2
    told = subprocess.run(
        [
            str(api.program),
            f"--kubeconfig={api.kubeconfig}",
            "apply",
            "--dry-run=server",
            "-f",
            "-",
        ],
        input=yaml.safe_dump_all(workloads),
        check=True,
        capture_output=True,
        text=True,
    )
    assert "would violate" not in told.stderr
    assert "Warning" not in told.stderr


@pytest.fixture(scope="module")
def installed(api: Api) -> Api:
    api.kubectl("create", "namespace", "postbase-system")
    api.kubectl("apply", "-f", "-", stdin=template("--set=crds.enabled=false"))
    return api


@pytest.mark.parametrize(
    ("verb", "resource", "allowed"),
    [
        ("watch", "databases.postbase.sh", True),
        ("patch", "databases.postbase.sh/status", True),
        ("update", "databases.postbase.sh", False),
        ("create", "databases.postbase.sh", False),
        ("delete", "databases.postbase.sh", False),
        ("patch", "backups.postbase.sh", False),
        ("get", "secrets", True),
        ("create", "secrets", True),
        ("list", "secrets", False),
        ("watch", "secrets", False),
        ("delete", "secrets", False),
        ("create", "pods", False),
        ("create", "pods/exec", False),
        ("get", "pods/log", False),
        ("patch", "statefulsets.apps", True),
        ("get", "nodes", False),
        ("list", "namespaces", False),
        ("create", "clusterroles.rbac.authorization.k8s.io", False),
        ("impersonate", "users", False),
    ],
)
def test_the_operators_rights(installed: Api, verb: str, resource: str, allowed: bool) -> None:
    resource, _, subresource = resource.partition("/")
    words = ["auth", "can-i", verb, resource, "-n", "default", USER]
    if subresource:
        words.append(f"--subresource={subresource}")
    done = subprocess.run(
        [str(installed.program), f"--kubeconfig={installed.kubeconfig}", *words],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == ("yes" if allowed else "no"), done.stderr
