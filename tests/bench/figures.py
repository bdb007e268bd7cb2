"""What the operator, the API server and the kernel say of themselves, before and after a run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from bench.kubectl import kubectl

OPERATOR = "app.kubernetes.io/component=operator"
SYSTEM = "postbase-system"
WRITES = ("POST", "PUT", "PATCH", "DELETE")
MIB = 2**20
Samples = dict[str, float]


def samples(text: str) -> Samples:
    """Prometheus' text format: `name{labels}` to value."""
    lines = (line.rsplit(" ", 1) for line in text.splitlines() if line and line[0] != "#")
    return {name: float(value) for name, value in lines}


def leader() -> Samples:
    """The metrics of the replica that leads. Fails where none or two do."""
    path = "jsonpath={.items[*].metadata.name}"
    pods = kubectl("get", "pods", f"--namespace={SYSTEM}", f"--selector={OPERATOR}", "-o", path)
    found = [
        samples(
            kubectl("get", "--raw", f"/api/v1/namespaces/{SYSTEM}/pods/{pod}:8080/proxy/metrics")
        )
        for pod in pods.split()
    ]
    (leading,) = [each for each in found if each["postbase_leader"] == 1]
    return leading


def api_server() -> Samples:
    return samples(kubectl("get", "--raw", "/metrics"))


def label(sample: str, name: str) -> str:
    match = re.search(rf'[{{,]{name}="([^"]*)"', sample)
    return match.group(1) if match else ""


@dataclass(frozen=True)
class Spent:
    """What the leading replica spent between two looks; requests without watches and Leases."""

    cpu_seconds: float
    requests: float
    writes: float
    resident_mib: float

    @classmethod
    def between(cls, before: Samples, after: Samples) -> Spent:
        if after["process_start_time_seconds"] != before["process_start_time_seconds"]:
            raise SystemExit("make bench: the operator was restarted or handed over meanwhile")
        counted = {
            name: value - before.get(name, 0.0)
            for name, value in after.items()
            if name.startswith("postbase_api_requests_total")
            and label(name, "resource") != "leases"
        }
        return cls(
            cpu_seconds=after["process_cpu_seconds_total"] - before["process_cpu_seconds_total"],
            requests=sum(counted.values()),
            writes=sum(n for name, n in counted.items() if label(name, "verb") in WRITES),
            resident_mib=after["process_resident_memory_bytes"] / MIB,
        )


def writes_in_cluster(before: Samples, after: Samples) -> dict[str, float]:
    """Writes that the API server took, whoever sent them, by resource; Leases are left out."""
    found: dict[str, float] = {}
    for name, value in after.items():
        resource = label(name, "resource")
        if name.startswith("apiserver_request_total") and resource not in ("", "leases"):
            more = value - before.get(name, 0.0)
            if more and label(name, "verb") in WRITES:
                found[resource] = found.get(resource, 0.0) + more
    return found


def sidecars() -> list[float]:
    """Resident memory of each idle receiver on this machine, in MiB (VmRSS: shared pages too)."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            status = (folder / "status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
        match = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
        if b"wal-receiver" in words and match:
            found.append(int(match.group(1)) / 1024)
    return found
