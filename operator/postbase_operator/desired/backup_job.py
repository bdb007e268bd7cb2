"""The Job that makes one attempt at one Backup.

Our program is the pod's one main container: the pod ends with it, well or badly. A logical backup
has the database's own image beside it, as a sidecar, for pg_dump. Keys reach our program alone: it
signs itself a client certificate, and one for pg_dump that serves some hours.

Where the server is not in this cluster (Railway) it trusts no certificate of ours: who logs in has
a password from the Secret as a variable, pg_dump the superuser's, and for a physical backup our
program that of the receiver's role. The dump's script comes in the Job, as no ConfigMap of the
Database has it.
"""

from __future__ import annotations

from kubernetes.client import (
    V1Container,
    V1EnvVar,
    V1Job,
    V1ObjectMeta,
    V1PodSpec,
)

from postbase_operator.api.backup import Backup
from postbase_operator.api.base import API_VERSION
from postbase_operator.api.database import Database
from postbase_operator.api.policies import BackupMethod
from postbase_operator.archive.run import BackupRun
from postbase_operator.desired import by_password, names, run_job
from postbase_operator.desired.run_job import Client
from postbase_operator.settings import Settings

PROGRAM = "backup"
"""The container whose end is the run's."""
ADMIN = "postbase_admin"
DUMP = "dump.sh"
GRACE_SECONDS = 30


def job_name(backup: Backup, attempt: int) -> str:
    """At most 63 characters, and no other Backup's: names may be as long as that themselves."""
    return f"{backup.metadata.name[:51]}-{backup.metadata.uid[:8]}-{attempt}"


def backup_job(  # noqa: PLR0913 - each by its name
    backup: Backup,
    db: Database,
    run: BackupRun,
    image: str,
    attempt: int,
    settings: Settings,
    password_secret: str = "",
) -> V1Job:
    """`image` is the database's own, by digest where that is known. Deadlines are the planner's.

    `password_secret` is where a password is the way in; "": a certificate is.
    """
    owner = {
        "apiVersion": API_VERSION,
        "kind": "Backup",
        "name": backup.metadata.name,
        "uid": backup.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    metadata = {
        "name": job_name(backup, attempt),
        "namespace": backup.metadata.namespace,
        "labels": run_job.labels(db, "backup") | {names.LABEL_BACKUP: backup.metadata.name},
        "ownerReferences": [owner],
    }
    return run_job.job(
        V1ObjectMeta.model_validate(metadata), _pod(db, run, image, settings, password_secret)
    )


def _pod(
    db: Database, run: BackupRun, image: str, settings: Settings, password_secret: str
) -> V1PodSpec:
    signs = not password_secret
    first: list[V1Container] = []
    if run.method is BackupMethod.LOGICAL:
        dump = _by_password(run, password_secret) if password_secret else _by_certificate(run)
        dumps = run_job.client("dump", dump, image, settings)
        first = [_prepare(run, settings, signs=signs), dumps]
    # In memory: a client key is written there.
    mounted = [run_job.memory_volume("run", "16Mi"), *run_job.tmp_and_store(db)]
    mounted += run_job.cluster_volumes(db) if signs else []
    main = _reading(run, settings, password_secret)
    return run_job.pod(db, first, main, mounted, GRACE_SECONDS, run_job.near_the_server(db))


def _program(run: BackupRun, settings: Settings, *, signs: bool) -> V1Container:
    """`signs`: it has the authority's key, for certificates."""
    keys = (run_job.AUTHORITY, run_job.TRUST) if signs else ()
    mounts = (run_job.RUN, run_job.STORE, *keys, run_job.TMP)
    words = ["backup", run.method.value.lower()]
    return run_job.program(PROGRAM, words, run.to_bytes(), settings, mounts)


def _reading(run: BackupRun, settings: Settings, password_secret: str) -> V1Container:
    """The main container; it logs in itself where the backup is physical."""
    program = _program(run, settings, signs=not password_secret)
    if not password_secret or run.method is not BackupMethod.PHYSICAL:
        return program
    opened_by = by_password.password(password_secret)
    return program.model_copy(update={"env": [*(program.env or ()), opened_by]})


def _prepare(run: BackupRun, settings: Settings, *, signs: bool) -> V1Container:
    """Pipes, and the certificate for pg_dump, before it starts."""
    program = _program(run, settings, signs=signs)
    part = "prepare" if signs else "pipes"
    return program.model_copy(update={"name": "prepare", "args": ["backup", part]})


def _by_certificate(run: BackupRun) -> Client:
    environment = _environment(
        run,
        PGUSER=ADMIN,
        PGSSLMODE="verify-full",
        PGSSLROOTCERT=f"{names.RUN_MOUNT}/ca.crt",
        PGSSLCERT=f"{names.RUN_MOUNT}/tls.crt",
        PGSSLKEY=f"{names.RUN_MOUNT}/tls.key",
    )
    return run_job.by_script(DUMP, environment)


def _by_password(run: BackupRun, secret: str) -> Client:
    told = _environment(run, PGUSER=by_password.SUPERUSER, **by_password.CHANNEL)
    return Client(by_password.script(DUMP), [*told, by_password.password(secret)])


def _environment(run: BackupRun, **way_in: str) -> list[V1EnvVar]:
    environment = {
        "PGHOST": run.host,
        "PGPORT": str(run.port),
        "PGDATABASE": run.dbname,
        **way_in,
        "PGAPPNAME": "postbase backup",
        "PGOPTIONS": "-c synchronous_commit=local -c search_path=",
    }
    return run_job.variables(environment)
