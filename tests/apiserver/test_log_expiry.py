"""Log that nobody needs is taken away: of a Database that is there, and of one that is gone."""

from __future__ import annotations

from datetime import timedelta

import pytest

from apiserver.archive_life import BEGIN, ArchiveLife
from apiserver.backup_life import its_own_time
from apiserver.life import NAME, worlds_apart
from apiserver.loop import resource
from apiserver.test_archiving import OTHER, Play, play, store, switched_on
from postbase_operator.kube import archives
from postbase_operator.kube.admin import Admin
from postbase_operator.kube.gone_log import GoneLog
from postbase_operator.kube.kinds import DATABASE, PITR_RESTORE
from postbase_operator.kube.log_expiry import LogExpiry
from postbase_operator.kube.stores import Stores

__all__ = ["its_own_time", "play", "store", "worlds_apart"]
pytestmark = pytest.mark.usefixtures("its_own_time")


def test_log_that_no_base_backup_needs_goes_but_for_what_a_restore_reads(play: Play) -> None:
    async def scene(life: ArchiveLife) -> None:
        await switched_on(life)
        life.archived("0/800000", BEGIN)
        prefix = life.database["status"]["archive"]["prefix"] + "wal/"

        def log() -> list[str]:
            return [each.key.rpartition("/")[2] for each in life.controllers.store.list(prefix)]

        old, needed = "0000000000800000-0000000001000000", "0000000001000000-0000000001800000"
        assert log() == [old, needed]
        admin = Admin(life.session, life.now)
        cache, settings = life.operator.cache, life.operator.settings
        looking = archives.Archives(life.session, cache, settings, admin, life.now)
        restore = resource(
            "PitrRestore",
            "reads",
            {
                "databaseRef": {"name": NAME},
                "source": {"lsn": "0/900000"},
                "target": {"inPlace": {}},
            },
        )
        restore["metadata"]["namespace"] = life.namespace
        plan = {"startLSN": "0/800000", "targetLSN": "0/900000", "timelines": [1]}
        cache.put(PITR_RESTORE, {**restore, "status": {"phase": "Running", "plan": plan}})
        await LogExpiry(looking, cache, life.now).clear()
        assert log() == [old, needed]
        plan["startLSN"] = BEGIN
        cache.put(PITR_RESTORE, {**restore, "status": {"phase": "Running", "plan": plan}})
        await LogExpiry(looking, cache, life.now).clear()
        assert log() == [needed]

    play(scene)


def test_log_of_a_database_that_is_gone_goes_up_to_its_last_base_backup(play: Play) -> None:
    async def scene(life: ArchiveLife) -> None:
        await switched_on(life)
        life.archived("0/800000", BEGIN)
        body, uid = life.database, life.database["metadata"]["uid"]
        prefix = body["status"]["archive"]["prefix"]
        store, cache, settings = life.controllers.store, life.operator.cache, life.operator.settings

        def log() -> list[str]:
            return [each.key.rpartition("/")[2] for each in store.list(f"{prefix}wal/")]

        async def clear() -> list[str]:
            """As an operator does that has just begun to lead."""
            await GoneLog(Stores(life.session, settings), cache, settings, life.now).clear()
            return log()

        old, needed = "0000000000800000-0000000001000000", "0000000001000000-0000000001800000"
        assert await clear() == [old, needed], "it lives"
        await life.delete("Retain")
        reader = resource("Database", "reader", {"bootstrap": {"restore": {"latest": {}}}})
        reader["spec"] = body["spec"] | reader["spec"]
        reader["spec"]["bootstrap"]["restore"]["from"] = {"databaseUID": uid}
        reader["metadata"] |= {"namespace": "elsewhere", "uid": OTHER, "resourceVersion": "1"}
        cache.put(DATABASE, reader)
        assert await clear() == [old, needed], "another one begins with it"
        cache.put(DATABASE, reader | {"status": {"systemId": "73"}})
        assert await clear() == [needed]
        assert await clear() == [needed], "the last base backup needs it, however old"
        (record,) = [each.key for each in store.list(f"{prefix}base/")]
        store.delete(record)
        assert await clear() == [needed], "it is young"
        late = life.now() + timedelta(days=400)
        await GoneLog(Stores(life.session, settings), cache, settings, lambda: late).clear()
        assert log() == []

    play(scene)
