"""The node's own manner: what it listens on, and that its text depends on nothing else."""

import json
from pathlib import Path

from node import golang
from node.daemons import BODY, HEAD, Node

STATE = Path("/state")


def test_nothing_listens_on_an_outer_address() -> None:
    assert {port.address for port in Node(STATE).ports()} == {"127.0.0.1", "10.88.0.1"}


def test_the_same_node_has_the_same_files_all_in_its_folder() -> None:
    files = Node(STATE).files("pause:1")
    assert files == Node(STATE).files("pause:1")
    assert all(file.is_relative_to(STATE) for file in files)
    kubelet = json.loads(files[STATE / "kubelet.json"])
    assert kubelet["cgroupRoot"] == "/postbase-node"
    assert kubelet["imageGCHighThresholdPercent"] == 100


def test_the_go_module_pins_one_kubernetes() -> None:
    module = (golang.SOURCE / "go.mod").read_text()
    staging = "v0" + golang.KUBERNETES.removeprefix("v1")
    replaced = [line.split()[-1] for line in module.splitlines() if "=> k8s.io/" in line]
    assert f"k8s.io/kubernetes {golang.KUBERNETES}\n" in module
    assert set(replaced) == {staging}


def test_every_part_has_a_command(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.plane.folder.mkdir()
    assert tuple(node.head()) == HEAD
    assert tuple(node.body()) == BODY
