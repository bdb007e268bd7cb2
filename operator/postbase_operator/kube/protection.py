"""The label of namespaces that hold a protected Database: an admission policy refuses to delete
those. Deleting a namespace goes round the protection of what is in it.

Needs cluster-wide rights; without them the protection ends at the Database, and the volume, which
is kept by its reclaim policy.
"""

from __future__ import annotations

import logging
import time

from postbase_operator.api.database import Database
from postbase_operator.desired.names import LABEL_PROTECTED
from postbase_operator.errors import Denied
from postbase_operator.kube.apply import MANAGER
from postbase_operator.kube.cache import Cache, place_of
from postbase_operator.kube.kinds import DATABASE, NAMESPACE, Body
from postbase_operator.kube.refusals import NotFound
from postbase_operator.kube.session import Session

logger = logging.getLogger(__name__)
LOOK_AGAIN = 600.0
"""Seconds for which a namespace's label counts as known."""


class Protection:
    """Keeps the label while any Database in the namespace asks for it."""

    def __init__(self, api: Session, cache: Cache, *, everywhere: bool) -> None:
        self._api = api
        self._cache = cache
        self._may = everywhere
        self._known: dict[str, tuple[bool, float]] = {}

    async def keep(self, db: Database) -> None:
        if not self._may:
            return
        namespace = db.metadata.namespace
        wanted = self._is_wanted(namespace)
        held, at = self._known.get(namespace, (None, 0.0))
        if held is wanted and time.monotonic() - at < LOOK_AGAIN:
            return
        try:
            await self._set(namespace, wanted)
        except Denied as error:
            logger.warning("namespaces cannot be protected", extra={"error": str(error)})
            self._may = False
        except NotFound:
            self._known.pop(namespace, None)
        else:
            self._known[namespace] = wanted, time.monotonic()

    def _is_wanted(self, namespace: str) -> bool:
        return any(
            place_of(body)[0] == namespace
            and body["spec"].get("deletionProtection")
            and "deletionTimestamp" not in body["metadata"]
            for body in self._cache.all(DATABASE)
        )

    async def _set(self, namespace: str, wanted: bool) -> None:
        live = await self._api.get(NAMESPACE, None, namespace)
        held = (live["metadata"].get("labels") or {}).get(LABEL_PROTECTED)
        if wanted and held != "true":
            await self._label(namespace, "true")
        elif not wanted and held is not None and _is_ours(live):
            await self._label(namespace, None)

    async def _label(self, namespace: str, value: str | None) -> None:
        patch: Body = {"metadata": {"labels": {LABEL_PROTECTED: value}}}
        await self._api.merge(NAMESPACE, None, namespace, patch, MANAGER)


def _is_ours(live: Body) -> bool:
    """Whether we put the label there; one that a person or Git has put there is theirs."""
    return any(
        entry["manager"] == MANAGER
        and f"f:{LABEL_PROTECTED}"
        in entry.get("fieldsV1", {}).get("f:metadata", {}).get("f:labels", {})
        for entry in live["metadata"].get("managedFields") or []
    )
