"""The chart as helm renders it, with every set of values that its tests look at."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from apiserver.access import ROOT
from node import golang

Body = dict[str, Any]

CHART = ROOT / "charts" / "postbase"
EMBEDDED: Body = {"objectStore": {"embedded": {"enabled": True, "image": "versitygw:1"}}}
OWN_KEYS: Body = {
    "objectStore": {"embedded": {**EMBEDDED["objectStore"]["embedded"], "existingSecret": "keys"}}
}
LISTED: Body = {"watch": {"namespaces": ["team-a", "team-b"]}}
MONITORED: Body = {"podMonitor": {"enabled": True, "interval": "30s", "labels": {"team": "data"}}}
API_SERVER = {"to": [{"ipBlock": {"cidr": "192.0.2.10/32"}}], "ports": [{"port": 6443}]}
HELD: Body = {
    "networkPolicy": {
        "operator": {
            "from": [{"podSelector": {"matchLabels": {"app": "prometheus"}}}],
            "egress": [API_SERVER],
        },
        "objectStore": {"from": [{"namespaceSelector": {"matchLabels": {"team": "data"}}}]},
    },
}
EVERYTHING: Body = {
    **OWN_KEYS,
    **LISTED,
    **HELD,
    "imagePullSecrets": [{"name": "registry"}],
    "regions": ["us-west1"],
    "postgresImages": {"15": "postgres:15"},
    "operator": {
        "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
        "priorityClassName": "system-cluster-critical",
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"operator": "Exists"}],
        "affinity": {"podAntiAffinity": {}},
        "podAnnotations": {"prometheus.io/port": "8080"},
    },
    "serviceAccount": {"annotations": {"a": "b"}},
}
RAILWAY: Body = {
    "railway": {
        "tokenSecretRef": {"name": "railway", "key": "token"},
        "tokenKind": "Workspace",
        "projectId": "p-1",
        "environmentId": "e-1",
        "endpoint": "http://railway.test/graphql/v2",
        "prices": {"asOf": "2026-11-01", "volume": 0.2},
    },
    **HELD,
}
ROUTED: Body = {
    "gateway": {
        "enabled": True,
        "httpRoute": {
            "enabled": True,
            "parentRefs": [{"name": "public", "namespace": "edge"}],
            "hostnames": ["api.example.com"],
        },
    }
}
"""Of a type that a bare API server does not know."""
GATEWAY: Body = {"gateway": {"enabled": True, "github": {"clientId": "Iv1.0123"}}}
GATEWAY_WHOLE: Body = {
    "gateway": {
        "enabled": True,
        "replicas": 1,
        "postgresVersion": "15",
        "signIn": {"policy": "allow-list", "logins": ["jane"], "organizations": ["acme"]},
        "trustedProxies": ["10.0.0.0/8"],
        "allowedOrigins": ["https://console.example.com"],
        "existingPeerSecret": "peers",
        "service": {"type": "LoadBalancer", "annotations": {"a": "b"}},
        "ingress": {
            "enabled": True,
            "className": "nginx",
            "host": "api.example.com",
            "tlsSecret": "api-tls",
            "annotations": {"a": "b"},
        },
        "priorityClassName": "system-cluster-critical",
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"operator": "Exists"}],
        "affinity": {"podAntiAffinity": {}},
        "podAnnotations": {"a": "b"},
    },
    "networkPolicy": {
        "gateway": {
            "from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}],
            "metricsFrom": [{"podSelector": {"matchLabels": {"app": "prometheus"}}}],
        }
    },
}
VALUES: dict[str, Body] = {
    "defaults": {},
    "embedded store": EMBEDDED,
    "one replica": {"operator": {"replicas": 1}},
    "everything": EVERYTHING,
    "gateway": GATEWAY,
    "gateway, whole": GATEWAY_WHOLE,
    "railway": RAILWAY,
    "bare": {
        "networkPolicy": {"enabled": False},
        "rbac": {"aggregateClusterRoles": False},
        "admissionPolicies": {"enabled": False},
    },
}


def helm(*words: str, values: Body | None = None) -> subprocess.CompletedProcess[str]:
    program = golang.built("helm")
    if not program.exists():
        pytest.skip("helm is not built: run `make up`, or `python3 -m node build`")
    return subprocess.run(
        [str(program), *words, "--values=-"],
        input=json.dumps(values or {}),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def try_template(
    values: Body,
    *options: str,
    namespace: str = "postbase-system",
    release: str = "postbase",
    chart: Path = CHART,
) -> subprocess.CompletedProcess[str]:
    """A helm that was built from its module takes Kubernetes for 1.20 unless told."""
    where = (f"--namespace={namespace}", "--kube-version=1.34.0")
    return helm("template", release, str(chart), *where, *options, values=values)


def template(values: Body, *options: str, **where: Any) -> str:
    done = try_template(values, *options, **where)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rendered(values: Body, **where: Any) -> list[Body]:
    """The objects of a release but for the resource definitions, which are tested by themselves."""
    text = template(values, "--set=crds.enabled=false", **where)
    return [body for body in yaml.safe_load_all(text) if body]


def find(objects: list[Body], kind: str, name: str) -> Body:
    (found,) = [o for o in objects if o["kind"] == kind and o["metadata"]["name"] == name]
    return found


def pod_template(objects: list[Body], workload: str) -> Body:
    (found,) = [
        each["spec"]["template"]
        for each in objects
        if each["metadata"]["name"] == workload and "template" in each.get("spec", {})
    ]
    return dict(found)
