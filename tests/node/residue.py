"""What this machine has of all that a node makes: before and after, the two must be equal."""

import json
from pathlib import Path

from node import cgroups, firewall, network, paths, processes
from node.commands import run

_FOLDERS = (
    paths.STATE,
    Path("/var/lib/cni"),
    Path("/var/lib/kubelet"),
    Path("/var/log/containers"),
    Path("/var/log/pods"),
    Path("/etc/cni"),
    Path("/opt/containerd"),
    Path("/run/containerd"),
    Path("/run/flannel"),
    Path("/run/netns"),
    Path("/usr/libexec/kubernetes"),
    Path("/usr/sbin/policy-rc.d"),
)

Snapshot = dict[str, list[str]]


def snapshot() -> Snapshot:
    """Every part sorted and free of what changes by itself (times, counters, process ids)."""
    return {
        "processes": sorted(_processes()),
        "mounts": sorted(_mounts(Path("/proc/self/mountinfo").read_text())),
        "loop devices": sorted(_loop_devices()),
        "links": sorted(network.links()),
        "addresses": sorted(_addresses()),
        "routes": sorted(run(["ip", "route", "show", "table", "all"]).splitlines()),
        "network namespaces": sorted(_namespaces()),
        "firewall": firewall.rules(),
        "kernel settings": sorted(f"{n} = {v}" for n, v in network.sysctls().items()),
        "cgroups": [str(folder) for folder in cgroups.folders()],
        "folders": [str(folder) for folder in _FOLDERS if folder.exists()],
    }


def _processes() -> list[str]:
    """Those that carry the mark or run in the node's cgroup, and any program that the node runs."""
    marked = {p.pid for p in processes.ours()} | cgroups.pids()
    found = []
    for link in Path("/proc").glob("[0-9]*/exe"):
        try:
            program = link.readlink()
        except (FileNotFoundError, PermissionError, ProcessLookupError):
            continue
        cached = program.is_relative_to(paths.cache()) and "venv-" not in str(program)
        if int(link.parent.name) in marked or cached or program.name.startswith("containerd"):
            found.append(str(program))
    return found


def _mounts(table: str) -> list[str]:
    """Mount point, its propagation, and what is mounted, without the kernel's numbers."""
    found = []
    for line in table.splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split()
        propagation = ["shared" for word in fields[6:] if word.startswith("shared:")]
        found.append(" ".join([fields[4], *right.split()[:2], *propagation]))
    return found


def _loop_devices() -> list[str]:
    listed = json.loads(run(["losetup", "--json", "--list"]) or '{"loopdevices": []}')
    return [str(device["name"]) for device in listed["loopdevices"]]


def _addresses() -> list[str]:
    links = json.loads(run(["ip", "-json", "address", "show"]))
    return [
        f"{link['ifname']} {address['local']}/{address['prefixlen']}"
        for link in links
        for address in link["addr_info"]
    ]


def _namespaces() -> list[str]:
    """How many there are, by the processes that are in them, and the named ones."""
    found = set()
    for link in Path("/proc").glob("[0-9]*/ns/net"):
        try:
            found.add(str(link.readlink()))
        except (FileNotFoundError, PermissionError, ProcessLookupError):
            continue
    named = [f.name for f in Path("/run/netns").glob("*")]
    return [f"{len(found)} in use", *named]
