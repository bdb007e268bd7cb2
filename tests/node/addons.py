"""What every cluster has: a default StorageClass, and the name server's Service."""

import json

from node import network
from node.daemons import DNS_SERVICE

_DNS = {"name": "kube-dns", "namespace": "kube-system"}
_PORTS = [
    {"name": "dns", "port": 53, "protocol": "UDP"},
    {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
]


def manifest() -> str:
    items = [_storage_class(), _service(), _endpoints()]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


def _storage_class() -> dict[str, object]:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": "standard",
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": "postbase.sh/node",
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
        "allowVolumeExpansion": True,
    }


def _service() -> dict[str, object]:
    """Without a selector: CoreDNS is a process of the host, not a pod."""
    spec = {"clusterIP": DNS_SERVICE, "ports": _PORTS}
    return {"apiVersion": "v1", "kind": "Service", "metadata": _DNS, "spec": spec}


def _endpoints() -> dict[str, object]:
    labels = {"kubernetes.io/service-name": "kube-dns"}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**_DNS, "labels": labels},
        "addressType": "IPv4",
        "ports": _PORTS,
        "endpoints": [{"addresses": [network.ADDRESS], "conditions": {"ready": True}}],
    }
