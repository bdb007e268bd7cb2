"""What must be true of a Database and of what it leaves, as the API server itself has it."""

from __future__ import annotations

import base64

from apiserver.life import CLAIM, CREDENTIALS, NAME, POD_NAME, Life
from apiserver.postgres import Disk, Server
from postbase_operator.api.database import Database
from postbase_operator.api.quantity import whole_bytes
from postbase_operator.desired import config, images, names, workload
from postbase_operator.kube.apply import body_of, holds
from postbase_operator.kube.kinds import (
    DATABASE,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    SECRET,
    Body,
    kind_of,
)
from postbase_operator.kube.platform import CHILDREN
from postbase_operator.postgres.access import Owned
from postbase_operator.postgres.scram import matches

Found = dict[tuple[str, str], Body]
"""Objects by kind and name."""
SECRETS = {CREDENTIALS, f"{NAME}-ca", f"{NAME}-tls"}
VOLUME = (PERSISTENT_VOLUME_CLAIM.kind, CLAIM)


async def check_alive(life: Life) -> None:
    """One of each child, as it should be, and none besides; one database, begun once."""
    found = await everything(life)
    db = Database.model_validate(found[DATABASE.kind, NAME])
    server, disk = the_server(life), life.disk
    assert server.disk is disk
    assert disk.made == 1
    wanted = children(life, db, disk.system_id)
    others = {(SECRET.kind, name) for name in SECRETS}
    assert set(found) == set(wanted) | others | {
        (DATABASE.kind, NAME),
        (POD.kind, POD_NAME),
        VOLUME,
    }
    for place, body in wanted.items():
        assert holds(body, found[place]), place
    assert db.metadata.finalizers == (names.FINALIZER,)
    assert db.status.system_id == disk.system_id
    assert server.loaded == config.revision(db)
    check_claim(found[VOLUME], db, disk)
    assert await reclaim_policy(life, found[VOLUME]) == "Retain"
    check_secrets(found, server)
    await check_nothing_is_left_to_do(life)


async def everything(life: Life) -> Found:
    """All that a Database could leave in the namespace."""
    found: Found = {}
    for kind in (DATABASE, *CHILDREN, SECRET):
        listed = await life.session.list(kind, life.namespace)
        for body in listed.items:  # which say their kind only one by one
            whole = {**body, "apiVersion": kind.api_version, "kind": kind.kind}
            found[kind.kind, body["metadata"]["name"]] = whole
    return found


def the_server(life: Life) -> Server:
    assert life.controllers.server is not None, "PostgreSQL does not run"
    return life.controllers.server


def children(life: Life, db: Database, system_id: str) -> Found:
    """What is applied for it, as `desired` has it."""
    chosen = life.operator.settings
    made = workload.objects(db, CLAIM, system_id, images.image(db, chosen), chosen)
    return {(kind_of(b).kind, b["metadata"]["name"]): b for b in map(body_of, made)}


def check_claim(claim: Body, db: Database, disk: Disk) -> None:
    notes = claim["metadata"]["annotations"]
    told = {
        names.ANNOTATION_DATABASE_UID: db.metadata.uid,
        names.ANNOTATION_GENERATION: "1",
        names.ANNOTATION_VOLUME_ROLE: "current",
        names.ANNOTATION_SYSTEM_ID: disk.system_id,
    }
    assert {key: notes.get(key) for key in told} == told
    assert "ownerReferences" not in claim["metadata"]
    requested = claim["spec"]["resources"]["requests"]["storage"]
    assert whole_bytes(requested) == whole_bytes(db.spec.storage.size)


async def reclaim_policy(life: Life, claim: Body) -> str:
    volume = await life.session.get(PERSISTENT_VOLUME, None, claim["spec"]["volumeName"])
    return str(volume["spec"]["persistentVolumeReclaimPolicy"])


def check_secrets(found: Found, server: Server) -> None:
    """The Secret's password opens the database, and its certificate is the one to trust."""
    data = {name: decoded(found[SECRET.kind, name]) for name in SECRETS}
    login = data[CREDENTIALS]
    role = server.disk.roles[login["user"].decode()]
    assert role.login
    assert role.becomes == names.OWNER
    assert matches(login["password"].decode(), role.verifier)
    assert "pending.password" not in login
    assert server.disk.databases == {names.DATABASE: Owned(names.OWNER, open=True)}
    assert login["ca.crt"] == data[f"{NAME}-ca"]["ca.crt"] == server.authority
    assert data[f"{NAME}-tls"]["tls.crt"] == server.certificate


async def check_nothing_is_left_to_do(life: Life) -> None:
    """Another look writes nothing."""
    life.wire.writes.clear()
    key, runs = life.operator.key(NAME), life.operator.runs
    before = runs[key]
    life.operator.queue.add(key)
    await life.until(lambda: runs[key] > before)
    assert not life.wire.writes, life.wire.writes


async def check_gone(life: Life, policy: str, claim: Body) -> None:
    """Nothing of it but what the policy keeps; `claim` is its volume's, as it was."""
    found = await everything(life)
    assert not life.controllers.torn_off, "the Database went while PostgreSQL ran"
    credentials = (SECRET.kind, CREDENTIALS)
    assert set(found) == ({VOLUME, credentials} if policy == "Retain" else set())
    assert await reclaim_policy(life, claim) == policy
    if policy == "Retain":
        assert "ownerReferences" not in found[credentials]["metadata"]
        assert decoded(found[credentials])["password"].decode() in life.controllers.passwords
        assert "deletionTimestamp" not in found[VOLUME]["metadata"]
        assert found[VOLUME]["metadata"]["annotations"] == claim["metadata"]["annotations"]


def decoded(secret: Body) -> dict[str, bytes]:
    return {key: base64.b64decode(value) for key, value in secret["data"].items()}
