"""Point-in-time recovery: switched on and off, its window, its receiver, its log."""

from __future__ import annotations

from datetime import datetime

from postbase_operator.api.database import Database
from postbase_operator.api.database_spec import Provider
from postbase_operator.api.database_status import PitrStatus, Receiver
from postbase_operator.api.project import Project
from postbase_operator.archive.keys import Archive
from postbase_operator.archive.lsn import SEGMENT_SIZE
from postbase_operator.archive.receiver import ReceiverReport
from postbase_operator.errors import NotReady, Unavailable
from postbase_operator.gateway import bodies, rendering, shapes
from postbase_operator.gateway.call import Call, Found
from postbase_operator.gateway.databases import refuse_unready
from postbase_operator.gateway.downloads import SEGMENT_NAME
from postbase_operator.gateway.plans import PITR_DAYS, check_days
from postbase_operator.gateway.problems import Code, Problem, invalid, unavailable
from postbase_operator.gateway.route import Answer
from postbase_operator.gateway.writes import Concern, refuse_managed
from postbase_operator.kube.kinds import BACKUP

WAL_PAGE = 500
REQUEST_RESTART = "postbase.sh/request-restart-receiver"
OFF = shapes.PitrConfig(
    enabled=False, base_backup_id=None, retention_days=None, recovery_window=None
)


def is_enabled(db: Database, project: Project) -> bool:
    return db.pitr_policy(project.spec.defaults).enabled


def refuse_disabled(db: Database, project: Project) -> None:
    if not is_enabled(db, project):
        raise Problem(Code.PITR_NOT_ENABLED, "PITR is not enabled for this database")


async def enabled(call: Call) -> tuple[Found, Database]:
    """Raises PITR_NOT_ENABLED."""
    found = await call.database()
    db = found.model
    refuse_disabled(db, found.project_model)
    return found, db


def base_backup_id(call: Call, db: Database) -> str | None:
    reference = db.status.pitr.base_backup_ref if db.status.pitr is not None else None
    if reference is None:
        return None
    held = call.index.named(BACKUP, db.metadata.namespace, reference.name)
    return held.id if held is not None else None


async def config(call: Call) -> Answer:
    found = await call.database()
    db, project = found.model, found.project_model
    if not is_enabled(db, project):
        return Answer(OFF)
    window = await window_of(call, db)
    return Answer(
        shapes.PitrConfig(
            enabled=True,
            base_backup_id=base_backup_id(call, db),
            retention_days=db.pitr_policy(project.spec.defaults).retention_days,
            recovery_window=shapes.RecoveryWindow(**{"from": window.from_, "to": window.to})
            if window.from_ is not None
            else None,
        )
    )


async def enable(call: Call) -> Answer:
    """Again, too: then it changes the retention."""
    found, body = await call.database(), call.body(bodies.EnablePitr)
    refuse_managed(found.held)
    refuse_unready(found.held)
    days = body.retention_days or PITR_DAYS
    check_days(days, call.who.limits.pitr_days, "retention_days")
    held = await call.writer.change(
        found.held,
        Concern.PITR,
        call.origin,
        {"pitr": {"enabled": True, "retentionDays": days}},
        {},
    )
    db = Database.model_validate_json(held.raw)
    receiver = db.status.pitr.receiver if db.status.pitr is not None else None
    return Answer(
        shapes.PitrEnabled(
            base_backup_id=base_backup_id(call, db),
            wal_receiver_status=rendering.receiver_state(receiver.state if receiver else None),
        ),
        202,
    )


async def disable(call: Call) -> Answer:
    found = await call.database()
    refuse_managed(found.held)
    refuse_unready(found.held)
    if is_enabled(found.model, found.project_model):
        await call.writer.change(
            found.held, Concern.PITR, call.origin, {"pitr": {"enabled": False}}, {}
        )
    return Answer(shapes.PitrDisabled(), 202)


# -- the window ------------------------------------------------------------------------------------


async def recovery_window(call: Call) -> Answer:
    _, db = await enabled(call)
    return Answer(await window_of(call, db))


async def window_of(call: Call, db: Database) -> shapes.FullWindow:
    """As the status has it, and its end as the receiver says at this moment."""
    pitr = db.status.pitr
    window = pitr.recovery_window if pitr is not None else None
    begin, until = (window.from_, window.to) if window is not None else (None, None)
    latest = pitr.latest_wal_time if pitr is not None else None
    report = await asked(call, db) if begin is not None else None
    if report is not None:
        until = newest(until, report.covered_until, report.last_commit_at)
        latest = newest(latest, report.last_commit_at)
    return shapes.FullWindow(
        **{"from": begin},
        to=until,
        base_backup_time=pitr.base_backup_time if pitr is not None else None,
        latest_wal_time=latest,
    )


def newest(*moments: datetime | None) -> datetime | None:
    return max((each for each in moments if each is not None), default=None)


async def asked(call: Call, db: Database) -> ReceiverReport | None:
    """What the receiver says; None where it cannot be asked."""
    try:
        return await call.services.sidecars.report(db)
    except (Unavailable, NotReady):
        return None


# -- the receiver ----------------------------------------------------------------------------------


async def receiver_status(call: Call) -> Answer:
    _, db = await enabled(call)
    return Answer(await receiver(call, db))


async def receiver(call: Call, db: Database) -> shapes.Receiver:
    report = await asked(call, db)
    if report is not None:
        return rendering.live_receiver(report, call.services.now())
    pitr = db.status.pitr
    return rendering.held_receiver(
        pitr.receiver if pitr is not None else None,
        pitr.observed_at if pitr is not None else None,
    )


async def restart_receiver(call: Call) -> Answer:
    """Of a sidecar by its own port; on Railway, where nobody reaches it, by an annotation that
    counts once a value."""
    found, db = await enabled(call)
    before = await receiver(call, db)
    if db.spec.provider is Provider.RAILWAY:
        note = {REQUEST_RESTART: call.origin.request_id}
        await call.writer.change(found.held, Concern.RECEIVER, call.origin, {}, note)
    else:
        try:
            await call.services.sidecars.restart(db)
        except (Unavailable, NotReady) as error:
            raise unavailable("The WAL receiver cannot be reached") from error
    status = {"status": shapes.ReceiverStatus.RESTARTING}
    return Answer(before.model_copy(update=status), 202)


async def list_wal(call: Call) -> Answer:
    """A page of whole segments, the newest first, and on along the timelines that the log came
    from. Totals are the receiver's counters."""
    found, db = await enabled(call)
    asked_for = call.query(bodies.Paged)
    (last, total), archive = await archived(call, db), db.status.archive
    begin = cursor_of(asked_for.cursor) or last
    if begin is None or archive is None or archive.incarnation is None:
        empty = shapes.WalArchives(
            archives=[], total_count=total, total_size_bytes=total * SEGMENT_SIZE
        )
        return Answer(empty)
    count = min(asked_for.limit, WAL_PAGE)
    place = Archive(db.metadata.uid, archive.incarnation)
    page = await call.services.stores.segments(found.held, place, begin, count)
    answer = shapes.WalArchives(
        archives=[
            shapes.WalArchive(filename=each.name, size_bytes=SEGMENT_SIZE, archived_at=each.at)
            for each in page.segments
        ],
        total_count=total,
        total_size_bytes=total * SEGMENT_SIZE,
        next_cursor=page.following,
    )
    return Answer(answer)


async def archived(call: Call, db: Database) -> tuple[str | None, int]:
    """The newest whole segment in the archive, and how many came there since it was switched on."""
    report = await asked(call, db)
    if report is not None:
        return report.last_segment, report.segments_archived
    held = (db.status.pitr or PitrStatus()).receiver or Receiver()
    return held.last_wal_file, held.segments_archived or 0


def cursor_of(cursor: str | None) -> str | None:
    """The segment that the page begins with; None for the first page."""
    if cursor is None:
        return None
    try:
        int(cursor, 16)
    except ValueError:
        raise invalid("cursor: take it from next_cursor of the page before") from None
    if len(cursor) != SEGMENT_NAME or cursor != cursor.upper():
        raise invalid("cursor: take it from next_cursor of the page before")
    return cursor
