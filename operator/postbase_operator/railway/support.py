"""What a spec asks that Railway cannot do: refused with its remedy, never just ignored. PURE."""

from __future__ import annotations

from collections.abc import Callable

from postbase_operator.api.database import Database
from postbase_operator.api.database_server import PodSecurity
from postbase_operator.api.database_spec import DatabaseSpec, Expose
from postbase_operator.api.parameters import is_owned
from postbase_operator.api.scheduling import Scheduling
from postbase_operator.api.upkeep import Disruptions, NodeLoss
from postbase_operator.errors import InvalidSpec

UNSUPPORTED = "NotSupportedOnRailway"
OWN_IMAGE = "/postgres-ssl:"

_HOSTS = "Railway chooses its hosts, and moves services between them, by itself: remove it"

REFUSED: dict[str, tuple[Callable[[DatabaseSpec], bool], str]] = {
    "spec.image": (
        lambda spec: spec.image is not None and OWN_IMAGE not in spec.image,
        "must be a build of Railway's postgres-ssl, which brings TLS: the port is open to the "
        "internet. Set spec.postgresVersion in its place",
    ),
    "spec.expose": (
        lambda spec: spec.expose is Expose.NODE_PORT,
        "Railway chooses the port: set LoadBalancer",
    ),
    "spec.allowFrom": (
        lambda spec: spec.allow_from is not None,
        "Railway's proxy has no list of who may connect, and lets everybody try a password: remove "
        "it, or use provider Kubernetes",
    ),
    "spec.storage.storageClassName": (
        lambda spec: spec.storage.storage_class_name is not None,
        "Railway has one kind of volume: remove it",
    ),
    "spec.tls.secretRef": (
        lambda spec: spec.tls.secret_ref is not None,
        "the server of Railway's image makes its own certificate: remove it",
    ),
    "spec.adoptVolume": (
        lambda spec: spec.adopt_volume is not None,
        "a PersistentVolumeClaim cannot be brought to Railway: restore a backup of it with "
        "spec.bootstrap",
    ),
    "spec.podSecurity": (
        lambda spec: spec.pod_security != PodSecurity(),
        "the image decides on the user there: remove it",
    ),
    "spec.scheduling": (lambda spec: spec.scheduling != Scheduling(), _HOSTS),
    "spec.serviceAccountName": (
        lambda spec: spec.service_account_name is not None,
        "there is no pod on Railway that could have one: remove it",
    ),
    "spec.disruptions": (lambda spec: spec.disruptions is Disruptions.BLOCK, _HOSTS),
    "spec.onNodeLoss": (lambda spec: spec.on_node_loss is NodeLoss.REPLACE, _HOSTS),
}

_START = (
    "a wrong value would keep PostgreSQL from starting, or everybody from connecting, and on "
    "Railway there is no other way in to take it back"
)
PARAMETERS = {
    "dynamic_shared_memory_type": _START,
    "huge_pages": "Railway's hosts give none",
    "local_preload_libraries": _START,
    "session_preload_libraries": _START,
    "shared_memory_type": _START,
    "shared_preload_libraries": _START,
}
"""Settings are made by ALTER SYSTEM there: the file that would mend them cannot be reached."""


def check_support(db: Database) -> None:
    """Raises InvalidSpec naming the first field, and its remedy."""
    for field, (asks, why) in REFUSED.items():
        if asks(db.spec):
            raise InvalidSpec(field, why, reason=UNSUPPORTED)
    for name in sorted(db.spec.parameters):
        why = "the operator's own" if is_owned(name) else PARAMETERS.get(name, "")
        if why:
            raise InvalidSpec(f"spec.parameters.{name}", f"{why}: remove it", reason=UNSUPPORTED)
