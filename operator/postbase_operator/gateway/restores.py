"""Restores: of a backup or to a moment, in place or into a new database; planned, done, undone."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime, timedelta

from postbase_operator.api.backup import Backup
from postbase_operator.api.database import Database
from postbase_operator.api.pitr_restore import PitrRestore
from postbase_operator.api.runs import RunPhase
from postbase_operator.gateway import backups, bodies, lists, rendering
from postbase_operator.gateway.call import Call, Found
from postbase_operator.gateway.databases import check_count, refuse_unready
from postbase_operator.gateway.held import Held
from postbase_operator.gateway.pitr import refuse_disabled
from postbase_operator.gateway.problems import Code, Problem, invalid
from postbase_operator.gateway.route import Answer
from postbase_operator.gateway.shapes import PitrRestoreStarted, RestoreStarted
from postbase_operator.gateway.writes import object_name, taken
from postbase_operator.kube.kinds import BACKUP, DATABASE, PITR_RESTORE, Body

LATEST = "latest"
_DIGITS = re.compile(r"(\.\d{6})\d+")
SKEW = timedelta(seconds=5)
"""By which a client's clock may be before ours."""


async def restore_backup(call: Call) -> Answer:
    found, held = await backups.find(call)
    body = call.body(bodies.NewRestore)
    if Backup.model_validate_json(held.raw).status.phase is not RunPhase.COMPLETED:
        raise Problem(Code.BACKUP_NOT_READY, "The backup is not completed", retry_after=5)
    made = await _create(call, found, {"backupRef": {"name": held.name}}, body)
    model = PitrRestore.model_validate_json(made.raw)
    return _accepted(
        call,
        found,
        made,
        RestoreStarted(
            restore_id=made.id,
            status=rendering.run_status(model.status.phase),
            started_at=rendering.started(model),
        ),
    )


async def restore_to(call: Call) -> Answer:
    found, body = await call.database(), call.body(bodies.NewPitrRestore)
    db = found.model
    moment = moment_of(body.target_time)
    refuse_disabled(db, found.project_model)
    if moment is None:
        source: Body = {"latest": {}}
    else:
        check_window(db, moment, call.services.now())
        source = {"targetTime": rendering.moment(moment)}
    made = await _create(call, found, source, body)
    model = PitrRestore.model_validate_json(made.raw)
    return _accepted(
        call,
        found,
        made,
        PitrRestoreStarted(
            restore_id=made.id,
            target_time=rendering.target_time(model) or LATEST,
            status=rendering.run_status(model.status.phase),
            started_at=rendering.started(model),
        ),
    )


def _accepted(call: Call, found: Found, made: Held, data: RestoreStarted) -> Answer:
    call.ids["restore"] = made.id
    place = f"/projects/{found.project.id}/databases/{found.held.display}/restores/{made.id}"
    return Answer(data, 202, {"Location": place})


def moment_of(text: str) -> datetime | None:
    """None for `latest`. Its form is checked already; raises INVALID_REQUEST for no such day."""
    if text == LATEST:
        return None
    try:
        # Microseconds are what PostgreSQL counts; digits beyond them say nothing.
        return datetime.fromisoformat(_DIGITS.sub(r"\1", text.upper())).astimezone(UTC)
    except (ValueError, OverflowError):
        raise invalid(
            "target_time: a moment with its zone as 2026-01-25T14:30:00Z, or latest"
        ) from None


def check_window(db: Database, moment: datetime, now: datetime) -> None:
    """Raises TARGET_TIME_INVALID. What lies after the window's end but not in the future is for the
    operator to say: it waits until the archive has it."""
    if moment > now + SKEW:
        raise Problem(Code.TARGET_TIME_INVALID, "target_time lies in the future")
    pitr = db.status.pitr
    windows = [] if pitr is None else [pitr.recovery_window, *pitr.branches]
    begins = [each.from_ for each in windows if each is not None and each.from_ is not None]
    if not begins:
        raise Problem(
            Code.TARGET_TIME_INVALID, "Nothing can be restored yet: the first base backup is made"
        )
    if moment < min(begins):
        raise Problem(
            Code.TARGET_TIME_INVALID,
            f"target_time lies before the recovery window, which begins at "
            f"{rendering.moment(min(begins))}",
        )


async def _create(call: Call, found: Found, source: Body, body: bodies.NewRestore) -> Held:
    refuse_unready(found.held)
    key = call.origin.idempotency_key
    name = object_name(PITR_RESTORE, found.held.uid, key or secrets.token_hex(16))
    before = call.index.named(PITR_RESTORE, found.held.namespace, name)
    if before is None and not body.dry_run:
        backups.refuse_while_restoring(call, found)
    target: Body = {"inPlace": {}}
    if body.target_name is not None:
        if before is None:
            check_new(call, found, body.target_name)
        target = {"newDatabase": {"name": body.target_name}}
    spec: Body = {
        "databaseRef": {"name": found.held.name},
        "source": source,
        "target": target,
        **({"dryRun": True} if body.dry_run else {}),
    }
    return await call.writer.create(PITR_RESTORE, found.held.namespace, name, spec, call.origin)


def check_new(call: Call, found: Found, name: str) -> None:
    """The new database bears the name itself, as an object: so it must be free in the account."""
    namespace = found.held.namespace
    siblings = call.index.under(DATABASE, namespace, found.held.parent)
    in_the_account = call.index.named(DATABASE, namespace, name)
    if in_the_account is not None or any(held.display == name for held in siblings):
        raise taken(DATABASE)
    check_count(call.who.limits, siblings)


# -- reading ---------------------------------------------------------------------------------------


def shown(call: Call, held: Held) -> bytes:
    def render(held: Held) -> bytes:
        model = PitrRestore.model_validate_json(held.raw)
        return rendering.restore(model, backup_id(call, model)).model_dump_json().encode()

    return lists.fragment(held, render)


def backup_id(call: Call, model: PitrRestore) -> str | None:
    reference = model.spec.source.backup_ref
    if reference is None:
        return model.status.plan.backup_id if model.status.plan is not None else None
    held = call.index.named(BACKUP, model.metadata.namespace, reference.name)
    return held.id if held is not None else None


async def list_restores(call: Call) -> Answer:
    """All of them."""
    found = await call.database()
    held = call.index.under(PITR_RESTORE, found.held.namespace, found.held.name)
    return _listed(call, held)


async def list_pitr_restores(call: Call) -> Answer:
    """Readable where PITR is off by now, too."""
    found = await call.database()
    held = call.index.under(PITR_RESTORE, found.held.namespace, found.held.name)
    return _listed(call, [each for each in held if is_pitr(each)])


def is_pitr(held: Held) -> bool:
    """Keys of its source; within a text of somebody's the quotes would be escaped."""
    return b'"backupRef":' not in held.raw and b'"previous":' not in held.raw


def _listed(call: Call, held: list[Held]) -> Answer:
    return lists.page("restores", held, call.query(bodies.Paged), lambda each: shown(call, each))


async def get_restore(call: Call) -> Answer:
    found = await call.database()
    return Answer(shown(call, await call.restore(found.held)))


async def get_pitr_restore(call: Call) -> Answer:
    """Of either kind: what a backup's restore answers with can be polled here, too."""
    return await get_restore(call)
