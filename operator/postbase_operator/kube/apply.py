"""Server-side apply of what is desired, and silence where nothing differs.

A no-op apply still costs a request and may bump resourceVersion (kubernetes#121404), which would
wake us again. So an apply is skipped when two things hold: the hash of the intent equals the one
recorded on the object, AND every field that we own still has our value. The second half is what
mends an edit by hand.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel

from postbase_operator.api.quantity import parse_quantity
from postbase_operator.kube.kinds import Body, kind_of
from postbase_operator.kube.session import Refused, Session

MANAGER = "postbase-operator"
STATUS_MANAGER = "postbase-operator-status"
MENDER = "postbase-operator-mend"
INTENT = "postbase.sh/intent"


def body_of(model: BaseModel) -> Body:
    """A typed object as JSON for the API: camelCase, nothing that was not set."""
    body: Body = model.model_dump(mode="json", by_alias=True, exclude_none=True)
    return body


def intent_hash(body: Body) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]


async def apply(session: Session, desired: Body, live: Body | None, *, force: bool = True) -> Body:
    """Makes `live` what is desired; returns the object as it then is.

    Without `force` a field that somebody else has set otherwise is a Conflict.
    """
    fingerprint = intent_hash(desired)
    if live is not None and is_current(desired, live, fingerprint):
        return live
    meta = desired["metadata"]
    annotations = {**meta.get("annotations", {}), INTENT: fingerprint}
    marked = {**desired, "metadata": {**meta, "annotations": annotations}}
    try:
        return await session.apply(kind_of(desired), marked, MANAGER, force=force)
    except Refused:
        if live is None or "spec" not in desired:
            raise
    await _put_lists_back(session, desired)
    return await session.apply(kind_of(desired), marked, MANAGER, force=force)


async def _put_lists_back(session: Session, desired: Body) -> None:
    """Makes lists whole again whose items somebody's edit has given another key.

    An apply merges the ports of a Service by number: beside an edited 5433 it puts a second port of
    the same name, which the server refuses. A merge patch replaces lists whole. Whoever writes so
    owns the fields too and would keep those that we let go later: its entry is struck out again.
    """
    kind, meta = kind_of(desired), desired["metadata"]
    place = (kind, meta["namespace"], meta["name"])
    mended = await session.merge(*place, {"spec": desired["spec"]}, MENDER)
    entries = [e for e in mended["metadata"]["managedFields"] if e["manager"] != MENDER]
    version = mended["metadata"]["resourceVersion"]
    patch = {"metadata": {"managedFields": entries, "resourceVersion": version}}
    await session.merge(*place, patch, MENDER)


def is_current(desired: Body, live: Body, fingerprint: str) -> bool:
    recorded = live["metadata"].get("annotations", {}).get(INTENT)
    return recorded == fingerprint and holds(desired, live)


def holds(desired: Any, live: Any) -> bool:
    """True where every value in `desired` is in `live`; what live has beyond it is others'.

    Lists of named things (containers, ports, volumes) are matched by their key, since the server
    and other writers may add items; other lists must be equal. Quantities compare by value: the
    server rewrites 1024Mi as 1Gi.
    """
    if isinstance(desired, dict):
        if not isinstance(live, dict):
            return not desired and live is None
        return all(
            value == live.get(key) if key in ATOMIC else holds(value, live.get(key))
            for key, value in desired.items()
        )
    if isinstance(desired, list):
        return _list_holds(desired, live)
    if desired == live:
        return True
    if isinstance(desired, str) and isinstance(live, str):
        return _same_quantity(desired, live)
    return not desired and live is None  # the API drops false, 0 and "" on the way out


ATOMIC = ("selector", "nodeSelector", "matchLabels")
"""Maps that mean another thing with one key more; the API replaces them whole."""
MERGE_KEYS = ("name", "containerPort", "port", "mountPath", "key", "type")


def _list_holds(desired: list[Any], live: Any) -> bool:
    if not isinstance(live, list):
        return not desired and live is None
    key = _merge_key(desired)
    if key is None:
        return len(desired) == len(live) and all(map(holds, desired, live))
    found = {item.get(key): item for item in live if isinstance(item, dict)}
    return all(item[key] in found and holds(item, found[item[key]]) for item in desired)


def _merge_key(items: list[Any]) -> str | None:
    for key in MERGE_KEYS:
        values = [item.get(key) for item in items if isinstance(item, dict)]
        if items and None not in values and len(set(map(str, values))) == len(items):
            return key
    return None


def _same_quantity(left: str, right: str) -> bool:
    try:
        return parse_quantity(left) == parse_quantity(right)
    except ValueError:
        return False
