"""All that runs on a Database's volume, brought to what it should be."""

from __future__ import annotations

from dataclasses import dataclass

from postbase_operator.api.database import Database
from postbase_operator.desired import images, workload
from postbase_operator.errors import Conflict
from postbase_operator.kube.apply import apply, body_of
from postbase_operator.kube.cache import Cache
from postbase_operator.kube.kinds import (
    NETWORK_POLICY,
    POD_DISRUPTION_BUDGET,
    STATEFUL_SET,
    Body,
    kind_of,
)
from postbase_operator.kube.ownership import is_owned, refuse_stranger
from postbase_operator.kube.refusals import Refused
from postbase_operator.kube.session import Session
from postbase_operator.planning.plan import ApplyWorkload
from postbase_operator.settings import Settings

SELECTING = (STATEFUL_SET, POD_DISRUPTION_BUDGET, NETWORK_POLICY)
"""They pick pods by labels that no other object may pick: on a stranger's, an apply without force
fails, so that nobody needs to ask first."""


@dataclass(frozen=True, slots=True)
class _Made:
    """Bodies, and what they were made of."""

    generation: int
    step: ApplyWorkload
    bodies: tuple[Body, ...]


class Workloads:
    """Each look asks for the whole workload, and most find it as it was: it is made once for a
    spec and a step. To make it took a fifth of the operator's CPU in a provision."""

    def __init__(self, api: Session, cache: Cache, settings: Settings) -> None:
        self._api = api
        self._cache = cache
        self._settings = settings
        self._made: dict[str, _Made] = {}

    async def bring(self, db: Database, step: ApplyWorkload) -> None:
        for body in self._bodies(db, step):
            self._cache.answered(kind_of(body), await self._apply(db, body), *body)

    def forget(self, db: Database) -> None:
        self._made.pop(db.metadata.uid, None)

    def _bodies(self, db: Database, step: ApplyWorkload) -> tuple[Body, ...]:
        """Nothing in them is of the Database's status, labels or annotations: its generation tells
        whether they are the same."""
        uid, generation = db.metadata.uid, db.metadata.generation
        held = self._made.get(uid)
        if held is not None and (held.generation, held.step) == (generation, step):
            return held.bodies
        if step.stopped:
            db = db.model_copy(update={"spec": db.spec.model_copy(update={"paused": True})})
        image = step.image or images.image(db, self._settings)
        made = workload.objects(
            db, step.volume, step.system_id, image, self._settings, step.archiving
        )
        bodies = tuple(body_of(each) for each in made)
        self._made[uid] = _Made(generation, step, bodies)
        return bodies

    async def _apply(self, db: Database, body: Body) -> Body:
        """The child as it should be. One that is not ours is refused, never taken over.

        Only our own are cached: what is not there may be a stranger's, and a forced apply would
        make an application's Service point at PostgreSQL.
        """
        kind, name = kind_of(body), body["metadata"]["name"]
        live = self._cache.get(kind, db.metadata.namespace, name)
        if live is not None and is_owned(live, db):
            return await apply(self._api, body, live)
        if live is None and kind in SELECTING:
            try:
                return await apply(self._api, body, None, force=False)
            except (Conflict, Refused):
                pass  # somebody's, or wrong in itself: the slow way tells which
        live = await self._api.find(kind, db.metadata.namespace, name)
        if live is not None and not is_owned(live, db):
            refuse_stranger(live, f"{kind.kind} {name}", db)
        return await apply(self._api, body, live)
