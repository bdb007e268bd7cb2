"""Backups of a database: asked for, listed, downloaded, deleted."""

from __future__ import annotations

import secrets
from datetime import timedelta

from postbase_operator.api.backup import ORIGIN_LABEL, Backup, BackupOrigin
from postbase_operator.api.pitr_restore import PitrRestore
from postbase_operator.api.policies import BackupMethod
from postbase_operator.api.project import Project
from postbase_operator.api.runs import RunPhase
from postbase_operator.gateway import bodies, lists, rendering
from postbase_operator.gateway.call import Call, Found
from postbase_operator.gateway.databases import refuse_unready
from postbase_operator.gateway.downloads import LINK
from postbase_operator.gateway.held import Held
from postbase_operator.gateway.plans import check_days
from postbase_operator.gateway.problems import Code, Problem, no_backup
from postbase_operator.gateway.rendering import database_status
from postbase_operator.gateway.route import Answer
from postbase_operator.gateway.shapes import DatabaseStatus, Deleting, Download
from postbase_operator.gateway.writes import Concern, object_name, refuse_managed
from postbase_operator.kube.kinds import BACKUP, PITR_RESTORE

GIBIBYTE = 1 << 30


def shown(held: Held) -> bytes:
    def render(held: Held) -> bytes:
        model = Backup.model_validate_json(held.raw)
        return rendering.backup(model).model_dump_json().encode()

    return lists.fragment(held, render)


def of_this_life(call: Call, found: Found) -> list[Held]:
    """Those of this very database: one before it may have had its name."""
    made = found.held.created
    all_of_it = call.index.under(BACKUP, found.held.namespace, found.held.name)
    return all_of_it[: lists.first_before(all_of_it, (made, ""))]


async def list_backups(call: Call) -> Answer:
    """Base backups of PITR only where they are asked for: they cannot be downloaded."""
    found, asked = await call.database(), call.query(bodies.BackupList)
    all_of_it = asked.include == "base"
    held = of_this_life(call, found)
    return lists.page("backups", held, asked, shown, lambda each: all_of_it or not each.physical)


async def find(call: Call) -> tuple[Found, Held]:
    found = await call.database()
    held = await call.backup(found.held)
    if held.created < found.held.created:
        raise no_backup()
    return found, held


async def get_backup(call: Call) -> Answer:
    _, held = await find(call)
    return Answer(shown(held))


async def create_backup(call: Call) -> Answer:
    found, body = await call.database(), call.body(bodies.NewBackup)
    refuse_unready(found.held)
    refuse_while_restoring(call, found)
    if database_status(found.model) is not DatabaseStatus.RUNNING:
        raise Problem(Code.DATABASE_NOT_READY, "The database does not run yet", retry_after=5)
    limits = call.who.limits
    if body.retention_days is not None:
        check_days(body.retention_days, limits.backup_days, "retention_days")
    check_space(found.project_model, limits.backup_gib)
    days = {} if body.retention_days is None else {"retentionDays": body.retention_days}
    held = await call.writer.create(
        BACKUP,
        found.held.namespace,
        object_name(BACKUP, found.held.uid, call.origin.idempotency_key or secrets.token_hex(16)),
        {"databaseRef": {"name": found.held.name}, "method": "Logical", **days},
        call.origin,
        labels={ORIGIN_LABEL: BackupOrigin.MANUAL},
    )
    call.ids["backup"] = held.id
    return Answer(shown(held), 201, {"Location": f"{_place(found)}/backups/{held.id}"})


def _place(found: Found) -> str:
    return f"/projects/{found.project.id}/databases/{found.held.display}"


def check_space(project: Project, gib: int) -> None:
    if (project.status.backup_bytes or 0) >= gib * GIBIBYTE:
        raise Problem(
            Code.PLAN_LIMIT_EXCEEDED, f"The plan has {gib} GiB of backups: delete some first"
        )


def running_restores(call: Call, found: Found) -> list[PitrRestore]:
    held = call.index.under(PITR_RESTORE, found.held.namespace, found.held.name)
    models = [PitrRestore.model_validate_json(each.raw) for each in held if not each.deleting]
    return [each for each in models if not each.is_done() and not each.spec.dry_run]


def refuse_while_restoring(call: Call, found: Found) -> None:
    if running_restores(call, found):
        raise Problem(
            Code.OPERATION_IN_PROGRESS, "A restore of this database is under way", retry_after=15
        )


async def download(call: Call) -> Answer:
    found, held = await find(call)
    model = Backup.model_validate_json(held.raw)
    if model.spec.method is BackupMethod.PHYSICAL:
        raise Problem(Code.BACKUP_NOT_READY, "A base backup is many objects: restore it instead")
    key = model.status.object_key
    if model.status.phase is not RunPhase.COMPLETED or key is None:
        raise Problem(Code.BACKUP_NOT_READY, "The backup is not completed", retry_after=5)
    # Before the link is made: it must not be said to live longer than it does.
    until = call.services.now() + LINK - timedelta(seconds=1)
    name = f"{found.held.display}-{held.id}.dump.gz"
    link = await call.services.stores.link(found.held, key, name)
    return Answer(Download(download_url=link, expires_at=until.replace(microsecond=0)))


async def delete_backup(call: Call) -> Answer:
    found, held = await find(call)
    refuse_managed(held)
    refuse_needed(call, found, held)
    if not held.deleting:
        # Else the bytes would stay: Backups are kept by default.
        changed = await call.writer.change(
            held, Concern.DELETION, call.origin, {"deletionPolicy": "Delete"}, {}
        )
        await call.writer.delete(changed)
    return Answer(Deleting(id=held.id))


def refuse_needed(call: Call, found: Found, held: Held) -> None:
    """Raises BACKUP_IN_USE: a restore reads it, or the recovery window begins with it."""
    for restore in running_restores(call, found):
        reference = restore.spec.source.backup_ref
        if reference is not None and reference.name == held.name:
            raise Problem(Code.BACKUP_IN_USE, "A restore reads this backup", retry_after=15)
    db = found.model
    if held.physical and db.pitr_policy(found.project_model.spec.defaults).enabled:
        raise Problem(Code.BACKUP_IN_USE, "The recovery window needs this base backup")
