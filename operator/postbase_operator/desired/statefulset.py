"""The StatefulSet of one instance: it owns identity and an ordered stop, and nothing more.

`updateStrategy: OnDelete`: the operator decides when PostgreSQL restarts, never a template. The
template is minimal, because what changes in it waits for the next stop: scripts and settings live
in the ConfigMap.
"""

from __future__ import annotations

from typing import Any

from kubernetes.client import (
    V1LabelSelector,
    V1ObjectMeta,
    V1PodSpec,
    V1PodTemplateSpec,
    V1StatefulSet,
    V1StatefulSetPersistentVolumeClaimRetentionPolicy,
    V1StatefulSetSpec,
    V1StatefulSetUpdateStrategy,
)

from postbase_operator.api.database import Database
from postbase_operator.desired import containers, meta, names, volumes
from postbase_operator.settings import Settings

GRACE_SECONDS = 300
"""A running pod's grace cannot be raised: room for a checkpoint and the archive's last bytes."""


def statefulset(db: Database, claim: str, image: str, settings: Settings) -> V1StatefulSet:
    """The instance on the volume `claim`, from the stock image `image`."""
    known = meta.names_of(db)
    return V1StatefulSet(
        api_version="apps/v1",
        kind="StatefulSet",
        metadata=meta.child(db, known.statefulset),
        spec=V1StatefulSetSpec(
            replicas=0 if db.spec.paused else 1,
            service_name=known.headless_service,
            pod_management_policy="OrderedReady",
            update_strategy=V1StatefulSetUpdateStrategy(type="OnDelete"),
            persistent_volume_claim_retention_policy=V1StatefulSetPersistentVolumeClaimRetentionPolicy(
                when_deleted="Retain", when_scaled="Retain"
            ),
            selector=V1LabelSelector(match_labels=meta.selector(db)),
            template=V1PodTemplateSpec(
                metadata=_pod_meta(db), spec=pod_spec(db, claim, image, settings)
            ),
        ),
    )


def _pod_meta(db: Database) -> V1ObjectMeta:
    return V1ObjectMeta(labels={**meta.labels(db), names.LABEL_ROLE: "primary"})


def pod_spec(db: Database, claim: str, image: str, settings: Settings) -> V1PodSpec:
    """One pod: initdb, the sidecar that starts first and ends last, PostgreSQL."""
    return V1PodSpec(
        automount_service_account_token=False,
        service_account_name=db.spec.service_account_name,
        enable_service_links=False,
        termination_grace_period_seconds=GRACE_SECONDS,
        security_context=containers.user(db),
        init_containers=[
            containers.initdb(db, image, settings),
            containers.wal_receiver(settings),
        ],
        containers=[containers.postgres(db, image, settings)],
        volumes=volumes.volumes(db, claim),
        **place(db),
    )


def place(db: Database) -> dict[str, Any]:
    """Where it may run: what the user wrote is what the pod gets."""
    place = db.spec.scheduling
    wanted = {
        "nodeSelector": dict(place.node_selector),
        "tolerations": [taint.to_wire() for taint in place.tolerations],
        "affinity": place.affinity,
        "priorityClassName": place.priority_class_name,
        "topologySpreadConstraints": list(place.topology_spread_constraints),
    }
    return {name: value for name, value in wanted.items() if value}
