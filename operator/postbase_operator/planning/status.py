"""What a Database's status tells: from a verdict and what was seen to the whole object. PURE."""

from __future__ import annotations

from datetime import datetime

from postbase_operator.api import conditions as cond
from postbase_operator.api.base import Reference
from postbase_operator.api.conditions import ConditionType
from postbase_operator.api.database import Database, DatabasePhase, DatabaseStatus
from postbase_operator.api.database_status import Endpoint, ImageStatus, VolumeStatus
from postbase_operator.api.quantity import format_bytes
from postbase_operator.planning import (
    database_backups,
    receiver_restart,
    restart,
    rotation,
    upgrade,
)
from postbase_operator.planning.acceptance import accepted
from postbase_operator.planning.archiving_outlook import ArchivingOutlook
from postbase_operator.planning.database_backups import Outlook
from postbase_operator.planning.judgement import Outlook as Way
from postbase_operator.planning.judgement import Verdict
from postbase_operator.planning.observed import Observed
from postbase_operator.planning.plan import Notice, Plan, Step
from postbase_operator.planning.restart import Restart

NEARLY_FULL = "VolumeNearlyFull"
TOLD_FROM = 80
"""Percent of the volume in use from which on it is told …"""
TOLD_UNTIL = 75
"""… and below which it is told no longer."""


def finish(  # noqa: PLR0913 - each a part of the answer
    db: Database,
    seen: Observed,
    verdict: Verdict,
    now: datetime,
    todo: list[Step] | None = None,
    *,
    requeue_after: float | None = None,
    backups: Outlook | None = None,
    archiving: ArchivingOutlook | None = None,
) -> Plan[DatabaseStatus]:
    """A plan with the status that tells this verdict, and the events that it is worth."""
    after = status(db, seen, verdict, now, backups, archiving)
    return Plan(
        status=after,
        steps=tuple(todo or ()),
        requeue_after=requeue_after,
        notices=(*notices(db, verdict), *_alarms(db.status, after)),
    )


def status(
    db: Database,
    seen: Observed,
    verdict: Verdict,
    now: datetime,
    backups: Outlook | None = None,
    archiving: ArchivingOutlook | None = None,
) -> DatabaseStatus:
    """The whole status, from what was held before and what is known now."""
    held = db.status
    generation = db.metadata.generation
    conditions = _outlook(held.conditions, verdict, now, generation)
    conditions = accepted(db, conditions, now)
    conditions = _restart(seen, restart.restart(db, seen, now), conditions, now, generation)
    conditions = _resize(seen, conditions, now, generation)
    conditions = _kept(db, seen, conditions, now)
    conditions = _fullness(seen, conditions, now, generation)
    if backups is not None:
        health = backups.health
        said = (health.healthy, health.reason, health.message, now, generation)
        conditions = cond.set_condition(conditions, ConditionType.BACKUP_HEALTHY, *said)
    if archiving is not None:
        conditions = archiving.conditions(conditions, now, generation)
    requests = _requests(db, seen, backups, archiving)
    phase = DatabasePhase(verdict.phase)
    told = (held.conditions, held.phase, held.observed_generation)
    quiet = verdict.outlook is Way.RECONCILING and not requests
    if quiet and told == (conditions, phase, generation):
        return held  # facts that come in on the way are told on arrival, in one write
    return held.model_copy(
        update={
            "id": db.id,
            "phase": phase,
            "observed_generation": generation,
            "conditions": conditions,
            **_facts(seen),
            **_of_backups(backups),
            **_of_archiving(archiving),
            **requests,
        }
    )


def _of_backups(backups: Outlook | None) -> dict[str, object]:
    if backups is None:
        return {}
    return {"backup": backups.summary, "finished_runs": backups.finished_runs}


def _of_archiving(archiving: ArchivingOutlook | None) -> dict[str, object]:
    if archiving is None:
        return {}
    return {"pitr": archiving.pitr, "archive": archiving.archive}


def _facts(seen: Observed) -> dict[str, object]:
    """Fields of the status that are known now; the others keep what they held."""
    facts: dict[str, object] = {}
    current = seen.current
    if current is not None and seen.access is not None:
        facts["credentials_secret_ref"] = Reference(name=seen.access.secret)
        facts["endpoint"] = Endpoint(host=seen.access.host, port=seen.access.port)
    if current is not None:
        facts["volume"] = VolumeStatus(
            claim_name=current.name,
            generation=current.generation,
            capacity=format_bytes(current.capacity_bytes) if current.capacity_bytes else None,
        )
        facts["system_id"] = current.system_id or None
        facts["image"] = ImageStatus(
            requested=current.image_tag or seen.process.image or None,
            digest=current.image or None,
        )
    if seen.server is not None:
        facts["version"] = seen.server.facts.version
    if seen.railway is not None:
        facts["railway"] = seen.railway
    return facts


def _outlook(
    held: tuple[cond.Condition, ...], verdict: Verdict, now: datetime, generation: int
) -> tuple[cond.Condition, ...]:
    said = (verdict.reason, verdict.message, now, generation)
    match verdict.outlook:
        case Way.READY:
            return cond.set_ready(held, *said)
        case Way.RECONCILING:
            return cond.set_reconciling(held, *said)
        case Way.STALLED:
            return cond.set_stalled(held, *said)
    rest = cond.remove_condition(held, ConditionType.RECONCILING, ConditionType.STALLED)
    return cond.set_condition(rest, ConditionType.READY, False, *said)


def _restart(
    seen: Observed,
    waiting: Restart,
    held: tuple[cond.Condition, ...],
    now: datetime,
    generation: int,
) -> tuple[cond.Condition, ...]:
    """What counts from the next start of PostgreSQL, and when that is."""
    if seen.server is None:
        return held  # not known now
    if not waiting.reason:
        return cond.remove_condition(held, "RestartPending")
    said = (waiting.reason, waiting.message, now, generation)
    return cond.set_condition(held, "RestartPending", True, *said)


def _resize(
    seen: Observed, held: tuple[cond.Condition, ...], now: datetime, generation: int
) -> tuple[cond.Condition, ...]:
    if seen.process.size_refused:
        said = ("NotPossible", seen.process.size_refused, now, generation)
        return cond.set_condition(held, "ResizePending", True, *said)
    return cond.remove_condition(held, "ResizePending")


def _fullness(
    seen: Observed, held: tuple[cond.Condition, ...], now: datetime, generation: int
) -> tuple[cond.Condition, ...]:
    """Told in steps, so that a volume which fills costs a few writes and not one a look."""
    current, server = seen.current, seen.server
    if current is None or server is None or not server.used_bytes or not current.capacity_bytes:
        return held  # not known now
    percent = 100 * server.used_bytes // current.capacity_bytes
    before = cond.find_condition(held, NEARLY_FULL)
    if percent < (TOLD_FROM if before is None else TOLD_UNTIL):
        return cond.remove_condition(held, NEARLY_FULL)
    step = max(TOLD_FROM, percent // 5 * 5)
    message = (
        f"More than {step} % of {format_bytes(current.capacity_bytes)} are in use, and PostgreSQL "
        "stops when the volume is full: raise spec.storage.size, which needs no restart"
    )
    return cond.set_condition(held, NEARLY_FULL, True, "AboveThreshold", message, now, generation)


def _kept(
    db: Database, seen: Observed, held: tuple[cond.Condition, ...], now: datetime
) -> tuple[cond.Condition, ...]:
    """Said where a volume that should be kept is not safe from the deletion of its namespace."""
    if seen.current is None or seen.current.kept != "denied":
        return cond.remove_condition(held, "VolumeNotRetained")
    message = (
        "The operator may not set the reclaim policy of the volume (installed for listed "
        "namespaces): set persistentVolumeReclaimPolicy: Retain on it by hand, or deleting the "
        "namespace deletes the data"
    )
    generation = db.metadata.generation
    return cond.set_condition(held, "VolumeNotRetained", True, "Denied", message, now, generation)


def _requests(
    db: Database, seen: Observed, backups: Outlook | None, archiving: ArchivingOutlook | None
) -> dict[str, object]:
    """What was asked for by annotation: written down before it is done, done until it shows. What
    never shows is written down with the plan that does it, and so after it."""
    told: dict[str, object] = {}
    served = dict(db.status.requests)
    asked, running = restart.request(db), seen.process.identity
    if asked is not None:
        served[restart.VERB] = asked
        told["restarting"] = running or None
    elif db.status.restarting is not None and running != db.status.restarting:
        told["restarting"] = None
    rotated = rotation.served(db, seen.server)
    if rotated is not None:
        served[rotation.VERB] = rotated
    upgraded = upgrade.served(db, seen.current)
    if upgraded is not None:
        served[upgrade.VERB] = upgraded
    if backups is not None and backups.requested is not None:
        served[database_backups.VERB] = backups.requested
    renewed = receiver_restart.request(db) if archiving is not None else None
    if renewed is not None:
        served[receiver_restart.VERB] = renewed
    return told | ({"requests": served} if served != db.status.requests else {})


def notices(db: Database, verdict: Verdict) -> tuple[Notice, ...]:
    """An Event at each transition of the Ready condition's reason, and at no other time.

    That a new Database is being made is no news: its creation said so.
    """
    before = cond.find_condition(db.status.conditions, ConditionType.READY)
    if before is None and verdict.reason == "Starting":
        return ()
    if before is not None and before.reason == verdict.reason:
        return ()
    type = "Warning" if verdict.outlook is Way.STALLED else "Normal"
    return (Notice(type, verdict.reason, verdict.message),)


def _alarms(before: DatabaseStatus, after: DatabaseStatus) -> tuple[Notice, ...]:
    """What people should hear of although the Database is Ready."""
    told = []
    for kind, name in ((NEARLY_FULL, NEARLY_FULL), (ConditionType.DEGRADED, "")):
        found = cond.find_condition(after.conditions, kind)
        held = cond.find_condition(before.conditions, kind)
        if found is not None and (held is None or (not name and held.reason != found.reason)):
            told.append(Notice("Warning", name or found.reason, found.message))
    return tuple(told)
