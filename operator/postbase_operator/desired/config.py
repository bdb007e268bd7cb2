"""The ConfigMap: scripts and settings of a Database, so that its pod template can stay small.

A template that changes waits for the next stop of PostgreSQL; a ConfigMap reaches the running pod.
"""

from __future__ import annotations

from importlib import resources

from kubernetes.client import V1ConfigMap

from postbase_operator.api.database import Database
from postbase_operator.api.quantity import whole_bytes
from postbase_operator.archive.receiver import CONFIG_FILE
from postbase_operator.archive.wish import NOTHING, ArchivingWish
from postbase_operator.desired import meta, names, postgresql_conf
from postbase_operator.desired.postgresql_conf import Sizes

SCRIPTS = {
    name: resources.files(__package__).joinpath("scripts", name).read_text()
    for name in ("start.sh", "initdb.sh", "dump.sh", "load.sh", "recover.sh", "restore.sh")
}
NEW = "new"


def config_map(db: Database, system_id: str, archiving: ArchivingWish = NOTHING) -> V1ConfigMap:
    """`system_id` "" lets initdb.sh make a database where the volume holds none."""
    conf, loaded = _settings_file(db, archiving.synchronous), revision(db, archiving.synchronous)
    return V1ConfigMap(
        api_version="v1",
        kind="ConfigMap",
        metadata=meta.child(db, meta.names_of(db).config),
        data={
            **SCRIPTS,
            "expected-system-id": system_id or NEW,
            "initdb-arguments": "".join(f"{line}\n" for line in initdb_arguments(db)),
            "bootstrap.sql": postgresql_conf.BOOTSTRAP,
            "postgresql.conf": f"{conf}{postgresql_conf.REVISION} = '{loaded}'\n",
            "pg_hba.conf": postgresql_conf.PG_HBA,
            "pg_ident.conf": postgresql_conf.PG_IDENT,
            "passwd": passwd(db.spec.pod_security.run_as_user),
            "revision": loaded,
            # No part of the revision: what the sidecar is told reloads nothing.
            CONFIG_FILE: archiving.receiver.to_bytes().decode(),
        },
    )


def revision(db: Database, synchronous: bool = False) -> str:
    """Which settings the spec asks for; the running server tells which ones it has loaded."""
    return postgresql_conf.revision(
        _settings_file(db, synchronous), postgresql_conf.PG_HBA, postgresql_conf.PG_IDENT
    )


def _settings_file(db: Database, synchronous: bool) -> str:
    sizes = Sizes(
        volume=whole_bytes(db.spec.storage.size), memory=whole_bytes(db.spec.resources.memory)
    )
    return postgresql_conf.postgresql_conf(db.spec.parameters, sizes, synchronous=synchronous)


def passwd(uid: int) -> str:
    """An /etc/passwd in which any uid is `postgres`: initdb and peer logins ask for the name."""
    return (
        "root:x:0:0:root:/root:/sbin/nologin\n"
        f"postgres:x:{uid}:{uid}:PostgreSQL:{names.PGDATA}:/sbin/nologin\n"
    )


def initdb_arguments(db: Database) -> list[str]:
    """Lines "<lowest major> <highest major> <option of initdb>"; initdb.sh takes those that fit.

    The major of an image of the user's own is known only inside it. Locale by PostgreSQL itself
    where it can (17): no C library behind it whose next version sorts differently and silently
    breaks every text index.
    """
    initdb = db.spec.initdb
    lines = [
        "0 99 --data-checksums",
        "0 99 --auth-local=peer",
        "0 99 --auth-host=scram-sha-256",
        f"0 99 --encoding={initdb.encoding}",
        f"0 99 --locale={initdb.locale}",
        "16 99 --set=huge_pages=off",
    ]
    match initdb.locale_provider:
        case None:
            lines += ["17 99 --locale-provider=builtin", f"17 99 --builtin-locale={initdb.locale}"]
        case "builtin":
            lines += ["0 99 --locale-provider=builtin", f"0 99 --builtin-locale={initdb.locale}"]
        case "icu":
            lines += ["0 99 --locale-provider=icu", f"0 99 --icu-locale={initdb.icu_locale}"]
        case "libc":
            lines += ["15 99 --locale-provider=libc"]
    return lines
