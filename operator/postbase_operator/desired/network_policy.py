"""The NetworkPolicy: who may open a connection to the database's pod.

Ingress only. Where the pod itself connects to (an object store, DNS) is the cluster's matter, and
probes run inside the pod. What no rule names is refused, by clusters that enforce policies.
"""

from __future__ import annotations

from typing import Any

from kubernetes.client import V1NetworkPolicy

from postbase_operator.api.database import Database
from postbase_operator.api.scheduling import LabelSelector, Peer
from postbase_operator.desired import meta, names
from postbase_operator.settings import Settings

NAMESPACE_NAME = "kubernetes.io/metadata.name"
"""The label that the API server itself puts on each namespace."""


def network_policy(db: Database, settings: Settings) -> V1NetworkPolicy:
    """Clients by `spec.allowFrom` (default: the own namespace), and always our own pods."""
    port, sidecar = ({"protocol": "TCP", "port": each} for each in (names.PORT, names.SIDECAR_PORT))
    everyone_here = (Peer(pod_selector=LabelSelector()),)
    clients = everyone_here if db.spec.allow_from is None else db.spec.allow_from
    ours, jobs = _ours(db, settings)
    sources = [ours, jobs, *(_peer(each) for each in clients)]
    # By the wire's names: the model calls `from` otherwise, and drops what it does not know.
    return V1NetworkPolicy.model_validate(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": meta.child(db, meta.names_of(db).network_policy),
            "spec": {
                "podSelector": {"matchLabels": meta.selector(db)},
                "policyTypes": ["Ingress"],
                "ingress": [
                    {"from": sources, "ports": [port]},
                    {"from": [ours], "ports": [sidecar]},
                ],
            },
        }
    )


def _ours(db: Database, settings: Settings) -> tuple[dict[str, Any], dict[str, Any]]:
    """Operator and gateway in their namespace, and this Database's own Jobs beside it."""
    components = {
        "key": "app.kubernetes.io/component",
        "operator": "In",
        "values": ["operator", "gateway"],
    }
    return (
        {
            "namespaceSelector": {"matchLabels": {NAMESPACE_NAME: settings.operator_namespace}},
            "podSelector": {
                "matchLabels": {"app.kubernetes.io/name": "postbase"},
                "matchExpressions": [components],
            },
        },
        {"podSelector": {"matchLabels": {names.LABEL_DATABASE: db.metadata.name}}},
    )


def _peer(peer: Peer) -> dict[str, Any]:
    """A source of connections in Kubernetes' own words (NetworkPolicyPeer)."""
    if peer.cidr is not None:
        return {"ipBlock": {"cidr": peer.cidr}}
    chosen = {
        "namespaceSelector": peer.namespace_selector,
        "podSelector": peer.pod_selector,
    }
    return {name: selector.to_wire() for name, selector in chosen.items() if selector is not None}
