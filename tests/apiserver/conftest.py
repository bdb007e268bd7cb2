"""A real API server (etcd and kube-apiserver, no kubelet) with our CRDs, for the whole session."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from kubernetes import client, config

from apiserver.access import ROOT, Api
from node import golang
from node.control_plane import control_plane

pytest.register_assert_rewrite("apiserver.checks", "apiserver.controllers", "apiserver.life")
NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    if not golang.built("kube").exists():
        pytest.skip("kube-apiserver is not built: run `make up`, or `python3 -m node build`")
    with control_plane(tmp_path_factory.mktemp("apiserver")) as plane:
        connection = config.new_client_from_config(str(plane.kubeconfig))
        api = Api(plane.kubeconfig, plane.kubectl, connection)
        api.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
        api.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        yield api
        connection.close()


@pytest.fixture
def namespace(api: Api) -> str:
    """A namespace of the test's own; nothing takes it away, as no controllers run."""
    name = f"test-{next(NUMBERS)}"
    client.CoreV1Api(api.client).create_namespace(
        client.V1Namespace(metadata=client.V1ObjectMeta(name=name))
    )
    return name
