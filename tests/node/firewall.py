"""iptables: what kube-proxy, the kubelet and CNI plugins leave, told by their chains' names."""

import re
import shutil

from node.commands import run

_FAMILIES = ("iptables", "ip6tables")
_OURS = re.compile(r"(?:^:|-A |-j |-g )(?:KUBE|CNI)-", re.MULTILINE)


def clean() -> None:
    for family in _FAMILIES:
        if shutil.which(f"{family}-save"):
            dump = run([f"{family}-save"])
            if has_ours(dump):
                run([f"{family}-restore"], stdin=without_ours(dump))


def rules() -> list[str]:
    """Chains with a policy or a rule; an empty table that was only looked at says nothing."""
    found = []
    for family in _FAMILIES:
        if shutil.which(f"{family}-save"):
            table = ""
            for line in run([f"{family}-save"]).splitlines():
                table = line if line.startswith("*") else table
                if line.startswith("-A") or (line.startswith(":") and " ACCEPT " not in line):
                    found.append(f"{family} {table} {line.partition(' [')[0]}")
    return sorted(found)


def has_ours(dump: str) -> bool:
    return _OURS.search(dump) is not None


def without_ours(dump: str) -> str:
    return "".join(f"{line}\n" for line in dump.splitlines() if not _OURS.search(line))
