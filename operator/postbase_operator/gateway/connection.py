"""How a database is connected to and watched: its URL, its password's rotation, events, figures."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import quote

from postbase_operator.api.backup import Backup
from postbase_operator.api.database import Database
from postbase_operator.api.quantity import whole_bytes
from postbase_operator.errors import NotReady, PostbaseError, Unavailable
from postbase_operator.gateway import shapes
from postbase_operator.gateway.call import Call, Found
from postbase_operator.gateway.databases import refuse_unready
from postbase_operator.gateway.problems import Code, Problem, unavailable
from postbase_operator.gateway.rendering import database_status
from postbase_operator.gateway.route import Answer
from postbase_operator.gateway.writes import Concern
from postbase_operator.kube.kinds import BACKUP, CORE_EVENT, SECRET
from postbase_operator.kube.refusals import NotFound
from postbase_operator.kube.secret_data import decode

REQUEST_ROTATION = "postbase.sh/request-rotate"
MOST_EVENTS = 100
SERVES = (shapes.DatabaseStatus.RUNNING, shapes.DatabaseStatus.RESTORING)
NEEDED = ("host", "port", "dbname", "user", "password")


async def get_url(call: Call) -> Answer:
    """As the Secret has it at this moment: after a rotation and a restore, too."""
    found = await call.database()
    db = found.model
    reference = db.status.credentials_secret_ref
    if database_status(db) not in SERVES or reference is None:
        raise not_ready()
    try:
        secret = await call.services.session.get(SECRET, db.metadata.namespace, reference.name)
    except NotFound:
        raise not_ready() from None
    except PostbaseError as error:
        raise unavailable("The Kubernetes API does not answer") from error
    data = {key: value.decode() for key, value in decode(secret).items() if key in NEEDED}
    if not all(data.get(key) for key in NEEDED):
        raise not_ready()  # never an address that is half filled
    endpoint = db.status.endpoint
    host = (endpoint.host if endpoint else None) or data["host"]
    port = (endpoint.port if endpoint else None) or int(data["port"])
    return Answer(
        shapes.ConnectionUrl(
            host=host,
            port=port,
            database=data["dbname"],
            user=data["user"],
            connection_string=uri(host, port, data),
        )
    )


def uri(host: str, port: int, data: dict[str, str]) -> str:
    """With TLS required: the server has it, and a password must not cross a network without."""
    user, password, name = (quote(data[key], safe="") for key in ("user", "password", "dbname"))
    address = f"[{host}]" if ":" in host else host
    return f"postgresql://{user}:{password}@{address}:{port}/{name}?sslmode=require"


def not_ready() -> Problem:
    return Problem(Code.DATABASE_NOT_READY, "The database is not ready yet", retry_after=5)


async def rotate(call: Call) -> Answer:
    """By an annotation that counts once a value: on objects that GitOps owns, too."""
    found = await call.database()
    refuse_unready(found.held)
    value = call.origin.request_id
    await call.writer.change(
        found.held, Concern.ROTATION, call.origin, {}, {REQUEST_ROTATION: value}
    )
    return Answer(shapes.Rotation(request_id=value), 202)


async def list_events(call: Call) -> Answer:
    found = await call.database()
    name, namespace = found.held.name, found.held.namespace
    try:
        listing = await call.services.session.list(
            CORE_EVENT,
            namespace,
            fields=f"involvedObject.kind=Database,involvedObject.name={name}",
        )
    except PostbaseError as error:
        raise unavailable("The Kubernetes API does not answer") from error
    events = [event_of(body) for body in listing.items]
    events.sort(key=lambda event: event.at.timestamp() if event.at else 0.0, reverse=True)
    return Answer(shapes.Events(events=events[:MOST_EVENTS]))


def event_of(body: dict[str, Any]) -> shapes.Event:
    series = body.get("series") or {}
    at = series.get("lastObservedTime") or body.get("lastTimestamp") or body.get("eventTime")
    return shapes.Event(
        at=datetime.fromisoformat(at) if at else None,
        type=str(body.get("type", "Normal")).lower(),
        reason=str(body.get("reason", "")),
        message=str(body.get("message", "")),
        count=int(series.get("count") or body.get("count") or 1),
    )


async def metrics(call: Call) -> Answer:
    found = await call.database()
    db = found.model
    held = call.index.under(BACKUP, found.held.namespace, found.held.name)
    sizes = [Backup.model_validate_json(each.raw).status.size_bytes for each in held]
    capacity = db.status.volume.capacity if db.status.volume is not None else None
    lag, lag_bytes, received, at = await _archiving(call, found, db)
    return Answer(
        shapes.Metrics(
            observed_at=at,
            storage_capacity_bytes=whole_bytes(capacity) if capacity else None,
            backups=sum(size is not None for size in sizes),
            backup_bytes=sum(size or 0 for size in sizes),
            lag_seconds=lag,
            lag_bytes=lag_bytes,
            wal_bytes_received=received,
        )
    )


async def _archiving(
    call: Call, found: Found, db: Database
) -> tuple[float | None, int | None, int | None, datetime | None]:
    """Of the receiver itself, else as the status has it; nothing where PITR is off."""
    if not db.pitr_policy(found.project_model.spec.defaults).enabled:
        return None, None, None, None
    try:
        report = await call.services.sidecars.report(db)
    except (Unavailable, NotReady):
        pitr = db.status.pitr
        told = pitr.receiver if pitr is not None else None
        if pitr is None or told is None:
            return None, None, None, None
        return told.lag_seconds, told.lag_bytes, told.bytes_received, pitr.observed_at
    return report.lag_seconds, report.lag_bytes, report.bytes_received, call.services.now()
