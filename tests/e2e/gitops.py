"""Manifests as a GitOps tool brings them: server-side apply under a field manager of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from e2e.cluster import Body, Cluster

MANAGER = "argocd-controller"
OURS = "postbase"
"""How the names of the operator's field managers begin."""
APPLY = ("--server-side", "--force-conflicts", f"--field-manager={MANAGER}")


def put(cluster: Cluster, namespace: str, bodies: Sequence[Body]) -> None:
    words = ("apply", *APPLY, f"--namespace={namespace}", "--filename=-")
    cluster.kubectl(*words, stdin=yaml.safe_dump_all(bodies))


def drift(cluster: Cluster, namespace: str, bodies: Sequence[Body]) -> str:
    """What the tool would find changed: "" where cluster and Git are one."""
    return cluster.diff(*APPLY, f"--namespace={namespace}", stdin=yaml.safe_dump_all(bodies))


def live(cluster: Cluster, namespace: str, body: Body) -> Body:
    """The object as it is, with what each manager owns of it."""
    words = ("get", body["kind"], body["metadata"]["name"], f"--namespace={namespace}")
    found: Body = yaml.safe_load(cluster.kubectl(*words, "-o", "yaml", "--show-managed-fields"))
    return found


def fields_of(body: Body, manager: str) -> dict[str, Any]:
    """What the managers whose names begin so own of it, in one tree."""
    found: dict[str, Any] = {}
    for entry in body["metadata"]["managedFields"]:
        if entry["manager"].startswith(manager):
            _merge(found, entry["fieldsV1"])
    return found


def _merge(into: dict[str, Any], more: dict[str, Any]) -> None:
    for key, value in more.items():
        _merge(into.setdefault(key, {}), value)
