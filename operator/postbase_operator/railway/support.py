"""What a spec asks that Railway cannot do: refused with its remedy, never just ignored. PURE."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

from postbase_operator.api.database import Database
from postbase_operator.api.database_server import PodSecurity
from postbase_operator.api.database_spec import DatabaseSpec, Expose
from postbase_operator.api.parameters import is_owned
from postbase_operator.api.policies import BackupMethod, RecoveryPoint
from postbase_operator.api.quantity import whole_bytes
from postbase_operator.api.scheduling import Scheduling
from postbase_operator.api.upkeep import Disruptions, NodeLoss
from postbase_operator.errors import InvalidSpec
from postbase_operator.planning import plan as steps
from postbase_operator.planning.plan import Step
from postbase_operator.railway import parameters, shared_memory

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
    "unix_socket_group": _START,
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
    _check_connections(db.spec.parameters)
    if db.spec.backup is not None and db.spec.backup.method is not None:
        check_private_backup(db, db.spec.backup.method, "spec.backup.method")
    check_private_commits(db, db.spec.pitr.rpo)


CONNECTIONS = {
    "superuser_reserved_connections": 3,
    "reserved_connections": 0,
    "max_connections": 100,
}
"""With PostgreSQL's defaults. ALTER SYSTEM looks at each by itself, a start at all of them."""


def _check_connections(parameters: Mapping[str, str]) -> None:
    reads = {name: _whole(parameters.get(name), usual) for name, usual in CONNECTIONS.items()}
    superusers, others, most = reads.values()
    if superusers + others < most:
        return
    name = next(name for name in CONNECTIONS if name in parameters)
    why = (
        f"of max_connections ({most}) superuser_reserved_connections ({superusers}) and "
        f"reserved_connections ({others}) leave none, and PostgreSQL would not start; on Railway "
        "there is no other way in to take that back: reserve less"
    )
    raise InvalidSpec(f"spec.parameters.{name}", why, reason=UNSUPPORTED)


def check_memory(db: Database) -> None:
    """Of what a start asks for at once, before it is written: one that runs with it is left in
    peace. Raises InvalidSpec."""
    given = db.spec.parameters
    name, asked = shared_memory.largest(given), shared_memory.asked(parameters.wanted(db))
    most = whole_bytes(db.spec.resources.memory)
    processes = shared_memory.processes(given)
    if not name or (asked <= most and processes <= shared_memory.MOST_PROCESSES):
        return
    why = f"PostgreSQL would ask for {asked // 2**20} MB of shared memory when it starts"
    if asked > most:
        why += f", and spec.resources.memory is {most // 2**20} MB: raise that, or set less"
    else:
        why += f", for {processes} processes, of which it can have {shared_memory.MOST_PROCESSES}"
    why += ". ALTER SYSTEM would take it, and on Railway there is no other way in to take it back"
    raise InvalidSpec(f"spec.parameters.{name}", why, reason=UNSUPPORTED)


def _whole(text: str | None, usual: int) -> int:
    """As PostgreSQL reads it, which refuses by itself what is no number."""
    if text is not None:
        with suppress(ValueError):
            return int(text, 0)
        with suppress(ValueError, OverflowError):
            return round(float(text))
    return usual


# -- spec.expose: Private -------------------------------------------------------------------------

PRIVATE_BACKUP = (
    "a dump is taken by a Job of this cluster, which cannot reach a Database with spec.expose: "
    "Private: set Physical, also as spec.backup.method of the Database"
)
PRIVATE_BEGINNING = (
    "a Database with spec.expose: Private begins empty, as nobody outside of Railway can see how "
    "far a restore is: set spec.expose: ClusterIP until it is restored, then Private"
)
PRIVATE_RESTORE = (
    "the Database has spec.expose: Private, and nobody outside of Railway can see how far a "
    "restore is: set spec.expose: ClusterIP until it is restored, then Private"
)
PRIVATE_COPY = (
    "the new Database would have spec.expose: Private, as the one that it comes from: make it by "
    "itself, with spec.bootstrap.restore and spec.expose: ClusterIP until it is restored"
)
PRIVATE_ZERO = (
    "Zero makes commits wait for the service beside the Database, and with spec.expose: Private "
    "nobody else could let them go where that cannot be deployed: set Async, or expose: ClusterIP"
)
_RESTORING = (
    steps.FillVolume
    | steps.RecoverVolume
    | steps.PromoteVolume
    | steps.LoadBackup
    | steps.SwapDatabases
)


def is_private(db: Database) -> bool:
    """There is no way in from the internet, for nobody."""
    return db.spec.expose is Expose.PRIVATE


def check_private_beginning(db: Database) -> None:
    """Of one nothing of which serves yet. Raises InvalidSpec."""
    begins = db.spec.bootstrap
    if is_private(db) and begins is not None and begins.empty is None:
        raise InvalidSpec("spec.bootstrap", PRIVATE_BEGINNING, reason=UNSUPPORTED)


def check_private_step(db: Database, step: Step) -> None:
    """Of one that a restore asks for, or a default of the Project. Raises InvalidSpec."""
    if is_private(db) and isinstance(step, _RESTORING):
        raise InvalidSpec("spec.databaseRef", PRIVATE_RESTORE, reason=UNSUPPORTED)
    if isinstance(step, steps.ApplyWorkload) and step.archiving.receiver.enabled:
        check_private_commits(db, step.archiving.receiver.rpo)


def check_private_commits(db: Database, rpo: RecoveryPoint | None) -> None:
    """`rpo`: the Database's, or its Project's. Raises InvalidSpec."""
    if is_private(db) and rpo is RecoveryPoint.ZERO:
        raise InvalidSpec("spec.pitr.rpo", PRIVATE_ZERO, reason=UNSUPPORTED)


def check_private_backup(db: Database, method: BackupMethod, field: str = "spec.method") -> None:
    """`field`: where the method is asked for. Raises InvalidSpec."""
    if is_private(db) and method is BackupMethod.LOGICAL:
        raise InvalidSpec(field, PRIVATE_BACKUP, reason=UNSUPPORTED)
