"""A new Database that begins with an archive: of one that is gone, or of one that lives. PURE."""

from __future__ import annotations

from dataclasses import replace

from postbase_operator.api.database import Database, DatabaseStatus
from postbase_operator.planning import plan as steps
from postbase_operator.planning.archived import Offer, task_of
from postbase_operator.planning.backup_observed import RunState
from postbase_operator.planning.beginning import PHASE
from postbase_operator.planning.filling import Filling, filling, is_given_up
from postbase_operator.planning.judgement import Verdict, reconciling, stalled
from postbase_operator.planning.observed import Observed
from postbase_operator.planning.plan import Plan, Step
from postbase_operator.planning.refusal import Context
from postbase_operator.planning.status import finish

FIELD = "spec.bootstrap"
WAITING_AGAIN = 5.0
GIVEN_UP_AGAIN = 300.0
"""Seconds: what changes it is an edit or a deletion, which is an event."""


def begins_with_archive(db: Database, seen: Observed) -> bool:
    """Only where there is no volume that serves: what bootstrap says is ignored afterwards."""
    wanted = db.spec.bootstrap
    asked = wanted is not None and (wanted.restore is not None or wanted.latest is not None)
    return asked and seen.current is None and db.spec.adopt_volume is None


def needs_offer(db: Database, seen: Observed) -> bool:
    """The archive is asked where a fill is to be begun, and not once all is given up: it takes many
    requests."""
    if not begins_with_archive(db, seen):
        return False
    fill = seen.fill
    return fill is None or (fill.job.state is RunState.FAILED and not is_given_up(fill.job))


def plan_from_archive(db: Database, seen: Observed, context: Context) -> Plan[DatabaseStatus]:
    """The volume is made, filled and recovered; once it is promoted the Database is like any."""
    now, uid, offer = context.now, db.metadata.uid, seen.source_archive
    hindrance = _hindrance(db, offer) if needs_offer(db, seen) else None
    if hindrance is not None:
        return finish(db, seen, hindrance, now, requeue_after=WAITING_AGAIN)
    plan = offer.plan if offer is not None else None
    task = task_of(plan, uid, in_place=False) if plan is not None else None
    state = filling(seen, uid, (plan.object_key or "") if plan is not None else "", now, task)
    todo: list[Step] = [steps.EnsureSecrets(first=not seen.volumes), *state.todo]
    if state.failed:
        verdict = stalled(state.failed, f"The archive could not be restored: {state.message}")
        return finish(db, seen, verdict, now, todo, requeue_after=GIVEN_UP_AGAIN)
    if state.ready is not None:
        todo.append(steps.PromoteVolume(state.ready.name, state.system_id, uid))
    verdict = _told(state, plan is not None and plan.last_commit_time is not None, offer)
    return finish(db, seen, verdict, now, todo, requeue_after=state.again)


def _told(state: Filling, dated: bool, offer: Offer | None) -> Verdict:
    said = reconciling(PHASE, state.step.value, state.message or "The volume is whole")
    plan = offer.plan if offer is not None else None
    if dated and plan is not None and plan.last_commit_time is not None:
        last = plan.last_commit_time.isoformat().replace("+00:00", "Z")
        return replace(said, message=f"{said.message}; the last commit will be of {last}")
    return said


def _hindrance(db: Database, offer: Offer | None) -> Verdict | None:
    """What is in the way: for a moment, or until a person changes something."""
    if offer is None:
        return reconciling("Pending", "Pending", f"{FIELD}: the archive has not been asked yet")
    if offer.plan is None:
        if offer.passing:
            return reconciling("Pending", "WaitingForArchive", f"{FIELD}: {offer.message}")
        return stalled(offer.reason, f"{FIELD}: {offer.message}")
    major = offer.version.split(".")[0]
    if db.spec.postgres_version is not None and major != db.spec.postgres_version:
        why = f"{FIELD}: the archive is of PostgreSQL {major}: set spec.postgresVersion to it"
        return stalled("VersionMismatch", why)
    return None
