"""The PodDisruptionBudget: whether a drained node may stop the database."""

from __future__ import annotations

from kubernetes.client import (
    V1LabelSelector,
    V1PodDisruptionBudget,
    V1PodDisruptionBudgetSpec,
)

from postbase_operator.api.database import Database
from postbase_operator.api.upkeep import Disruptions
from postbase_operator.desired import meta


def budget(db: Database) -> V1PodDisruptionBudget:
    """One instance that may be disrupted, since its stop is clean; `Block` holds drains up."""
    return V1PodDisruptionBudget(
        api_version="policy/v1",
        kind="PodDisruptionBudget",
        metadata=meta.child(db, meta.names_of(db).disruption_budget),
        spec=V1PodDisruptionBudgetSpec(
            max_unavailable=0 if db.spec.disruptions is Disruptions.BLOCK else 1,
            selector=V1LabelSelector(match_labels=meta.selector(db)),
        ),
    )
