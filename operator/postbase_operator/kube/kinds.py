"""Where each kind of object lives in the Kubernetes API: the one table of paths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from postbase_operator.errors import InvalidSpec

Body = dict[str, Any]
"""An object as the API sends it: JSON, camelCase."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A resource of the API: `api_version` and `plural` make its path."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True

    def path(self, namespace: str | None = None, name: str | None = None) -> str:
        """The URL path of the collection, or of one object; `namespace` None lists all of them."""
        root = "/api/" if "/" not in self.api_version else "/apis/"
        parts = [root + self.api_version]
        if self.namespaced and namespace is not None:
            parts.append(f"namespaces/{namespace}")
        parts.append(self.plural)
        if name is not None:
            parts.append(name)
        return "/".join(parts)


POSTBASE = "postbase.sh/v1alpha1"
PROJECT = Kind(POSTBASE, "Project", "projects")
DATABASE = Kind(POSTBASE, "Database", "databases")
BACKUP = Kind(POSTBASE, "Backup", "backups")
PITR_RESTORE = Kind(POSTBASE, "PitrRestore", "pitrrestores")
ACCOUNT = Kind(POSTBASE, "Account", "accounts", namespaced=False)
API_TOKEN = Kind(POSTBASE, "ApiToken", "apitokens")

POD = Kind("v1", "Pod", "pods")
SERVICE = Kind("v1", "Service", "services")
SECRET = Kind("v1", "Secret", "secrets")
CONFIG_MAP = Kind("v1", "ConfigMap", "configmaps")
PERSISTENT_VOLUME_CLAIM = Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
NAMESPACE = Kind("v1", "Namespace", "namespaces", namespaced=False)
PERSISTENT_VOLUME = Kind("v1", "PersistentVolume", "persistentvolumes", namespaced=False)
STORAGE_CLASS = Kind("storage.k8s.io/v1", "StorageClass", "storageclasses", namespaced=False)
JOB = Kind("batch/v1", "Job", "jobs")
STATEFUL_SET = Kind("apps/v1", "StatefulSet", "statefulsets")
EVENT = Kind("events.k8s.io/v1", "Event", "events")
POD_DISRUPTION_BUDGET = Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
NETWORK_POLICY = Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies")
CORE_EVENT = Kind("v1", "Event", "events")
RESOURCE_QUOTA = Kind("v1", "ResourceQuota", "resourcequotas")
ROLE_BINDING = Kind("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings")
ENDPOINT_SLICE = Kind("discovery.k8s.io/v1", "EndpointSlice", "endpointslices")
LEASE = Kind("coordination.k8s.io/v1", "Lease", "leases")

ALL = {
    (kind.api_version, kind.kind): kind
    for kind in (
        PROJECT,
        DATABASE,
        BACKUP,
        PITR_RESTORE,
        POD,
        SERVICE,
        SECRET,
        CONFIG_MAP,
        PERSISTENT_VOLUME_CLAIM,
        JOB,
        STATEFUL_SET,
        EVENT,
        POD_DISRUPTION_BUDGET,
        NETWORK_POLICY,
        LEASE,
        NAMESPACE,
        RESOURCE_QUOTA,
        ROLE_BINDING,
    )
}


def kind_of(body: Body) -> Kind:
    """The table's row for an object that says its apiVersion and kind itself."""
    try:
        return ALL[body["apiVersion"], body["kind"]]
    except KeyError as error:
        raise InvalidSpec("apiVersion/kind", f"not in the table of kinds: {error}") from error
