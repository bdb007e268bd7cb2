"""A Database's service while it is made out of a backup: what it is at each of its stages. PURE.

It has three, of one service and one volume: our image fills the volume; the image of PostgreSQL
recovers what lies there; then it serves. Which one it is in stands on Railway: ROLE, and whether
the service has our command. Each change is one commit, which Railway applies whole or not at all,
and deploys.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from postbase_operator.api.database import Database
from postbase_operator.archive.run import VARIABLE, RecoveryTask
from postbase_operator.archive.staging import ATTEMPT, NAMES, SEALED, Staging
from postbase_operator.planning.observed import VolumeRole
from postbase_operator.railway import services
from postbase_operator.railway.graphql import patches
from postbase_operator.railway.graphql.models import ServiceInstance
from postbase_operator.railway.graphql.values import NULL
from postbase_operator.railway.plans import GB

ROLE, RESTORE = "POSTBASE_ROLE", "POSTBASE_RESTORE"
"""What the volume is to its Database; and the restore, by its object's UID, that it was meant for.
In the variables of the service, as nothing on Railway can be written on a volume."""
GENERATION, KEEP_UNTIL = "POSTBASE_GENERATION", "POSTBASE_KEEP_UNTIL"
"""Which of the Database's services: rises with each, and as one takes its place again. And until
when one that was replaced stays, by RFC 3339."""
COMMAND = "postbase-operator stage"
RUN_AS = "RAILWAY_RUN_UID"
"""Railway mounts volumes as root's: our image, which is not root by itself, could write nothing."""
KEPT = (VARIABLE, ATTEMPT)
"""What is known until the end: what is to be recovered, and by which attempt."""
WHOLE = "POSTBASE_RESTORE_WHOLE"
"""Of which log PostgreSQL has found, in an attempt, that it has no commit after the target. Each
later attempt knows it too: told the target once more, it would only find that again."""
SYSTEM_ID = "POSTBASE_SYSTEM_ID"
NEVER = "-"
"""In place of a moment: a variable cannot be taken out without a deployment."""
CPU, MEMORY_BYTES = 2.0, GB
"""Of what fills: it takes some 300 MB. It bounds the bill."""


def begun(restore: str, generation: int = 1) -> dict[str, str]:
    """What marks it from its first moment on: it is never taken for one that serves."""
    marks = {ROLE: VolumeRole.FILLING.value, RESTORE: restore}
    return marks | ({GENERATION: str(generation)} if generation > 1 else {})


def generation(variables: Mapping[str, str]) -> int:
    """The first one bears no mark."""
    said = variables.get(GENERATION, "")
    return int(said) if said.isdecimal() else 1


def keep_until(variables: Mapping[str, str]) -> datetime | None:
    """None: nobody has said; then nobody deletes it."""
    try:
        return datetime.fromisoformat(variables.get(KEEP_UNTIL, ""))
    except ValueError:
        return None


def left(until: datetime | None) -> dict[str, str]:
    """The marks of one that was replaced."""
    said = until.isoformat(timespec="seconds") if until is not None else NEVER
    return {ROLE: VolumeRole.PREVIOUS.value, KEEP_UNTIL: said}


def back(restore: str, system_id: str, generation: int) -> dict[str, str]:
    """The marks of one that takes its place again, for this restore."""
    return {
        ROLE: VolumeRole.CURRENT.value,
        RESTORE: restore,
        SYSTEM_ID: system_id,
        GENERATION: str(generation),
        KEEP_UNTIL: NEVER,
    }


def role(variables: Mapping[str, str]) -> VolumeRole:
    """One that was never restored bears no mark, and serves."""
    said = variables.get(ROLE, "")
    return VolumeRole(said) if said in set(VolumeRole) else VolumeRole.CURRENT


def fills(service: ServiceInstance) -> bool:
    """Our image is what it runs; else PostgreSQL."""
    return service.start_command == COMMAND


def instance(image: str, region: str) -> dict[str, Any]:
    """The input of UpdateServiceInstance for a new service. A run that has ended is not begun
    anew by Railway: how it ended is looked at."""
    return {
        "source": {"image": image},
        "multiRegionConfig": services.one_region(region),
        "restartPolicyType": "NEVER",
        "startCommand": COMMAND,
        "drainingSeconds": 0,
        "sleepApplication": False,
    }


def whole(task: RecoveryTask | None) -> str:
    """The log of a recovery, and its target; "" where it has none."""
    if task is None or task.stop_at is None:
        return ""
    return f"{task.timeline} {task.end} {task.stop_at.isoformat()}"


def fill_patch(
    service: ServiceInstance, image: str, told: Staging, known: str = ""
) -> dict[str, Any]:
    """One attempt. `known`: WHOLE."""
    variables: dict[str, Any] = {
        name: {"value": value} | ({"isSealed": True} if name in SEALED else {})
        for name, value in told.variables().items()
    }
    variables[RUN_AS] = {"value": "0"}
    if known:
        variables[WHOLE] = {"value": known}
    described = {
        "source": {"image": image},
        "deploy": {
            "startCommand": COMMAND,
            "restartPolicyType": "NEVER",
            "drainingSeconds": 0,
            "limitOverride": {"containers": {"cpu": CPU, "memoryBytes": MEMORY_BYTES}},
        },
        "variables": variables,
    }
    return {"services": {service.service_id: described}}


def recover_patch(service: ServiceInstance, db: Database) -> dict[str, Any]:
    """PostgreSQL's image, and the way in; all that our image was told goes. One that cannot recover
    is not started again and again: its log says why."""
    limits = services.limits(db)
    gone = {name: NULL for name in (*NAMES, RUN_AS) if name not in KEPT}
    described = {
        "source": {"image": services.image(db)},
        "deploy": {
            "startCommand": NULL,
            "restartPolicyType": "NEVER",
            "drainingSeconds": services.DRAINING_SECONDS,
            "limitOverride": {
                "containers": {"cpu": limits.cpu, "memoryBytes": limits.memory_bytes}
            },
        },
        "variables": gone,
    }
    opened = patches.public_port(service.service_id, open_=True)
    return patches.merged({"services": {service.service_id: described}}, opened)


def serve_patch(service: ServiceInstance, restore: str, system_id: str) -> dict[str, Any]:
    """It is the one that serves, and is started once more: as any other, and again if it dies."""
    marks = {ROLE: VolumeRole.CURRENT.value, RESTORE: restore, SYSTEM_ID: system_id}
    described = {
        "deploy": {"restartPolicyType": "ALWAYS", "sleepApplication": False},
        "variables": {
            **{name: {"value": value} for name, value in marks.items()},
            **dict.fromkeys((*KEPT, WHOLE), NULL),
        },
    }
    return {"services": {service.service_id: described}}


def is_told(variables: Mapping[str, str], attempt: int) -> bool:
    """This attempt, or a later one, has been described."""
    return VARIABLE in variables and variables.get(ATTEMPT) == str(attempt)
