"""From the chart of the release before to this one, and to none: what people have made stays.

The operator's part of an upgrade, and PostgreSQL's, is in tests/e2e/test_upgrade.py.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from kubernetes import config

from apiserver.access import ROOT, Api
from apiserver.charts import CHART
from apiserver.policies import attempt
from node import golang, waiting
from node.control_plane import control_plane

PREVIOUS = ROOT / "tests" / "e2e" / "releases" / "0.1.0" / "postbase-0.1.0.tgz"
FORMER = {"accessKeyID": "AWS_ACCESS_KEY_ID", "secretAccessKey": "AWS_SECRET_ACCESS_KEY"}
"""What the keys of the embedded store were called before 0.2."""
PROJECT = "{apiVersion: postbase.sh/v1alpha1, kind: Project, metadata: {name: shop}, spec: {}}"
EMBEDDED = "objectStore.embedded.enabled=true,objectStore.embedded.image=versitygw:1"


def store_keys(api: Api) -> dict[str, str]:
    """The embedded store's keys, by the names that they have now."""
    data = json.loads(
        api.kubectl("get", "secret", "postbase-object-store", "-o", "jsonpath={.data}")
    )
    return {FORMER.get(name, name): value for name, value in data.items()}


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API server that has never heard of us."""
    if not (golang.built("kube").exists() and golang.built("helm").exists()):
        pytest.skip("the programs are not built: run `make up`, or `python3 -m node build`")
    with control_plane(tmp_path_factory.mktemp("empty")) as plane:
        client = config.new_client_from_config(str(plane.kubeconfig))
        yield Api(plane.kubeconfig, plane.kubectl, client)
        client.close()


def helm(api: Api, *words: str) -> str:
    done = subprocess.run(
        [str(golang.built("helm")), *words, f"--kubeconfig={api.kubeconfig}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def with_a_new_field(folder: Path) -> Path:
    """This chart, with a field more in the spec of Projects."""
    copy = folder / "postbase"
    shutil.copytree(CHART, copy)
    file = copy / "templates" / "crds" / "projects.postbase.sh.yaml"
    text = file.read_text()
    place = "              displayName:\n"
    assert text.count(place) == 1
    file.write_text(
        text.replace(place, f"              motto:\n                type: string\n{place}")
    )
    return copy


def written(api: Api) -> str:
    """Until the new definition is in force, the field is dropped."""
    motto = '{"spec": {"motto": "open late"}}'
    api.kubectl("patch", "project", "shop", "--type=merge", "--patch", motto)
    return api.kubectl("get", "project", "shop", "-o", "jsonpath={.metadata.uid} {.spec.motto}")


def test_a_release_is_upgraded_and_taken_away(empty: Api, tmp_path: Path) -> None:
    helm(empty, "install", "postbase", str(PREVIOUS), f"--set={EMBEDDED}")
    empty.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    empty.kubectl("apply", "-f", "-", stdin=PROJECT)
    uid = empty.kubectl("get", "project", "shop", "-o", "jsonpath={.metadata.uid}")
    keys = store_keys(empty)

    helm(empty, "upgrade", "postbase", str(with_a_new_field(tmp_path)), f"--set={EMBEDDED}")
    waiting.until(lambda: written(empty) == f"{uid} open late", "the field is served", seconds=60)
    assert keys == store_keys(empty)
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert f"postbase-{chart['version']}" in helm(empty, "list")

    helm(empty, "uninstall", "postbase")
    assert uid == empty.kubectl("get", "project", "shop", "-o", "jsonpath={.metadata.uid}")
    assert not empty.kubectl("get", "deployment,statefulset", "--output=name").strip()


def test_definitions_go_with_the_release_where_the_values_say_so(empty: Api) -> None:
    """The policies of the same release guard them until then."""
    helm(empty, "install", "postbase", str(CHART))
    waiting.until(lambda: guarded(empty), "the definitions are guarded", seconds=60)
    helm(empty, "upgrade", "postbase", str(CHART), "--set=crds.keep=false")
    assert not guarded(empty)
    helm(empty, "uninstall", "postbase")
    empty.kubectl("wait", "--for=delete", "crd/databases.postbase.sh", "--timeout=30s")


def guarded(api: Api) -> bool:
    told = attempt(api, "delete", "crd/databases.postbase.sh", "--dry-run=server")
    assert not told or "postbase.sh/allow-deletion=true" in told
    return bool(told)


def test_a_monitor_where_no_prometheus_operator_is(empty: Api) -> None:
    """Nothing of the release is applied, and the sentence says what is missing."""
    options = ("--set=podMonitor.enabled=true", "--namespace=default")
    with pytest.raises(AssertionError, match='no matches for kind "PodMonitor"'):
        helm(empty, "install", "monitored", str(CHART), *options)
    left = empty.kubectl("get", "deployments,serviceaccounts,clusterroles", "--output=name")
    assert "monitored" not in left
