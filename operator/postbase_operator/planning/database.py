"""The plan of one Database: from what is wanted and what is seen to steps and a status. PURE.

Level-triggered: the same function serves a first sight, a change, a child's event and a slow
resync. It asks for the whole workload each time; the platform leaves alone what is so already.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from postbase_operator.api.conditions import ConditionType, is_true
from postbase_operator.api.database import Database, DatabaseStatus
from postbase_operator.api.quantity import whole_bytes
from postbase_operator.api.upkeep import DeletionPolicy, NodeLoss
from postbase_operator.planning import beginning_logical, upgrade
from postbase_operator.planning import plan as steps
from postbase_operator.planning.archiving_outlook import (
    ArchivingOutlook,
    archiving_outlook,
    is_ready_no_more,
)
from postbase_operator.planning.beginning import begins_with_backup, plan_beginning
from postbase_operator.planning.beginning_archive import begins_with_archive, plan_from_archive
from postbase_operator.planning.database_backups import outlook
from postbase_operator.planning.filling import left_halfway, orphans
from postbase_operator.planning.judgement import (
    DISK_FULL,
    Exit,
    Outlook,
    Verdict,
    hesitates,
    is_lost,
    judge,
    reconciling,
    switching,
)
from postbase_operator.planning.loading import leftovers
from postbase_operator.planning.next_look import SECRETS_AGAIN, SOON, STOP_AGAIN, next_look
from postbase_operator.planning.observed import (
    Observed,
    Process,
    ProcessState,
    Server,
    Volume,
)
from postbase_operator.planning.plan import Plan, Step
from postbase_operator.planning.receiver_restart import receiver_restart
from postbase_operator.planning.refusal import Context, refusal
from postbase_operator.planning.restart import request, restart
from postbase_operator.planning.restore_done import remember
from postbase_operator.planning.restore_recovery import holds
from postbase_operator.planning.rotation import rotation
from postbase_operator.planning.status import finish

__all__ = ["Context", "plan_database"]

ANSWER_AGAIN = 2.0
"""Seconds until a server that gave no answer is asked again."""


def plan_database(db: Database, seen: Observed, context: Context) -> Plan[DatabaseStatus]:
    refused = refusal(db, seen, context)
    if refused is not None:
        if seen.process.state is ProcessState.RUNNING:  # it serves on, as it was
            refused = replace(refused, phase="Running")
        return finish(db, seen, refused, context.now, requeue_after=SECRETS_AGAIN)
    restoring = _restoring(db, seen, context)
    if restoring is not None:
        return restoring
    if is_true(db.status.conditions, ConditionType.READY) and hesitates(seen, context.now):
        return Plan(db.status, requeue_after=ANSWER_AGAIN)
    archiving = archiving_outlook(db, seen, context)
    if archiving.wish.synchronous:
        seen = replace(seen, wanted_revision=seen.synchronous_revision)
    verdict = _with_archiving(
        db, archiving, judge(seen, context.now, paused=db.spec.paused), context
    )
    verdict, loads, loads_again = beginning_logical.begin(db, seen, verdict, context.now)
    waiting = restart(db, seen, context.now)
    todo = list(_steps(db, seen, archiving, context.now))
    if waiting.due and not db.spec.paused:
        todo.append(steps.RestartProcess(seen.process.identity))
    if is_lost(seen.process, context.now) and db.spec.on_node_loss is NodeLoss.REPLACE:
        todo.append(steps.AbandonProcess(seen.process.identity))
    answers = _answers(db, seen)
    backups = outlook(db, context.backups, context.defaults, context.now, answers=answers)
    todo += backups.steps
    todo += archiving.steps if answers else ()
    todo += loads
    own = db.metadata.uid if beginning_logical.is_awaited(db, seen) else ""
    own = own if verdict.outlook is not Outlook.STALLED else ""
    todo += leftovers(seen, context.restores, own, context.now)
    todo += orphans(seen, context.restores)
    todo += left_halfway(seen, context.restores)
    todo += receiver_restart(db)
    runs = remember(backups.finished_runs, context.restores)
    backups = replace(backups, finished_runs=runs)
    again = next_look(db, seen, todo, context.now)
    if request(db) is not None:
        again = max(SOON, min(again, SOON))  # written down first, then done
    moments = [each for each in (waiting.opens_at, backups.again) if each is not None]
    waits = [max(SOON, (moment - context.now).total_seconds()) for moment in moments]
    if loads_again is not None:
        waits.append(max(SOON, loads_again))
    again = min(again, *waits, archiving.again or again)
    return finish(
        db,
        seen,
        verdict,
        context.now,
        todo,
        requeue_after=again,
        backups=backups,
        archiving=archiving,
    )


def _answers(db: Database, seen: Observed) -> bool:
    return seen.server is not None and seen.server.access_right and not db.spec.paused


def _with_archiving(
    db: Database, archiving: ArchivingOutlook, verdict: Verdict, context: Context
) -> Verdict:
    """A database whose archiving has been down for long is not quietly Ready."""
    if verdict.outlook is not Outlook.READY:
        return verdict
    told = archiving.conditions(db.status.conditions, context.now, db.metadata.generation)
    why = is_ready_no_more(db, told, context.now)
    return reconciling("Running", "ArchivingFailing", why) if why else verdict


def _restoring(db: Database, seen: Observed, context: Context) -> Plan[DatabaseStatus] | None:
    """It does not serve for now: it begins with what another one left, or rests for a restore."""
    if begins_with_backup(db, seen):
        return plan_beginning(db, seen, context)
    if begins_with_archive(db, seen):
        return plan_from_archive(db, seen, context)
    return _rest(db, seen, context) if holds(context.restores) else None


def _rest(db: Database, seen: Observed, context: Context) -> Plan[DatabaseStatus]:
    """A restore has PostgreSQL stopped, and tells when it is over."""
    current = seen.current
    todo: list[Step] = []
    if current is not None:
        image = upgrade.pinned(db, current)
        wish = archiving_outlook(db, seen, context).wish  # the receiver has its last part to do
        todo.append(
            steps.ApplyWorkload(
                current.name, current.system_id, image, archiving=wish, stopped=True
            )
        )
    verdict = reconciling("Restoring", "Restoring", "PostgreSQL is stopped for a restore in place")
    return finish(db, seen, verdict, context.now, todo, requeue_after=STOP_AGAIN)


def _steps(db: Database, seen: Observed, archiving: ArchivingOutlook, now: datetime) -> list[Step]:
    todo: list[Step] = [steps.LabelVolume(each.name) for each in seen.volumes if not each.labelled]
    current = seen.current
    adopted = seen.adoptable if current is None else None
    if adopted is not None:
        return [steps.AdoptVolume(adopted.name)]
    if seen.server is None:
        todo.append(steps.EnsureSecrets(first=current is None))
    if current is None:
        return [*todo, steps.CreateVolume(seen.highest_generation + 1)]
    workload = steps.ApplyWorkload(
        current.name, current.system_id, upgrade.pinned(db, current), archiving.wish
    )
    todo += archiving.around.before
    if switching(seen):
        todo.append(workload)
        running = seen.process.state is not ProcessState.STOPPING
        return [*todo, steps.RestartProcess(seen.process.identity)] if running else todo
    if seen.server is not None:
        todo += _remember(db, seen.server, seen, current)
    todo += upgrade.begin(db, current, seen.process)
    todo += [workload, *archiving.around.after]
    if seen.server is not None and not db.spec.paused:
        todo += _server_steps(db, seen.server, seen)
        todo += rotation(db, seen.server, now)
    if _is_stuck(db, seen):
        todo.append(steps.ReplaceProcess())
    todo += _upkeep(seen.process)
    if whole_bytes(db.spec.storage.size) > current.requested_bytes:
        # Last: a storage class that cannot grow refuses, and must hold up nothing else.
        todo.append(steps.GrowVolume(current.name))
    return todo


def _remember(db: Database, server: Server, seen: Observed, current: Volume) -> list[Step]:
    """What the volume has to know of its own data before anything else is built on it."""
    system_id = "" if current.system_id else server.facts.system_id
    image, tag = upgrade.learnt(db, current, seen.process)
    bound = current.capacity_bytes > 0  # before, there is no volume that could be kept
    keep = bound and not current.kept and db.spec.deletion_policy is not DeletionPolicy.DELETE
    if not (system_id or image or keep):
        return []
    return [steps.RecordOrigin(current.name, system_id, image, tag, keep)]


def _server_steps(db: Database, server: Server, seen: Observed) -> list[Step]:
    todo: list[Step] = []
    awaited = beginning_logical.is_awaited(db, seen)
    if awaited and not server.roles_right:
        todo.append(steps.SetUpAccess(with_database=False))
    elif not awaited and not server.access_right:
        todo.append(steps.SetUpAccess())
    elif server.missing_extensions:
        todo.append(steps.CreateExtensions(server.missing_extensions))
    facts, wanted = server.facts, seen.wanted_revision
    if facts.mounted_revision != wanted:
        if seen.process.config_revision != wanted:
            todo.append(steps.PokeConfig(wanted))
    elif facts.loaded_revision != wanted or facts.certificate_renewed:
        todo.append(steps.ReloadConfig())
    return todo


def _upkeep(process: Process) -> list[Step]:
    """What a running database gets without a restart."""
    todo: list[Step] = []
    if process.state is ProcessState.RUNNING:
        if process.size_waits:
            todo.append(steps.ResizeProcess())
        if process.sidecar_waits:
            todo.append(steps.UpgradeSidecar())
    return todo


def _is_stuck(db: Database, seen: Observed) -> bool:
    """PostgreSQL does not run in it, and a new one would be another: nothing is lost by it.

    A StatefulSet that is updated on delete never does this by itself, and the kubelet waits up to
    five minutes between two attempts.
    """
    process = seen.process
    waits = process.waiting_changes or process.size_waits or process.sidecar_waits
    outdated = process.outdated and bool(waits)
    if process.state is ProcessState.WAITING:
        return outdated
    if process.state is not ProcessState.FAILED:
        return False
    refused = process.exit_code == Exit.PARAMETERS_REJECTED
    mended = refused and seen.wanted_revision not in process.message
    return outdated or mended or _has_room_again(db, seen)


def _has_room_again(db: Database, seen: Observed) -> bool:
    """The volume was full and has grown since it was last told of."""
    told, now = db.status.volume, seen.current
    if DISK_FULL not in seen.process.message or told is None or now is None:
        return False
    return now.capacity_bytes > whole_bytes(told.capacity or "0")
