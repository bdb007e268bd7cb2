"""Volumes that were left for a time, by a deleted Database or by a restore, and that time is over.

What is to go when stands on the volume itself: the Database that said so may be gone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import datetime

from postbase_operator.desired import names
from postbase_operator.kube import observe as observing
from postbase_operator.kube.cache import Cache, place_of
from postbase_operator.kube.kinds import DATABASE, PERSISTENT_VOLUME_CLAIM, Body
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
        """Never one of a Database that is there: it may have adopted it since."""
        alive = {body["metadata"]["uid"] for body in self._cache.all(DATABASE)}
        for claim in self._cache.all(PERSISTENT_VOLUME_CLAIM):
            after = _moment(observing.annotation(claim, names.ANNOTATION_DELETE_AFTER))
            owner = observing.annotation(claim, names.ANNOTATION_DATABASE_UID)
            role = observing.annotation(claim, names.ANNOTATION_VOLUME_ROLE)
            left = owner not in alive or role in NOT_SERVING
            going = "deletionTimestamp" in claim["metadata"]
            if after is not None and after <= self._now() and left and not going:
                yield claim


def _moment(text: str) -> datetime | None:
    """None for what cannot be read: nothing is deleted on a guess."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None
