"""Every kopf decorator, in one place. kopf is informer, login and lifecycle, and nothing else.

Its create, update, timer, daemon and index handlers are not used: they see edges and no drift, do
not coalesce, leave an annotation and a finalizer on every object, and its index is quadratic at
start.
"""

from __future__ import annotations

from typing import Any

import kopf

from postbase_operator.handlers.watcher import OURS, Watcher
from postbase_operator.kube.kinds import Kind
from postbase_operator.kube.platform import CHILDREN


class NoDiffs(kopf.AnnotationsDiffBaseStorage):
    """No handler of ours asks what has changed: kopf need not copy every body to find out."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence({})


def registry(watcher: Watcher) -> kopf.OperatorRegistry:
    """The event handlers of all kinds, bound to the watcher."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    for kind in (*watcher.resources, *CHILDREN):
        _bind(handlers, kind, watcher)
    return handlers


def _bind(handlers: kopf.OperatorRegistry, kind: Kind, watcher: Watcher) -> None:
    group, _, version = kind.api_version.rpartition("/")

    @kopf.on.event(group, version, kind.plural, id=kind.plural, registry=handlers)
    async def event(type: str | None, body: kopf.Body, **_: Any) -> None:
        watcher.event(kind, type, dict(body))


def settings() -> kopf.OperatorSettings:
    """kopf's settings, each for a measured reason (docs/decisions/0003-control-loop.md)."""
    chosen = kopf.OperatorSettings()
    chosen.scanning.disabled = True  # no right to list CRDs and namespaces is needed
    chosen.posting.enabled = False
    chosen.peering.standalone = True
    chosen.queueing.idle_timeout = 0.2  # 5 s would keep every object's task and body at start
    chosen.watching.chunk_size = 500
    chosen.watching.server_timeout = 300
    chosen.watching.inactivity_timeout = 70  # half-closed connections of load balancers
    chosen.networking.request_timeout = 20
    chosen.networking.connect_timeout = 5
    chosen.persistence.finalizer = "postbase.sh/kopf"  # unused, but never the shared default
    chosen.persistence.diffbase_storage = NoDiffs()
    for kind in CHILDREN:
        group, _, _version = kind.api_version.rpartition("/")
        chosen.watching.label_selectors[f"{kind.plural}.{group}".rstrip(".")] = OURS
    return chosen
