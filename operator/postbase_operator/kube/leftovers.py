"""Volumes that were left for a time, by a deleted Database or by a restore, and that time is over.

What is to go when stands on the volume itself: the Database that said so may be gone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import datetime

from postbase_operator.api.runs import RunPhase
from postbase_operator.desired import names
from postbase_operator.kube import observe as observing
from postbase_operator.kube.cache import Cache, Place, place_of
from postbase_operator.kube.kinds import DATABASE, PERSISTENT_VOLUME_CLAIM, PITR_RESTORE, Body
from postbase_operator.kube.session import Session
from postbase_operator.kube.volumes import Volumes
from postbase_operator.planning.observed import VolumeRole

logger = logging.getLogger(__name__)
NOT_SERVING = (VolumeRole.PREVIOUS.value, VolumeRole.FAILED.value)


class Leftovers:
    """Clears up; costs no request while there is nothing to clear."""

    def __init__(self, api: Session, cache: Cache, now: Callable[[], datetime]) -> None:
        self._cache = cache
        self._volumes = Volumes(api, cache)
        self._now = now

    async def clear(self) -> None:
        """Deletes what is overdue. Raises PostbaseError; the rest is the next round's."""
        for claim in list(self._overdue()):
            namespace, name = place_of(claim)
            told = {"object": f"PersistentVolumeClaim/{namespace}/{name}"}
            logger.info("a volume that was kept for a time goes", extra=told)
            await self._volumes.give_up(claim)

    def _overdue(self) -> Iterator[Body]:
        """Never one of a Database that is there and may need it."""
        alive = {body["metadata"]["uid"]: place_of(body) for body in self._cache.all(DATABASE)}
        for claim in self._cache.all(PERSISTENT_VOLUME_CLAIM):
            after = _moment(observing.annotation(claim, names.ANNOTATION_DELETE_AFTER))
            if after is None or after > self._now() or _is_going(claim):
                continue
            owner = alive.get(observing.annotation(claim, names.ANNOTATION_DATABASE_UID))
            if owner is None or self._is_spare(claim, owner):
                yield claim

    def _is_spare(self, claim: Body, owner: Place) -> bool:
        """It does not serve, another one does, and nothing is under way that may come back to it: a
        restored volume may turn out not to start, and an undo may just have chosen this one."""
        role = observing.annotation(claim, names.ANNOTATION_VOLUME_ROLE)
        if role not in NOT_SERVING or (role == VolumeRole.PREVIOUS.value and self._restores(owner)):
            return False
        uid = observing.annotation(claim, names.ANNOTATION_DATABASE_UID)
        return any(
            observing.annotation(each, names.ANNOTATION_VOLUME_ROLE) == VolumeRole.CURRENT.value
            and observing.annotation(each, names.ANNOTATION_DATABASE_UID) == uid
            and not _is_going(each)
            for each in self._cache.all(PERSISTENT_VOLUME_CLAIM)
        )

    def _restores(self, owner: Place) -> bool:
        """A restore in place of this Database has not ended."""
        return any(
            (place_of(body)[0], body["spec"]["databaseRef"]["name"]) == owner
            and "inPlace" in body["spec"]["target"]
            and not _has_ended(body)
            for body in self._cache.all(PITR_RESTORE)
        )


def _is_going(claim: Body) -> bool:
    return "deletionTimestamp" in claim["metadata"]


def _has_ended(run: Body) -> bool:
    phase = (run.get("status") or {}).get("phase")
    return phase is not None and RunPhase(phase).is_final


def _moment(text: str) -> datetime | None:
    """None for what cannot be read: nothing is deleted on a guess."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None
