"""A Database that is deleted with FinalBackup: one more backup first, and nothing lost without."""

from __future__ import annotations

import pytest

from apiserver import life as lives
from apiserver.backup_life import BackupLife, half, its_own_time
from apiserver.life import NAME, worlds_apart
from apiserver.loop import MANAGER
from apiserver.test_backups import Play, play, store
from postbase_operator.kube.kinds import BACKUP, DATABASE, PERSISTENT_VOLUME_CLAIM, STATEFUL_SET

__all__ = ["its_own_time", "play", "store", "worlds_apart"]
pytestmark = pytest.mark.usefixtures("its_own_time")


def final(life: BackupLife) -> str:
    (name,) = [name for kind, name in life.controllers.objects if kind is BACKUP]
    return name


def has_volume(life: BackupLife) -> bool:
    return life.controllers.one(PERSISTENT_VOLUME_CLAIM) is not None


def test_it_goes_with_its_volume_once_its_last_backup_is_complete(play: Play) -> None:
    async def scene(life: BackupLife) -> None:
        uid = life.database["metadata"]["uid"]
        await life.delete("FinalBackup")
        name = final(life)
        made = life.backup(name)
        assert name == f"{NAME}-final-{uid[:8]}"
        assert (made.status.phase, str(made.origin)) == ("Completed", "final")
        assert len(life.jobs_of(name)) == 1
        assert len(life.controllers.stored()) == 3
        await life.until(lambda: not has_volume(life))

    play(scene)


def test_while_it_is_made_postgresql_runs_and_the_database_says_so(play: Play) -> None:
    async def scene(life: BackupLife) -> None:
        life.controllers.held = True
        await life.session.merge(
            DATABASE, life.namespace, NAME, {"spec": {"deletionPolicy": "FinalBackup"}}, MANAGER
        )
        gone = life._api.delete(DATABASE.plural, life.namespace, NAME)
        life.controllers.tell(gone)
        await life.until(lambda: bool(life.jobs_of(NAME)))
        await life.wait(60.0)
        assert life.controllers.one(STATEFUL_SET) is not None
        ready = next(c for c in life.database["status"]["conditions"] if c["type"] == "Ready")
        assert ready["reason"] == "FinalBackup"
        assert life.database["status"]["phase"] == "Deleting"
        life.controllers.held = False
        await life.until(lambda: not life.is_alive)
        await life.until(lambda: not has_volume(life))

    play(scene)


def test_where_it_cannot_be_made_the_volume_stays(play: Play) -> None:
    async def scene(life: BackupLife) -> None:
        life.controllers.outcomes = [half("Denied")]
        await life.delete("FinalBackup")
        assert life.backup(final(life)).status.phase == "Failed"
        await life.wait(60.0)
        assert life.is_kept

    play(scene)


def test_without_a_store_the_volume_stays_after_an_hour(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lives, "PATIENCE", 2 * 3600.0)

    async def scene(life: BackupLife) -> None:
        begun = life.now()
        await life.delete("FinalBackup")
        assert life.backup(final(life)).status.phase == "Failed"
        assert 3600 <= (life.now() - begun).total_seconds() < 2 * 3600
        assert life.is_kept

    play(scene, stored=False)
