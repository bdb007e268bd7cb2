"""The service that receives a Database's log on Railway: what it is, and how it is told. PURE.

Our own image beside the database, over Railway's private network: what crosses it costs nothing. It
has no volume, no port and no way in from the internet; all that it must remember is in the bucket
and in the server's slot. It is described by one commit, secrets sealed, so that it is never half of
one description and half of another; which one it has stands in REVISION, in the same commit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from postbase_operator.api.database import Database
from postbase_operator.archive.backup_order import KEYS, ORDER
from postbase_operator.archive.receiver import ReceiverConfig
from postbase_operator.archive.receiver_environment import (
    CONFIG,
    HOST,
    PASSWORD,
    SEALED,
    STORE,
    Told,
    config_in,
    one_line,
)
from postbase_operator.archive.receiver_environment import PORT as PORT_NAME
from postbase_operator.archive.server_wish import WISH, WISH_REVISION
from postbase_operator.archive.wish import OFF
from postbase_operator.errors import InvalidSpec
from postbase_operator.railway import services
from postbase_operator.railway.cost import Use
from postbase_operator.railway.graphql.models import ServiceInstance
from postbase_operator.railway.graphql.values import NULL
from postbase_operator.railway.plans import GB
from postbase_operator.railway.support import is_private

REVISION = "POSTBASE_REVISION"
COMMAND = "postbase-operator wal-receiver"
PORT = 5432
HIDDEN = SEALED | {WISH}
OURS = frozenset({CONFIG, HOST, PORT_NAME, PASSWORD, WISH, WISH_REVISION, *STORE.values()})
"""All that it may be told: what is not wanted any more is taken out, or it would go on with it."""
DRAINING_SECONDS = 10
"""From SIGTERM to SIGKILL: it writes what has come, and is gone within 5."""
CPU, MEMORY_BYTES = 1.0, GB // 2
"""More than it takes: some 60 MB when idle, 140 at its peak. It bounds the bill."""
AT_MOST = Use(memory=Decimal("0.5"), cpu=Decimal(1))
AT_MOST_BACKING_UP = Use(memory=Decimal(1), cpu=Decimal(2))
"""A private Database's takes its backups, too (backup_runs.py)."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The service as it should be."""

    image: str
    region: str
    variables: Mapping[str, str] = field(repr=False)

    @property
    def revision(self) -> str:
        """Of all of it, secrets too, in 16 characters; it tells nothing of them."""
        described = {"image": self.image, "region": self.region, "command": COMMAND}
        wire = json.dumps(described | dict(self.variables), sort_keys=True)
        return hashlib.sha256(wire.encode()).hexdigest()[:16]


def wanted(db: Database, cluster: str, image: str, region: str, told: Told) -> Wanted:
    return wanted_with(db, cluster, image, region, told.variables())


def wanted_with(
    db: Database, cluster: str, image: str, region: str, variables: Mapping[str, str]
) -> Wanted:
    """The marker is in it too: one that somebody struck out would make a stranger of it."""
    marked = {services.MARKER: services.marker(db, cluster)}
    return Wanted(image, region, marked | dict(variables))


def alone(database_service: str) -> dict[str, str]:
    """What it is told where there is nothing to receive: where the server is, for whoever takes
    care of that."""
    return {CONFIG: one_line(OFF), HOST: private_host(database_service), PORT_NAME: str(PORT)}


def told(
    config: ReceiverConfig, database_service: str, password: str, store: Mapping[str, str]
) -> Told:
    """Raises InvalidSpec where the store cannot be reached from outside of the cluster."""
    if not store.get("AWS_ACCESS_KEY_ID"):
        raise InvalidSpec(
            "spec.objectStore.credentialsSecretRef",
            "of the Project (objectStore of the chart): the receiver on Railway has no identity of "
            "this cluster that would open the store: name a Secret with its keys",
            reason="StoreNeedsKeys",
        )
    return Told(config, private_host(database_service), PORT, password, store)


def at_most(db: Database) -> Use:
    """What the service beside it may take."""
    return AT_MOST_BACKING_UP if is_private(db) else AT_MOST


def private_host(service_name: str) -> str:
    """In the network of the environment alone; by IPv6 in older ones."""
    return f"{service_name}.railway.internal"


def patch(
    service: ServiceInstance, wanted: Wanted, held: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """One commit: what is run, where, with what, and how much of it. Railway deploys it.

    A new service is in some region already, and what a commit does not name stays: two would run.
    So would what it was told before (`held`, as far as that is shown).
    """
    variables: dict[str, Any] = {
        name: {"value": value} | ({"isSealed": True} if name in HIDDEN else {})
        for name, value in wanted.variables.items()
    }
    former = OURS - wanted.variables.keys()
    if WISH not in wanted.variables:  # a Job gets in from now on: no backup is taken here any more
        former |= {ORDER, KEYS}
    if former & (held or {}).keys():
        variables |= dict.fromkeys(sorted(former), NULL)
    variables[REVISION] = {"value": wanted.revision}
    regions = services.one_region(wanted.region)
    if service.region not in (None, wanted.region):
        regions[str(service.region)] = NULL
    described = {
        "source": {"image": wanted.image},
        "deploy": {
            "startCommand": COMMAND,
            "multiRegionConfig": regions,
            "restartPolicyType": "ALWAYS",
            "drainingSeconds": DRAINING_SECONDS,
            "sleepApplication": False,
            "limitOverride": {"containers": {"cpu": CPU, "memoryBytes": MEMORY_BYTES}},
        },
        "variables": variables,
    }
    return {"services": {service.service_id: described}}


def is_as_wanted(service: ServiceInstance, variables: Mapping[str, str], wanted: Wanted) -> bool:
    """As far as it can be seen: a sealed value cannot."""
    described = service.image == wanted.image and service.start_command == COMMAND
    described = described and service.region in (None, wanted.region)
    shown = {name: value for name, value in wanted.variables.items() if name not in HIDDEN}
    same = all(variables.get(name) == value for name, value in shown.items())
    return described and same and variables.get(REVISION) == wanted.revision


def told_last(variables: Mapping[str, str]) -> ReceiverConfig:
    """What it was last told; OFF where it cannot be read."""
    return config_in(variables) or OFF
