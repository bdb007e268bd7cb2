"""A Database as a service on Railway: its name, whose it is, its variables, its limits. PURE.

One service is one container of one image with one volume. There are no labels, so that whose a
service is stands in one of its variables; names are unique in a project, and 32 letters at most.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from postbase_operator.api.database import Database
from postbase_operator.api.quantity import parse_quantity, whole_bytes
from postbase_operator.archive.receiver import ROLE
from postbase_operator.desired import config
from postbase_operator.errors import InvalidSpec
from postbase_operator.railway.graphql.models import Limits, Region
from postbase_operator.railway.plans import GB, MB

LONGEST_NAME = 32
IMAGE = "ghcr.io/railwayapp-templates/postgres-ssl"
"""Railway's own: the official image with TLS, a must where the port is open to the internet."""
GENERATION = re.compile(r"-[1-9][0-9]{0,5}$")
MARKER = "POSTBASE_OWNER"
PASSWORD = "POSTGRES_PASSWORD"  # noqa: S105 - a name
"""Counts only while the volume is empty: a server keeps the one that it was made with."""
MOUNT = "/var/lib/postgresql/data"
"""The image refuses to start with any other, in 18 too."""
PGDATA = f"{MOUNT}/pgdata"
"""A folder of the volume: its root has a lost+found, and initdb wants an empty one."""
RECEIVER = ROLE
DRAINING_SECONDS = 10
"""From SIGTERM to SIGKILL, and so about what each new deployment keeps the database down.

Railway's image starts PostgreSQL from a script that passes no signal on: it runs until it is
killed, however long that takes, and with the 60 of Railway's own template it is down for a minute.
Did the signal reach it (SIGTERM: wait for all clients), pools that stay connected would wait just
as long. The kill loses no commit; the CHECKPOINT right before it makes the recovery short, and the
shorter the wait is, the less comes after it. Not 0, Railway's default: without clients a stop that
does reach PostgreSQL ends in order within seconds.
"""
LEAST_SHM = 64 * 1024 * 1024
INITDB = ("--data-checksums", "--encoding", "--locale", "--icu-locale", "--builtin-locale")


class Whose(StrEnum):
    """Whose service it is that bears our Database's name."""

    OURS = "Ours"
    ANOTHERS = "Anothers"
    NOBODYS = "Nobodys"


def service_name(db: Database, cluster: str, suffix: str = "") -> str:
    """The same for ever, and for no other Database: those of all namespaces and of all clusters
    may share a Railway project. It is a DNS name: <service>.railway.internal."""
    mark = hashlib.sha256(f"{cluster}/{db.metadata.uid}".encode()).hexdigest()[:8]
    room = LONGEST_NAME - len(mark) - len(suffix) - 1
    return f"{db.metadata.name[:room]}-{mark}{suffix}"


def generation_name(db: Database, cluster: str, generation: int) -> str:
    """The first one has the Database's own; a restore in place makes the next beside it."""
    return service_name(db, cluster, f"-{generation}" if generation > 1 else "")


def is_of(name: str, db: Database, cluster: str) -> bool:
    """Whether a service of this name is PostgreSQL of this Database, of whichever generation."""
    number = GENERATION.search(name)
    suffix = number[0] if number is not None else ""
    return name in (service_name(db, cluster), service_name(db, cluster, suffix))


def receiver_name(db: Database, cluster: str) -> str:
    """The service that receives the log."""
    return service_name(db, cluster, "-wal")


def marker(db: Database, cluster: str) -> str:
    """Whose it is, in words that a person who finds it can follow."""
    meta = db.metadata
    return f"{cluster}/{meta.namespace}/{meta.name}/{meta.uid}"


def whose(variables: Mapping[str, str], db: Database, cluster: str) -> Whose:
    """Adopted is what is OURS; anything else is refused, and never written to."""
    if not variables.get(MARKER):
        return Whose.NOBODYS
    return Whose.OURS if variables[MARKER] == marker(db, cluster) else Whose.ANOTHERS


def image(db: Database) -> str:
    return db.spec.image or f"{IMAGE}:{db.spec.postgres_version}"


def variables(db: Database, cluster: str, password: str) -> dict[str, str]:
    """What the service is made with, marker included. Some count only while the volume is empty.

    pg_hba's word `all` does not match physical replication: without a line for it the log could
    not be received. The image prints the method as it is, so a line break in it begins a line.
    """
    shm = max(LEAST_SHM, whole_bytes(db.spec.resources.memory) // 4)
    return {
        MARKER: marker(db, cluster),
        "PGDATA": PGDATA,
        "POSTGRES_USER": "postgres",
        # The application's is made by us, closed to PUBLIC: one that is there is taken for right.
        "POSTGRES_DB": "postgres",
        PASSWORD: password,
        "POSTGRES_HOST_AUTH_METHOD": f"scram-sha-256\nhostssl replication {RECEIVER} all "
        "scram-sha-256",
        "POSTGRES_INITDB_ARGS": initdb_arguments(db),
        "SSL_CERT_DAYS": "820",
        "RAILWAY_DEPLOYMENT_DRAINING_SECONDS": str(DRAINING_SECONDS),
        "RAILWAY_SHM_SIZE_BYTES": str(shm),
    }


def initdb_arguments(db: Database) -> str:
    """As on Kubernetes, where they are the image's entrypoint's matter: it has a shell read them,
    so each is quoted (an ICU locale may have a semicolon)."""
    major = _major(db)
    found = []
    for line in config.initdb_arguments(db):
        lowest, highest, argument = line.split(" ", 2)
        if int(lowest) <= major <= int(highest) and argument.startswith(INITDB):
            found.append(shlex.quote(argument))
    return " ".join(found)


def _major(db: Database) -> int:
    """Of the version, or of the image's tag: postgres-ssl:17.6 is a 17."""
    word = db.spec.postgres_version or str(db.spec.image).rpartition(":")[2].partition(".")[0]
    if not word.isdigit():
        raise InvalidSpec(
            "spec.image",
            f"its tag must begin with the major version, as {IMAGE}:17 does; that of "
            f"{db.spec.image!r} does not: name such a one, or set spec.postgresVersion in its "
            "place",
        )
    return int(word)


def instance(db: Database, region: str) -> dict[str, Any]:
    """The input of UpdateServiceInstance. Without `startCommand`: one would take the place of the
    image's entrypoint. Awake, since a sleeping database archives nothing."""
    return {
        "source": {"image": image(db)},
        "multiRegionConfig": one_region(region),
        "restartPolicyType": "ALWAYS",
        "drainingSeconds": DRAINING_SECONDS,
        "sleepApplication": False,
    }


def one_region(region: str) -> dict[str, Any]:
    """One copy there and none elsewhere: a volume can be written by one."""
    return {region: {"numReplicas": 1}}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the service may use, in Railway's units."""

    cpu: float
    memory_gb: float

    @property
    def memory_bytes(self) -> int:
        return round(self.memory_gb * GB)


def limits(db: Database) -> Wanted:
    resources = db.spec.resources
    memory = -(-whole_bytes(resources.memory) // MB)  # in whole MB, upwards
    return Wanted(float(parse_quantity(resources.cpu)), memory / 1000)


def limits_differ(wanted: Wanted, seen: Limits | None) -> bool:
    """Whether they must be set. Whether Railway's GB is 1000^3 bytes or 1024^3 is written nowhere;
    either counts as done, or each look would set them anew for ever."""
    containers = seen.containers if seen is not None else None
    if containers is None or containers.cpu is None or containers.memory_bytes is None:
        return True
    either = (wanted.memory_bytes, round(wanted.memory_gb * 1024**3))
    cpu = abs(containers.cpu - wanted.cpu) > 0.001
    return cpu or all(abs(containers.memory_bytes - each) > MB for each in either)


def region(
    db: Database, wanted: str | None, offered: Sequence[Region], held: str | None = None
) -> str:
    """Where it runs. `held`: where its service or volume is by now. Raises InvalidSpec.

    Railway would move a volume by copying it, with the database stopped: not begun by a typing
    error.
    """
    if held is not None:
        if (db.spec.region or held) != held:
            raise InvalidSpec(
                "spec.region",
                f"it was made in {held!r}, and cannot be moved to {db.spec.region!r}: set {held!r} "
                "again, or restore into a new Database there",
                reason="RegionChanged",
            )
        return held
    known = {each.name: each for each in offered}
    open_ones = ", ".join(sorted(name for name, each in known.items() if not each.replacement))
    if wanted is None or wanted not in known:
        what = "must say where on Railway it runs" if wanted is None else f"{wanted!r} is none"
        raise InvalidSpec("spec.region", f"{what}: set one of {open_ones}", reason="UnknownRegion")
    if replacement := known[wanted].replacement:
        raise InvalidSpec(
            "spec.region",
            f"Railway gives {wanted!r} up: set {replacement!r} in its place",
            reason="UnknownRegion",
        )
    return wanted
