"""A cluster with the operator, a namespace a module, and tests that leave nothing behind.

Modules run side by side on one operator (`--dist=loadfile`); those that kill it, or count seconds,
run by themselves (suite.py).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager

import pytest

from e2e.bucket import Bucket
from e2e.cluster import (
    KUBECONFIG,
    KUBECTL,
    OPERATOR,
    OPERATOR_NAMESPACE,
    Body,
    Cluster,
    KubectlFailed,
    eventually,
)
from e2e.database import Db, project

NewDb = Callable[[str], Db]


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    if not (KUBECONFIG.exists() and KUBECTL.exists()):
        pytest.skip("no cluster is up: run `make up`")
    found = Cluster()
    try:
        found.listed("nodes", "")
    except KubectlFailed as error:
        pytest.skip(f"the cluster does not answer ({error}): run `make up`")
    return found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Beside a failure stands what the cluster was like: the node goes before anybody reads it."""
    report = yield
    found = getattr(item, "funcargs", {})
    if report.failed and "cluster" in found:
        seen = as_it_was(found["cluster"], found.get("namespace") or OPERATOR_NAMESPACE)
        report.sections.append(("The cluster", seen))
    return report


def as_it_was(cluster: Cluster, namespace: str) -> str:
    """Objects, the last events, and the operator's last words, as far as they can be had."""
    within, kinds = f"--namespace={namespace}", "databases,backups,pitrrestores,pods,jobs"
    said = []
    for words, lines in (
        (("get", kinds, within, "-o", "wide"), 30),
        (("get", "events", within, "--sort-by=.metadata.creationTimestamp"), 15),
        (("logs", f"--namespace={OPERATOR_NAMESPACE}", f"--selector={OPERATOR}", "--tail=12"), 24),
    ):
        try:
            told = cluster.kubectl(*words, seconds=20).splitlines()
        except (KubectlFailed, subprocess.TimeoutExpired) as error:
            told = [str(error)]
        said += [f"$ kubectl {' '.join(words)}", *(line[:240] for line in told[-lines:])]
    return "\n".join(said)


@pytest.fixture(scope="module")
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """The module's own namespace, in which only restricted pods may run. E2E_KEEP=1 leaves it."""
    name = "e2e-" + request.path.stem.removeprefix("test_").replace("_", "-")
    with fresh_namespace(cluster, name):
        yield name


@contextmanager
def fresh_namespace(cluster: Cluster, name: str) -> Iterator[None]:
    remove_namespace(cluster, name)  # of a run that was killed
    bucket = Bucket(cluster)
    for key in bucket.sizes("v1/catalogue/"):
        if f"/{name}/" in key:  # what it has archived stops no beginning of the same names
            bucket.clear(key)
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    cluster.apply(body)
    yield
    if os.environ.get("E2E_KEEP") != "1":
        remove_namespace(cluster, name)


def remove_namespace(cluster: Cluster, name: str) -> None:
    """Waits until it is gone, and until its volumes are: the node's disk is small.

    Databases first: a namespace that goes with running pods waits for half of their grace.
    """
    for body in cluster.listed("databases", name):
        if body["spec"].get("deletionProtection"):
            unprotected: Body = {"spec": {"deletionProtection": False}}
            cluster.patch("database", name, body["metadata"]["name"], unprotected)
    gone = ("--all", "--ignore-not-found", f"--namespace={name}", "--timeout=60s")
    try:
        if cluster.listed("databases", name):
            cluster.kubectl("delete", "databases", *gone)
    except KubectlFailed:
        # A busy containerd 1.6 loses a stop now and then (StopContainer: `ttrpc: closed`), and the
        # kubelet then waits out the whole grace beside a container that has ended.
        cluster.kubectl("delete", "pods", *gone, "--force", "--grace-period=0")
        cluster.kubectl("delete", "databases", *gone[:-1], "--timeout=180s", seconds=210)
    if cluster.find("namespace", "", name):
        removable: Body = {"metadata": {"labels": {"postbase.sh/protected": None}}}
        cluster.patch("namespace", "", name, removable)
        cluster.delete("namespace", "", name)
    for volume in _volumes(cluster, name):
        # Kept, as the operator sees to it. The others go by themselves, at this very moment.
        if volume["spec"]["persistentVolumeReclaimPolicy"] != "Delete":
            release = {"spec": {"persistentVolumeReclaimPolicy": "Delete"}}
            cluster.patch("persistentvolume", "", volume["metadata"]["name"], release)
    eventually(lambda: not volumes_of(cluster, name), f"no volume of {name}", seconds=60)


def volumes_of(cluster: Cluster, namespace: str) -> list[str]:
    return [volume["metadata"]["name"] for volume in _volumes(cluster, namespace)]


def _volumes(cluster: Cluster, namespace: str) -> list[Body]:
    listed = cluster.listed("persistentvolumes", "")
    return [
        volume
        for volume in listed
        if volume["spec"].get("claimRef", {}).get("namespace") == namespace
    ]


@pytest.fixture(scope="module")
def new_db(cluster: Cluster, namespace: str, tmp_path_factory: pytest.TempPathFactory) -> NewDb:
    """Makes a handle to a Database of the module's namespace; applies nothing but the Project."""
    folder = tmp_path_factory.mktemp("certificates")
    cluster.apply(project(namespace))
    return lambda name: Db(cluster, namespace, name, folder)


@pytest.fixture(scope="module")
def db(new_db: NewDb) -> Db:
    """The module's Database, Ready: PostgreSQL 15 with the defaults."""
    made = new_db("main")
    made.apply()
    made.wait_ready()
    made.wait_answers()  # kube-proxy may come a moment after the operator
    return made
