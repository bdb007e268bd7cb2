"""Server-side apply of what is desired, and silence where nothing differs.

A no-op apply still costs a request and may bump resourceVersion (kubernetes#121404), which would
wake us again. So an apply is skipped when two things hold: the hash of the intent equals the one
recorded on the object, AND everything that we want is there as we want it. Where only the second
fails, somebody has edited the object by hand.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel

from postbase_operator.api.quantity import parse_quantity
from postbase_operator.kube.kinds import Body, kind_of
from postbase_operator.kube.refusals import Refused
from postbase_operator.kube.session import Session

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
    edited = live is not None and recorded(live) == fingerprint
    meta = desired["metadata"]
    annotations = {**meta.get("annotations", {}), INTENT: fingerprint}
    marked = {**desired, "metadata": {**meta, "annotations": annotations}}
    kind = kind_of(desired)
    if live is not None and edited:
        await _put_back(session, marked, live)
    try:
        return await session.apply(kind, marked, MANAGER, force=force)
    except Refused:
        if live is None or edited:
            raise
    # Our intent has changed and somebody's edit is in its way.
    await _put_back(session, marked, live)
    return await session.apply(kind, marked, MANAGER, force=force)


async def _put_back(session: Session, marked: Body, live: Body) -> None:
    """Undoes whatever others have done to what we want: replaces all but the metadata, whole.

    An apply alone cannot. It merges lists by key: beside an edited port 5433 it puts a second port
    of the same name, which the server refuses; beside a renamed container a second one on the same
    volume, which the server takes. Whoever replaces owns the fields, and would keep those that we
    let go later: our own apply is left as the only owner of what it says.
    """
    kind, meta = kind_of(marked), live["metadata"]
    wanted = marked["metadata"]
    kept = {name: meta[name] for name in ("finalizers", "ownerReferences") if name in meta}
    metadata = {
        **kept,
        "name": meta["name"],
        "namespace": meta["namespace"],
        "resourceVersion": meta["resourceVersion"],
        "labels": {**(meta.get("labels") or {}), **wanted.get("labels", {})},
        "annotations": {**(meta.get("annotations") or {}), **wanted.get("annotations", {})},
    }
    body = {**marked, "metadata": metadata}
    replaced = await session.replace(kind, meta["namespace"], body, MENDER)
    entries = [
        entry
        for entry in replaced["metadata"].get("managedFields") or []
        if entry["manager"] == MANAGER or entry.get("subresource")
    ]
    version = replaced["metadata"]["resourceVersion"]
    patch = {"metadata": {"managedFields": entries or [{}], "resourceVersion": version}}
    await session.merge(kind, meta["namespace"], meta["name"], patch, MENDER)


def is_current(desired: Body, live: Body, fingerprint: str) -> bool:
    return recorded(live) == fingerprint and holds(desired, live)


def recorded(live: Body) -> str:
    """The hash of the intent that was applied last."""
    return str((live["metadata"].get("annotations") or {}).get(INTENT, ""))


def holds(desired: Any, live: Any, *, exact: bool = True) -> bool:
    """True where every value in `desired` is in `live`; fields that live has beyond it are others'.

    Lists of named things (containers, ports, volumes) are matched by their key, in any order, and
    with `exact` must hold nothing else: injectors work on pods, so nobody has any business in the
    lists of our objects. Quantities compare by value: the server rewrites 1024Mi as 1Gi.
    """
    if isinstance(desired, dict):
        if not desired or not isinstance(live, dict):
            return not desired and not live
        return all(
            value == live.get(key)
            if key in ATOMIC
            else holds(value, live.get(key), exact=exact and key not in SHARED)
            for key, value in desired.items()
        )
    if isinstance(desired, list):
        return _list_holds(desired, live, exact)
    if desired == live:
        return True
    if isinstance(desired, str) and isinstance(live, str):
        return _same_quantity(desired, live)
    return False


ATOMIC = ("selector", "nodeSelector", "matchLabels", "podSelector", "namespaceSelector")
"""Maps that mean another thing with one key more; the API replaces them whole."""
SHARED = ("metadata",)
"""Others have a right to add to these: owners, finalizers."""
MERGE_KEYS = ("name", "containerPort", "port", "mountPath", "key", "type")


def _list_holds(desired: list[Any], live: Any, exact: bool) -> bool:
    if not isinstance(live, list):
        return not desired and live is None
    key = _merge_key(desired)
    if key is None:
        return len(desired) == len(live) and all(map(holds, desired, live))
    found = {item.get(key): item for item in live if isinstance(item, dict)}
    if exact and len(found) != len(desired):
        return False
    return all(
        item[key] in found and holds(item, found[item[key]], exact=exact) for item in desired
    )


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
