"""Who may connect to whom, by the rules of NetworkPolicy (networking.k8s.io/v1).

The node of these tests enforces no policies, so that what they would allow is worked out here: a
pod that no policy of type Ingress selects takes everything; another takes what any rule of any
policy that selects it lets in.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

Body = dict[str, Any]
Labels = dict[str, str]


@dataclass(frozen=True)
class Pod:
    """An end of a connection. `address` counts for ipBlock only where `outside` is true."""

    namespace: str
    labels: Labels = field(default_factory=dict)
    namespace_labels: Labels = field(default_factory=dict)
    address: str = "10.88.0.9"
    outside: bool = False

    @property
    def all_namespace_labels(self) -> Labels:
        return {"kubernetes.io/metadata.name": self.namespace, **self.namespace_labels}


def allowed(policies: Iterable[Body], source: Pod, target: Pod, port: int) -> bool:
    chosen = [
        policy["spec"]
        for policy in policies
        if policy["metadata"]["namespace"] == target.namespace
        and "Ingress" in policy["spec"].get("policyTypes", ["Ingress"])
        and matches(policy["spec"]["podSelector"], target.labels)
    ]
    if not chosen:
        return True
    rules = [rule for spec in chosen for rule in spec.get("ingress") or []]
    return any(_lets_in(rule, source, target, port) for rule in rules)


def _lets_in(rule: Body, source: Pod, target: Pod, port: int) -> bool:
    ports = rule.get("ports")
    if ports and port not in [each.get("port") for each in ports]:
        return False
    peers = rule.get("from")
    return not peers or any(_is_peer(peer, source, target) for peer in peers)


def _is_peer(peer: Body, source: Pod, target: Pod) -> bool:
    if "ipBlock" in peer:
        return source.outside and ip_address(source.address) in ip_network(peer["ipBlock"]["cidr"])
    if source.outside:
        return False
    if "namespaceSelector" not in peer and source.namespace != target.namespace:
        return False
    return matches(peer.get("namespaceSelector", {}), source.all_namespace_labels) and matches(
        peer.get("podSelector", {}), source.labels
    )


def matches(selector: Body, labels: Labels) -> bool:
    """A LabelSelector (meta/v1): everything in it must hold; empty matches all."""
    exact = all(labels.get(k) == v for k, v in (selector.get("matchLabels") or {}).items())
    return exact and all(_holds(each, labels) for each in selector.get("matchExpressions") or [])


def _holds(requirement: Body, labels: Labels) -> bool:
    value, values = labels.get(requirement["key"]), requirement.get("values") or []
    match requirement["operator"]:
        case "In":
            return value is not None and value in values
        case "NotIn":
            return value is None or value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    raise ValueError(f"unknown operator {requirement['operator']!r}")
