"""The Job that restores a dump into a database of its own, on the server that runs.

Our program is the pod's one main container; beside it, as a sidecar, the database's own image for
pg_restore. The key that makes our program a superuser lies where that sidecar cannot see it.

Where the server is not in this cluster (Railway) our program has the superuser's password from the
Secret as a variable in place of that key (by_password.py). In both cases pg_restore logs in as a
role of this restore alone, by a password that our program makes up.
"""

from __future__ import annotations

from kubernetes.client import (
    V1Container,
    V1EnvVar,
    V1Job,
    V1PodSpec,
    V1VolumeMount,
)

from postbase_operator.api.database import Database
from postbase_operator.archive import copies
from postbase_operator.archive.load_run import LoadRun
from postbase_operator.desired import by_password, meta, names, run_job
from postbase_operator.desired.backup_job import PROGRAM
from postbase_operator.desired.run_job import Client
from postbase_operator.settings import Settings

COMPONENT = "load"
RESTORER = "postbase_restore"
SCRIPT = "load.sh"
GRACE_SECONDS = 30


def job_name(db: Database, restore: str, attempt: int) -> str:
    """Of this very restore, by its UID; at most 60 characters."""
    return f"{db.metadata.name}-load-{copies.mark(restore)}-{attempt}"


def restore_of(name: str) -> str:
    """Whose Job of this name is, as archive.copies.mark() has it."""
    return name.split("-")[-2]


def load_job(
    db: Database,
    name: str,
    run: LoadRun,
    image: str,
    settings: Settings,
    password_secret: str = "",
) -> V1Job:
    """`image` is the database's own, by digest where that is known. Goes with its Database.

    `password_secret` is where a password is the way in; "": a certificate is.
    """
    told = {names.ANNOTATION_GENERATION: str(db.metadata.generation)}
    metadata = meta.child(db, name, annotations=told)
    metadata.labels = run_job.labels(db, COMPONENT)
    return run_job.job(metadata, _pod(db, run, image, settings, password_secret))


def _pod(
    db: Database, run: LoadRun, image: str, settings: Settings, password_secret: str
) -> V1PodSpec:
    signs = not password_secret
    program = _program(run, settings, signs=signs)
    prepare = program.model_copy(update={"name": "prepare", "args": ["load", "prepare"]})
    if password_secret:
        opened_by = by_password.password(password_secret)
        program = program.model_copy(update={"env": [*(program.env or ()), opened_by]})
    restore = _by_password(run) if password_secret else _by_authority(run)
    first = [prepare, run_job.client("load", restore, image, settings)]
    # In memory: a password and a key are written there.
    mounted = [run_job.memory_volume("run", "64Mi"), *run_job.tmp_and_store(db)]
    mounted += [run_job.memory_volume("own", "64Mi"), *run_job.cluster_volumes(db)] if signs else []
    return run_job.pod(db, first, program, mounted, GRACE_SECONDS, run_job.near_the_server(db))


def _program(run: LoadRun, settings: Settings, *, signs: bool) -> V1Container:
    """`signs`: it has the authority's key, for certificates."""
    own = V1VolumeMount(name="own", mount_path=names.OWN_MOUNT)
    keys = (own, run_job.AUTHORITY, run_job.TRUST) if signs else ()
    mounts = (run_job.RUN, run_job.STORE, *keys, run_job.TMP)
    return run_job.program(PROGRAM, ["load", "run"], run.to_bytes(), settings, mounts)


def _by_authority(run: LoadRun) -> Client:
    trust = f"{names.TRUST_MOUNT}/ca.crt"
    environment = _environment(run, run.scratch, PGSSLMODE="verify-full", PGSSLROOTCERT=trust)
    return run_job.by_script(SCRIPT, environment, run_job.TRUST)


def _by_password(run: LoadRun) -> Client:
    """The database is a connection string: libpq has no variables for keepalives."""
    alive = " ".join(f"{name}={value}" for name, value in by_password.KEEPALIVES.items())
    told = _environment(run, f"dbname={run.scratch} {alive}", **by_password.CHANNEL)
    return Client(by_password.script(SCRIPT), told)


def _environment(run: LoadRun, database: str, **way_in: str) -> list[V1EnvVar]:
    environment = {
        "PGHOST": run.host,
        "PGPORT": str(run.port),
        "PGDATABASE": database,
        "PGUSER": RESTORER,
        "PGPASSFILE": f"{names.RUN_MOUNT}/pgpass",
        **way_in,
        "PGAPPNAME": "postbase restore",
        "PGOPTIONS": "-c synchronous_commit=local",
    }
    return run_job.variables(environment)
