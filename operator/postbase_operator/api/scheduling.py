"""Where pods run and who may reach them, in Kubernetes' own words.

`affinity` and `topologySpreadConstraints` are passed on as they are: their schemas are Kubernetes'
own, 1,500 lines of it, and the API server checks them when the pod's template is written.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from postbase_operator.api.base import Model
from postbase_operator.api.rules import Rule
from postbase_operator.api.scalars import LabelValue, SecretKey, worded

LabelKey = Annotated[str, Field(min_length=1, max_length=317)]
Labels = Annotated[dict[str, LabelValue], Field(max_length=32)]

_BYTE = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
CIDR = (
    rf"^(({_BYTE}\.){{3}}{_BYTE}/(3[0-2]|[12]?[0-9])"
    r"|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))$"
)

# Read by Kubernetes alone: nothing of ours looks inside.
Verbatim = Annotated[
    dict[str, Any],
    WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
]


class Toleration(Model):
    """A taint that the pod puts up with."""

    key: LabelKey | None = Field(None, description="Key of the taint; without it: every taint.")
    operator: str | None = Field(
        None,
        max_length=16,
        description="Exists, or Equal (which Kubernetes takes where nothing is said).",
    )
    value: LabelValue | None = Field(None, description="Value of the taint, for Equal.")
    effect: str | None = Field(
        None,
        max_length=32,
        description="NoSchedule, PreferNoSchedule or NoExecute; without it: all of them.",
    )
    toleration_seconds: int | None = Field(
        None, description="With NoExecute: seconds until the pod is evicted; without it: never."
    )


class Scheduling(Model):
    """Which nodes may run the Database. A change counts from the next start of PostgreSQL."""

    node_selector: Labels = Field({}, description="Labels that the node must have.")
    tolerations: tuple[Toleration, ...] = Field(
        (), max_length=32, description="Taints that the pod puts up with."
    )
    affinity: Verbatim | None = Field(
        None, description="Node and pod affinity, as in a pod's spec.affinity."
    )
    priority_class_name: SecretKey | None = Field(
        None, description="PriorityClass of the pod. Default: the cluster's."
    )
    topology_spread_constraints: tuple[Verbatim, ...] = Field(
        (),
        max_length=8,
        description="How Databases spread over zones or nodes, as in a pod's "
        "spec.topologySpreadConstraints.",
    )


class SelectorOperator(StrEnum):
    """How a label is compared."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class SelectorRequirement(Model):
    """A condition on one label."""

    rules = (
        Rule(
            "(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)",
            message="values of a matchExpressions entry: In and NotIn need at least one, Exists "
            "and DoesNotExist take none",
        ),
    )

    key: LabelKey = Field(description="Key of the label.")
    operator: SelectorOperator = Field(description="In, NotIn, Exists or DoesNotExist.")
    values: tuple[LabelValue, ...] = Field(
        (), max_length=64, description="Values, for In and NotIn."
    )


class LabelSelector(Model):
    """Labels that must all match; `{}` matches everything."""

    match_labels: Labels = Field({}, description="Labels with exactly these values.")
    match_expressions: tuple[SelectorRequirement, ...] = Field(
        (), max_length=16, description="Conditions on labels."
    )


class Peer(Model):
    """Somebody who may connect: pods by their labels, or addresses."""

    rules = (
        Rule(
            "has(self.cidr) != (has(self.namespaceSelector) || has(self.podSelector))",
            message="an entry of spec.allowFrom has either cidr or selectors: split it in two, or "
            "set one of them",
        ),
    )

    namespace_selector: LabelSelector | None = Field(
        None, description="Namespaces by their labels. Default: the Database's own."
    )
    pod_selector: LabelSelector | None = Field(
        None, description="Pods by their labels. Default: all of the chosen namespaces."
    )
    cidr: (
        Annotated[
            str,
            *worded(
                CIDR,
                "an entry's cidr must be addresses with the length of their prefix, such as "
                "203.0.113.0/24 or 2001:db8::/32; one address alone is 203.0.113.7/32",
                max_length=43,
            ),
        ]
        | None
    ) = Field(
        None,
        description="Addresses outside the cluster, e.g. 203.0.113.0/24 or 2001:db8::/32.",
    )
