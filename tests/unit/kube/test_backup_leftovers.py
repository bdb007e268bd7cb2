"""Backups of Databases that are gone expire, those of others are none of this chore's."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from postbase_operator.api.backup import Backup
from postbase_operator.kube.backup_leftovers import BackupLeftovers
from postbase_operator.kube.backup_objects import EXPIRY
from postbase_operator.kube.kinds import BACKUP, DATABASE, PITR_RESTORE, Body, Kind
from postbase_operator.kube.session import Session
from unit.conftest import NOW, UID
from unit.kube.backup_world import NO_SERVER, World, running_database

DAY = timedelta(days=1)
GONE = "4b1e4f5c-0000-4000-8000-00000000009f"


def backup(name: str, days_ago: float, uid: str | None = GONE, **changes: Any) -> Backup:
    at = (NOW - days_ago * DAY).isoformat()
    done = {"phase": "Completed", "completedAt": at, "verifiedAt": at, "objectKey": f"k/{name}"}
    return Backup.model_validate(
        {
            "metadata": {
                "name": name,
                "namespace": "team",
                "uid": name,
                "labels": {"postbase.sh/origin": changes.get("origin", "schedule")},
            },
            "spec": {"databaseRef": {"name": "shop-main"}},
            "status": done | {"databaseUID": uid} | changes.get("status", {}),
        }
    )


class Deletions:
    """A session that only deletes, and says so before in the status where the bytes go too."""

    def __init__(self) -> None:
        self.deleted: list[tuple[str, bool]] = []
        self._taking: set[str] = set()

    async def apply(self, kind: Kind, intent: Body, manager: str, *, subresource: str) -> None:
        meta = intent["metadata"]
        assert (kind, meta["namespace"], meta["uid"]) == (BACKUP, "team", meta["name"])
        assert (manager, subresource) == (EXPIRY, "status")
        assert intent.keys() == {"apiVersion", "kind", "metadata", "status"}
        (said,) = intent["status"].items()
        assert said == ("expiredAt", said[1])
        assert datetime.fromisoformat(said[1]) in (NOW, NOW + 400 * DAY)
        self._taking.add(meta["name"])

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        assert (kind, namespace, uid) == (BACKUP, "team", name)
        self.deleted.append((name, name in self._taking))


def clear(made: World, now: datetime = NOW) -> list[tuple[str, bool]]:
    """What went, and whether with its bytes."""
    session = Deletions()
    api = cast(Session, session)
    asyncio.run(BackupLeftovers(api, made.cache, lambda: now).clear())
    return session.deleted


def holding(*backups: Backup) -> World:
    made = World()
    for each in backups:
        made.hold(BACKUP, each)
    return made


def test_they_expire_by_the_product_s_own_settings_and_the_last_verified_stays() -> None:
    made = holding(backup("a", 32), backup("b", 31), backup("c", 29.5), backup("d", 29))
    assert clear(made) == [("a", True), ("b", True)]
    later = clear(made, NOW + 400 * DAY)
    assert [name for name, _ in later] == ["a", "b", "c"]


def test_what_people_made_stays() -> None:
    made = holding(backup("a", 300, origin="manual"), backup("b", 1))
    assert clear(made) == []


def test_one_of_a_database_that_is_there_or_of_none_yet_is_not_touched() -> None:
    made = holding(backup("a", 99, UID), backup("b", 98, UID), backup("c", 99, None))
    made.hold(DATABASE, running_database())
    assert clear(made) == []


def test_an_earlier_database_of_the_same_name_has_its_own_last_one() -> None:
    made = holding(backup("old", 90), backup("older", 91), backup("new", 1, UID))
    made.hold(DATABASE, running_database())
    assert clear(made) == [("older", True)]


def test_each_of_two_that_bore_the_name_keeps_its_last_one() -> None:
    other = "4b1e4f5c-0000-4000-8000-0000000000a0"
    assert clear(holding(backup("a", 90), backup("b", 80, other))) == []


def test_one_that_a_restore_reads_stays() -> None:
    made = holding(backup("a", 90), backup("b", 80))
    restore = {
        "metadata": {"name": "again", "namespace": "team"},
        "spec": {
            "databaseRef": {"name": "shop-main"},
            "source": {"backupRef": {"name": "a"}},
            "target": {"newDatabase": {"name": "shop-again"}},
        },
    }
    made.hold(PITR_RESTORE, restore)
    assert clear(made) == []


def test_it_costs_no_request_while_nothing_is_over() -> None:
    made = holding(backup("a", 10), backup("b", 5))
    asyncio.run(BackupLeftovers(NO_SERVER, made.cache, lambda: NOW).clear())
    with pytest.raises(AssertionError, match="the API server was asked"):
        asyncio.run(BackupLeftovers(NO_SERVER, made.cache, lambda: NOW + 60 * DAY).clear())


def test_an_operator_without_a_store_does_not_load_what_speaks_s3() -> None:
    """Its libraries take 40 MB."""
    program = (
        "import sys, postbase_operator.handlers.process;"
        "print(*{'boto3', 'botocore', 'obstore'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""
