"""A volume that was kept for a time goes, but never while its Database may need it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, cast

from postbase_operator.desired import names
from postbase_operator.kube.cache import Cache
from postbase_operator.kube.kinds import DATABASE, PERSISTENT_VOLUME_CLAIM, PITR_RESTORE, Body
from postbase_operator.kube.leftovers import Leftovers
from postbase_operator.kube.session import Session
from unit.conftest import NOW, UID

OVER = (NOW - timedelta(minutes=1)).isoformat()


class Deletions:
    """A session that marks and deletes."""

    def __init__(self) -> None:
        self.deleted: list[str] = []

    async def merge(self, *_: Any) -> None:
        return None

    async def delete(self, _kind: Any, _namespace: str, name: str, _uid: str) -> None:
        self.deleted.append(name)


def claim(name: str, role: str, after: str = "", **metadata: Any) -> Body:
    noted = {
        names.ANNOTATION_DATABASE_UID: UID,
        names.ANNOTATION_VOLUME_ROLE: role,
        names.ANNOTATION_DELETE_AFTER: after,
    }
    known = {"name": name, "namespace": "team", "uid": name, "resourceVersion": "1"}
    return {"metadata": {**known, "annotations": noted, **metadata}, "spec": {}}


def restore(phase: str | None, target: str = "inPlace", database: str = "shop-main") -> Body:
    return {
        "metadata": {"name": "back", "namespace": "team", "uid": "r", "resourceVersion": "1"},
        "spec": {"databaseRef": {"name": database}, "target": {target: {}}},
        "status": {"phase": phase} if phase else {},
    }


def cleared(*claims: Body, restores: tuple[Body, ...] = (), alive: bool = True) -> list[str]:
    cache, session = Cache(), Deletions()
    if alive:
        metadata = {"name": "shop-main", "namespace": "team", "uid": UID, "resourceVersion": "1"}
        cache.put(DATABASE, {"metadata": metadata})
    for each in claims:
        cache.put(PERSISTENT_VOLUME_CLAIM, each)
    for each in restores:
        cache.put(PITR_RESTORE, each)
    asyncio.run(Leftovers(cast(Session, session), cache, lambda: NOW).clear())
    return session.deleted


SERVES = claim("b", "current")
LEFT = claim("a", "previous", OVER)


def test_a_previous_volume_goes_once_its_time_is_over() -> None:
    assert cleared(SERVES, LEFT) == ["a"]
    assert cleared(SERVES, claim("a", "previous", (NOW + timedelta(hours=1)).isoformat())) == []


def test_it_stays_while_a_restore_in_place_has_not_ended() -> None:
    for phase in (None, "Pending", "Running"):
        assert cleared(SERVES, LEFT, restores=(restore(phase),)) == []
    for other in (
        restore("Completed"),
        restore("Failed"),
        restore("Running", "newDatabase"),
        restore("Running", database="other"),
    ):
        assert cleared(SERVES, LEFT, restores=(other,)) == ["a"]


def test_the_last_one_that_a_database_has_is_never_cleared_up() -> None:
    assert cleared(LEFT) == []
    assert cleared(LEFT, claim("b", "current", deletionTimestamp=NOW.isoformat())) == []


def test_those_of_a_database_that_is_gone_all_go() -> None:
    assert cleared(claim("b", "current", OVER), LEFT, alive=False) == ["b", "a"]
