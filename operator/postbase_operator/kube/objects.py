"""What the operator writes to the custom resources themselves: finalizer, status, Events.

Never a spec, never a label: those are Git's.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from datetime import UTC, datetime

from postbase_operator.errors import Conflict, PostbaseError
from postbase_operator.kube.apply import STATUS_MANAGER
from postbase_operator.kube.cache import Cache
from postbase_operator.kube.kinds import EVENT, Body, Kind
from postbase_operator.kube.refusals import NotFound
from postbase_operator.kube.session import Session
from postbase_operator.planning.plan import Notice

logger = logging.getLogger(__name__)


async def add_finalizer(api: Session, cache: Cache, kind: Kind, body: Body, finalizer: str) -> None:
    await _set_finalizers(api, cache, kind, body, [*_finalizers(body), finalizer])


async def remove_finalizer(
    api: Session, cache: Cache, kind: Kind, body: Body, finalizer: str
) -> None:
    rest = [held for held in _finalizers(body) if held != finalizer]
    try:
        await _set_finalizers(api, cache, kind, body, rest)
    except NotFound:
        return


def _finalizers(body: Body) -> list[str]:
    return list(body["metadata"].get("finalizers") or [])


async def _set_finalizers(
    api: Session, cache: Cache, kind: Kind, body: Body, finalizers: list[str]
) -> None:
    """A merge patch replaces lists whole: conditional on the version that was read."""
    meta = body["metadata"]
    patch: Body = {
        "metadata": {"finalizers": finalizers, "resourceVersion": meta["resourceVersion"]}
    }
    live = await api.merge(kind, meta["namespace"], meta["name"], patch, STATUS_MANAGER)
    cache.put(kind, live)


async def write_status(
    api: Session, cache: Cache, kind: Kind, body: Body, status: Body, apart: Sequence[str] = ()
) -> bool:
    """Applies the whole status where it differs; True where it did. `apart`: fields of it that
    another of ours writes (add_to_status), which an old copy must not put back."""
    held, status = _without(body.get("status") or {}, apart), _without(status, apart)
    if held == status:
        return False
    meta = body["metadata"]
    intent: Body = {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        # The UID makes it this very object: one that was deleted and made anew is not meant.
        "metadata": {key: meta[key] for key in ("name", "namespace", "uid") if key in meta},
        "status": status,
    }
    try:
        live = await api.apply(kind, intent, STATUS_MANAGER, subresource="status")
    except (NotFound, Conflict):
        return False  # gone, or another by now; its own events will bring us back
    cache.answered(kind, live, "status")
    return True


def _without(status: Body, fields: Sequence[str]) -> Body:
    return {name: value for name, value in status.items() if name not in fields}


async def add_to_status(api: Session, kind: Kind, body: Body, field: Body, manager: str) -> None:
    """Beside what the object's own loop writes there, which keeps it. Raises NotFound or Conflict
    where it is gone, or another by now."""
    meta = body["metadata"]
    intent: Body = {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {key: meta[key] for key in ("name", "namespace", "uid")},
        "status": field,
    }
    await api.apply(kind, intent, manager, subresource="status")


async def post_event(api: Session, kind: Kind, body: Body, notice: Notice, identity: str) -> None:
    """An Event about the object; one per object, reason and second at most."""
    moment = datetime.now(UTC)
    meta = body["metadata"]
    seed = f"{meta['uid']}/{notice.reason}/{moment:%Y%m%d%H%M%S}"
    name = f"{meta['name']}.{hashlib.sha256(seed.encode()).hexdigest()[:16]}"
    event: Body = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": meta["namespace"]},
        "eventTime": moment.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "type": notice.type,
        "reason": notice.reason,
        "note": notice.message[:1000],
        "action": "Reconcile",
        "reportingController": "postbase.sh/operator",
        "reportingInstance": identity,
        "regarding": {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "namespace": meta["namespace"],
            "name": meta["name"],
            "uid": meta["uid"],
        },
    }
    try:
        await api.create(EVENT, meta["namespace"], event, STATUS_MANAGER)
    except PostbaseError as error:
        # Told already this second, a namespace that is going, an API server that is busy: the
        # condition says the same, and no reconcile may fail for an event.
        logger.info("an event was not posted", extra={"reason": notice.reason, "why": str(error)})
