"""The Services: one for clients, one that gives the StatefulSet's pod its name."""

from __future__ import annotations

from kubernetes.client import V1Service, V1ServicePort, V1ServiceSpec

from postbase_operator.api.database import Database
from postbase_operator.desired import meta, names


def client_service(db: Database) -> V1Service:
    """What clients connect to.

    It publishes addresses that are not ready: a pod counts as ready only with all its containers,
    and a sick sidecar must not take a healthy database off the network. One instance that is not
    ready refuses by itself.
    """
    return V1Service(
        api_version="v1",
        kind="Service",
        metadata=meta.child(db, meta.names_of(db).service),
        spec=V1ServiceSpec(
            type=db.spec.expose.value,
            ip_family_policy="PreferDualStack",
            publish_not_ready_addresses=True,
            selector={names.LABEL_DATABASE: db.metadata.name, names.LABEL_ROLE: "primary"},
            ports=[_port()],
        ),
    )


def headless_service(db: Database) -> V1Service:
    return V1Service(
        api_version="v1",
        kind="Service",
        metadata=meta.child(db, meta.names_of(db).headless_service),
        spec=V1ServiceSpec(
            type="ClusterIP",
            cluster_ip="None",
            ip_family_policy="PreferDualStack",
            publish_not_ready_addresses=True,
            selector=meta.selector(db),
            ports=[_port()],
        ),
    )


def _port() -> V1ServicePort:
    return V1ServicePort(
        name="postgresql", port=names.PORT, protocol="TCP", target_port="postgresql"
    )
