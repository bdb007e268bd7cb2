"""Archiving over a Database's life: what is told to whom, what is said of it, and how often."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from postbase_operator.api.backup import BackupOrigin
from postbase_operator.api.conditions import KStatus, find_condition
from postbase_operator.api.database import Database, DatabaseStatus
from postbase_operator.api.policies import BackupMethod, RecoveryPoint
from postbase_operator.api.project import Project
from postbase_operator.archive.lsn import Lsn
from postbase_operator.archive.receiver import ReceiverReport
from postbase_operator.archive.wal_index import Run
from postbase_operator.archive.wish import ArchivingWish
from postbase_operator.planning import plan as steps
from postbase_operator.planning.archive_observed import ArchiveSeen, Silence
from postbase_operator.planning.archiving import revision
from postbase_operator.planning.archiving_outlook import AGAIN
from postbase_operator.planning.database_backups import Backups
from postbase_operator.planning.next_look import SECRETS_AGAIN
from postbase_operator.planning.observed import Observed, Process, ProcessState
from postbase_operator.planning.plan import Plan
from postbase_operator.planning.window import Log, Stretch
from unit.conftest import NOW, UID, database
from unit.planning.test_database import CURRENT, FACTS, HEALTHY, RUNNING, SHOP, kinds, plan, verdict
from unit.planning.test_retention import backup

ON = {"enabled": True, "retentionDays": 7}
ZERO = {"enabled": True, "rpo": "Zero"}
SECOND = timedelta(seconds=1)
MIB = 2**20
BASE_KEY = f"v1/{UID}/{FACTS.system_id}-1/base/bkp_{'a' * 26}/"


def after(made: Plan[DatabaseStatus], **pitr: Any) -> Database:
    return database(pitr=pitr or ON).model_copy(update={"status": made.status})


def report(now: datetime = NOW, **told: Any) -> ReceiverReport:
    known = {
        "state": "Running",
        "startedAt": (NOW - timedelta(hours=1)).isoformat(),
        "writer": "1.2.3",
        "timeline": 1,
        "durableLsn": "0/2000000",
        "receivedLsn": "0/2000000",
        "coveredUntil": now.isoformat(),
        "lastCommitAt": (now - SECOND).isoformat(),
    }
    return ReceiverReport.model_validate(known | told)


def failed(reason: str, since: datetime, **told: Any) -> ReceiverReport:
    wrong = {"reason": reason, "message": f"{reason}, it says", "at": since.isoformat()}
    return report(lastError=wrong, **told)


LOG = Log((Stretch(Run(1, Lsn(0x1000000), Lsn(0x1800000)), NOW - timedelta(minutes=5)),))
BASE = backup(
    "shop-main-base-1",
    NOW - timedelta(days=1),
    "pitr",
    method="Physical",
    objectKey=BASE_KEY,
    timeline=1,
    startLSN="0/1000028",
    stopLSN="0/1000100",
)
BACKUPS = Backups((BASE,), has_store=True)
PLACE = ArchiveSeen(bucket="b", folder="team", is_entered=True, log=LOG)


def told_of(db: Database) -> ArchivingWish:
    (applied,) = [s for s in plan(seen(None), db).steps if isinstance(s, steps.ApplyWorkload)]
    return applied.archiving


def seen(
    told: ReceiverReport | Silence | None = None,
    *,
    place: ArchiveSeen = PLACE,
    archiving: ArchivingWish | None = None,
    **facts: Any,
) -> Observed:
    """A healthy Database whose receiver says this."""
    assert HEALTHY.server is not None
    wish = archiving or ArchivingWish()
    return replace(
        HEALTHY,
        synchronous_revision="r2",
        server=replace(HEALTHY.server, facts=replace(FACTS, **facts)),
        archiving=wish,
        archive=replace(
            place,
            report=told if isinstance(told, ReceiverReport) else None,
            silence=told if isinstance(told, Silence) else None,
        ),
    )


def look(
    told: ReceiverReport | Silence | None,
    db: Database | None = None,
    now: datetime = NOW,
    backups: Backups = BACKUPS,
    **more: Any,
) -> Plan[DatabaseStatus]:
    return plan(seen(told, **more), db or database(pitr=ON), now=now, backups=backups)


def condition(made: Plan[DatabaseStatus], kind: str) -> tuple[str, str] | None:
    found = find_condition(made.status.conditions, kind)
    return (found.status.value, found.reason) if found is not None else None


def archiving(made: Plan[DatabaseStatus]) -> str | None:
    assert made.status.pitr is not None
    return made.status.pitr.archiving


# -- what is told to whom ------------------------------------------------------------------


def test_off_is_nothing_new() -> None:
    made = plan(HEALTHY)
    assert kinds(made) == ["ApplyWorkload"]
    assert made.requeue_after == SECRETS_AGAIN
    assert archiving(made) == "Off"
    assert condition(made, "Archiving") is None
    assert plan(HEALTHY, after(made, enabled=False)).status == made.status


def test_on_reaches_the_pod_as_a_file_and_postgresql_not_at_all() -> None:
    db = database(pitr=ON | {"rpo": "Zero", "fallbackAfter": "90s"})
    made = plan(seen(), db)
    applied = next(s for s in made.steps if isinstance(s, steps.ApplyWorkload))
    told = applied.archiving.receiver
    assert (told.enabled, told.rpo, told.fallback_after_seconds) == (True, RecoveryPoint.ZERO, 90)
    assert told.owner is not None
    assert told.owner.archive.database_uid == UID
    assert told.owner.incarnation == f"{FACTS.system_id}-1"
    assert told.owner.cluster == "default"
    assert told.project is not None
    assert kinds(made)[:3] == ["BringStore", "ApplyWorkload", "PokeReceiver"]
    assert not {"PokeConfig", "ReloadConfig", "RestartProcess"} & set(kinds(made))
    poked = replace(RUNNING, receiver_revision=revision(told))
    again = plan(replace(seen(), process=poked), db)
    assert "PokeReceiver" not in kinds(again)


def test_what_is_not_known_is_not_told() -> None:
    on = database(pitr=ON)
    no_store = plan(replace(seen(), archive=None), on)
    unread = replace(CURRENT, system_id="")
    fresh = plan(replace(seen(), volumes=(unread,)), on)
    for made in (no_store, fresh):
        applied = next(s for s in made.steps if isinstance(s, steps.ApplyWorkload))
        assert applied.archiving == ArchivingWish()
        assert "BringStore" not in kinds(made)
    assert condition(no_store, "Archiving") == ("False", "NoObjectStore")
    assert condition(no_store, "Degraded") == ("True", "NoObjectStore")


def test_a_project_that_is_gone_for_a_moment_ends_no_archiving() -> None:
    db = database()
    shop = Project.model_validate(
        {"metadata": SHOP.metadata.to_wire(), "spec": {"defaults": {"pitr": ON}}}
    )
    held = plan(seen(slot="reserved"), db, project=shop)
    wish = next(s for s in held.steps if isinstance(s, steps.ApplyWorkload)).archiving
    assert wish.receiver.enabled
    lost = plan(seen(slot="reserved", archiving=wish), db, project=None)
    assert next(s for s in lost.steps if isinstance(s, steps.ApplyWorkload)).archiving == wish
    assert "DropSlot" not in kinds(lost)


def test_a_database_s_own_word_stands_over_its_project_s() -> None:
    shop = Project.model_validate(
        {"metadata": SHOP.metadata.to_wire(), "spec": {"defaults": {"pitr": ZERO}}}
    )
    made = plan(seen(), database(pitr={"rpo": "Async"}), project=shop)
    told = next(s for s in made.steps if isinstance(s, steps.ApplyWorkload)).archiving.receiver
    assert (told.enabled, told.rpo) == (True, RecoveryPoint.ASYNC)


def test_the_incarnation_stays_with_the_system() -> None:
    life = told_of(database(pitr=ON)).receiver.owner
    made = look(report())
    assert made.status.archive is not None
    assert made.status.archive.prefix == f"team/v1/{UID}/{FACTS.system_id}-1/"
    assert told_of(after(made)).receiver.owner == life, "an in-place restore keeps the system"
    second = made.status.archive.model_copy(update={"incarnation": f"{FACTS.system_id}-2"})
    db = after(made).model_copy(
        update={"status": made.status.model_copy(update={"archive": second})}
    )
    kept = told_of(db).receiver.owner
    assert kept is not None
    assert kept.incarnation == f"{FACTS.system_id}-2"


def test_the_catalogue_is_written_before_the_status_says_where() -> None:
    place = replace(PLACE, is_entered=False)
    made = look(report(), place=place)
    assert "EnterCatalogue" in kinds(made)
    assert made.status.archive is None
    off = plan(seen(place=place), database())
    assert "EnterCatalogue" not in kinds(off)
    with_a_backup = plan(seen(place=place), database(), backups=Backups((BASE,), has_store=True))
    assert "EnterCatalogue" in kinds(with_a_backup)


# -- Zero, and the slot ----------------------------------------------------------------------


def waits(made: Plan[DatabaseStatus]) -> bool:
    return next(s for s in made.steps if isinstance(s, steps.ApplyWorkload)).archiving.synchronous


def zero(**more: Any) -> Database:
    return database(pitr=ZERO | more)


def test_commits_wait_once_the_receiver_streams_and_as_long_as_it_does_not_say_otherwise() -> None:
    assert not waits(look(None, zero()))
    assert not waits(look(report(state="Starting"), zero()))
    made = look(report(), zero())
    assert waits(made)
    assert "PokeConfig" in kinds(made), "by a reload"
    on = told_of(zero())
    held = replace(on, synchronous=True)
    assert waits(look(None, zero(), archiving=held))
    silent = Silence(NOW - timedelta(hours=1), "ReceiverDown", "")
    assert waits(look(silent, zero(), archiving=held)), "it was promised"
    assert waits(look(report(state="Restarting"), zero(), archiving=held))
    assert not waits(look(report(), database(pitr=ON), archiving=held))


def test_without_the_server_the_settings_stay_as_they_are() -> None:
    """A restart under Zero must not begin with commits that wait for nothing."""
    held = replace(told_of(zero()), synchronous=True)
    stopped = replace(seen(archiving=held), process=Process(), server=None)
    assert waits(plan(stopped, zero()))


def test_the_promise_is_suspended_only_by_fallback_after() -> None:
    held = replace(told_of(zero()), synchronous=True)
    since = NOW - timedelta(minutes=2)
    away = failed("StoreUnavailable", since, storeFailingSince=since.isoformat(), suspended=True)
    made = look(away, zero(fallbackAfter="1m"), archiving=held)
    assert not waits(made)
    assert condition(made, "Degraded") == ("True", "PromiseSuspended")
    assert condition(made, "Archiving") == ("False", "StoreUnavailable")
    told = find_condition(made.status.conditions, "Degraded")
    assert told is not None
    assert "no longer wait" in told.message
    dead = Silence(since, "ReceiverDown", "")
    assert not waits(look(dead, zero(fallbackAfter="1m"), archiving=held))
    assert waits(look(dead, zero(fallbackAfter="3m"), archiving=held))
    assert waits(look(report(), zero(fallbackAfter="1m"), archiving=told_of(zero())))


def test_off_drops_the_slot_and_first_of_all_no_commit_waits_for_it() -> None:
    off = database()
    held = plan(seen(slot="reserved", synchronous=True), off)
    assert "DropSlot" not in kinds(held)
    made = plan(seen(slot="reserved"), off)
    assert "DropSlot" in kinds(made)
    assert made.requeue_after is not None
    assert made.requeue_after < 1.0
    assert "DropSlot" not in kinds(plan(seen(), off))
    assert "DropSlot" not in kinds(look(report(), slot="reserved"))
    assert "DropSlot" in kinds(look(report(), slot="lost")), "the receiver makes it anew"


# -- how it does -----------------------------------------------------------------------------


def test_it_begins_and_streams() -> None:
    made = look(None)
    assert condition(made, "Archiving") == ("Unknown", "Starting")
    assert made.requeue_after == AGAIN
    assert verdict(made)[2] is KStatus.CURRENT
    streaming = look(report(), after(made))
    assert condition(streaming, "Archiving") == ("True", "Streaming")
    assert archiving(streaming) == "Streaming"
    assert condition(streaming, "Degraded") is None
    assert streaming.requeue_after == SECRETS_AGAIN


def silent(seconds: float, now: datetime) -> Silence:
    return Silence(now - seconds * SECOND, "ReceiverDown", "The WAL receiver does not answer")


def test_a_moment_s_silence_is_no_news_and_half_a_minute_s_is() -> None:
    db = after(look(report()))
    short = look(silent(5, NOW), db)
    assert short.status == db.status
    assert short.requeue_after == AGAIN
    long = look(silent(12, NOW), db)
    assert condition(long, "Archiving") == ("False", "ReceiverDown")
    assert condition(long, "Degraded") == ("True", "ReceiverDown")
    assert archiving(long) == "Down"
    assert [n.reason for n in long.notices] == ["ReceiverDown"]
    assert verdict(long)[2] is KStatus.CURRENT, "within the grace it is Ready"
    worst = 10 + 5 + 10 + 5  # asked every 10 s, again after 5 s, told after 10 s, looked at by 5 s
    assert worst <= 30


@pytest.mark.parametrize("reason", ["StoreUnavailable", "StoreDenied"])
def test_a_store_that_is_away_is_told_with_its_reason(reason: str) -> None:
    db = after(look(report()))

    def away(seconds: float, words: str = "") -> Plan[DatabaseStatus]:
        since = NOW - seconds * SECOND
        told = failed(reason, NOW, storeFailingSince=since.isoformat())
        if words and told.last_error is not None:
            told = told.model_copy(
                update={"last_error": told.last_error.model_copy(update={"message": words})}
            )
        return look(told, db)

    assert condition(away(5), "Archiving") == ("True", "Streaming")
    made = away(11)
    assert condition(made, "Archiving") == ("False", reason)
    assert condition(made, "Degraded") == ("True", reason)
    db = after(made)
    assert away(20, "said in other words").status.conditions == made.status.conditions
    back = look(report(), db)
    assert condition(back, "Archiving") == ("True", "Streaming")
    assert condition(back, "Degraded") is None


@pytest.mark.parametrize("reason", ["OwnerConflict", "Rollback", "SplitBrain"])
def test_what_the_receiver_will_not_do_is_told_at_once(reason: str) -> None:
    made = look(failed(reason, NOW, state="Error"), after(look(report())))
    assert condition(made, "Archiving") == ("False", reason)
    assert condition(made, "Degraded") == ("True", reason)


def test_after_the_grace_it_is_not_ready() -> None:
    db = after(look(report()), **ON)
    down = look(silent(12, NOW), db)
    db = after(down)
    within = NOW + timedelta(minutes=4)
    assert verdict(look(silent(250, within), db, within))[:2] == ("Running", "Running")
    beyond = NOW + timedelta(minutes=5, seconds=1)
    made = look(silent(313, beyond), db, beyond)
    assert verdict(made) == ("Running", "ArchivingFailing", KStatus.IN_PROGRESS)
    longer = database(pitr=ON, archivingGrace="1h").model_copy(update={"status": db.status})
    assert verdict(look(silent(313, beyond), longer, beyond))[1] == "Running"
    back = look(report(beyond), after(made), beyond)
    assert verdict(back) == ("Running", "Running", KStatus.CURRENT)


def test_being_behind_is_told_and_later_degrades() -> None:
    db = after(look(report()))
    assert archiving(look(report(lagSeconds=8), db)) == "Streaming"
    behind = look(report(lagSeconds=12), db)
    assert archiving(behind) == "Lagging"
    assert condition(behind, "Archiving") == ("True", "Lagging")
    assert condition(behind, "Degraded") is None
    assert archiving(look(report(lagSeconds=8), after(behind))) == "Lagging"
    assert archiving(look(report(lagSeconds=2), after(behind))) == "Streaming"
    far = look(report(lagSeconds=45), db)
    assert condition(far, "Degraded") == ("True", "ArchivingLagging")


def test_a_stopped_database_archives_nothing_and_is_not_degraded() -> None:
    db = database(pitr=ON, paused=True).model_copy(update={"status": look(report()).status})
    made = plan(replace(seen(), process=Process(), server=None), db)
    assert condition(made, "Archiving") == ("Unknown", "Paused")
    assert archiving(made) == "Off"
    starting = Process(state=ProcessState.STARTING)
    held = after(look(report()))
    restart = plan(replace(seen(), process=starting, server=None), held)
    assert condition(restart, "Archiving") == ("True", "Streaming"), "no news"


def stopping(db: Database, told: ReceiverReport | None) -> Plan[DatabaseStatus]:
    """The pod goes; `told` is what the sidecar says meanwhile."""
    process = Process(state=ProcessState.STOPPING, address="10.0.0.5")
    return plan(replace(seen(told), process=process, server=None), db)


def test_a_stop_that_leaves_log_on_the_volume_is_told_until_it_is_archived() -> None:
    streaming = after(look(report()))
    quick = stopping(streaming, report(stopping=True, lagSeconds=3, lagBytes=100))
    assert condition(quick, "Archiving") == ("True", "Streaming"), "as every stop"
    waits = stopping(streaming, report(stopping=True, lagSeconds=12, lagBytes=100))
    pending = ("False", "FlushPending")
    assert condition(waits, "Archiving") == pending
    assert condition(waits, "Degraded") == ("True", "FlushPending")
    given_up = stopping(streaming, report(stopping=True, state="Stopped", lagBytes=100))
    assert condition(given_up, "Archiving") == pending
    silent = stopping(after(waits), None)
    assert condition(silent, "Archiving") == pending
    gone = plan(replace(seen(), process=Process(), server=None), after(silent))
    assert condition(gone, "Archiving") == pending
    paused = database(pitr=ON, paused=True).model_copy(update={"status": gone.status})
    there = plan(replace(seen(), process=Process(), server=None), paused)
    assert condition(there, "Archiving") == pending, "paused it is on the volume all the same"
    again = look(report(), after(gone), NOW + timedelta(minutes=1))
    assert condition(again, "Archiving") == ("True", "Streaming")
    flushed = stopping(after(waits), report(stopping=True))
    assert condition(flushed, "Archiving") == ("Unknown", "Stopping")
    assert condition(flushed, "Degraded") is None


# -- base backups and the window -------------------------------------------------------------


def made_bases(plan_: Plan[DatabaseStatus]) -> list[str]:
    made = [s.backup for s in plan_.steps if isinstance(s, steps.CreateBackup)]
    ours = [each for each in made if each.origin is BackupOrigin.PITR]
    assert all(each.spec.method is BackupMethod.PHYSICAL for each in ours)
    return [each.spec.description or "" for each in ours]


def with_backups(*backups: Any) -> Backups:
    return Backups(backups, has_store=True)


def test_the_first_base_backup_is_made_once_it_streams() -> None:
    empty = with_backups()
    assert made_bases(look(None, backups=empty)) == []
    assert made_bases(look(report(), backups=empty)) == ["For point-in-time recovery: NoBaseBackup"]
    unlisted = replace(PLACE, log=None)
    assert made_bases(look(report(), backups=empty, place=unlisted)) == []
    running = backup("r", None, "pitr", phase="Running", method="Physical")
    assert made_bases(look(report(), backups=with_backups(running))) == []
    first = look(report(), backups=empty)
    assert condition(first, "Degraded") is None, "it has just begun"
    assert first.status.pitr is not None
    assert first.status.pitr.recovery_window is None


def test_a_base_backup_that_fails_is_made_again_later_and_told() -> None:
    ended = NOW - timedelta(minutes=4)
    broken = backup("r", ended, "pitr", phase="Failed", method="Physical")
    made = look(report(), backups=with_backups(broken))
    assert made_bases(made) == []
    assert condition(made, "Degraded") == ("True", "NoBaseBackup")
    assert made_bases(look(report(), now=NOW + 61 * SECOND, backups=with_backups(broken)))


@pytest.mark.parametrize(("days", "due"), [(1, 1.0), (7, 3.5), (30, 7.0), (365, 7.0)])
def test_they_come_so_often_that_the_window_holds(days: int, due: float) -> None:
    db = database(pitr={"enabled": True, "retentionDays": days})
    completed = NOW - timedelta(days=1)
    just_before = completed + timedelta(days=due) - SECOND
    assert made_bases(look(report(just_before), db, just_before)) == []
    then = completed + timedelta(days=due)
    assert made_bases(look(report(then), db, then)) == ["For point-in-time recovery: Due"]


def test_much_log_to_replay_brings_another_one() -> None:
    far = f"{(33 * 2**30) >> 32:X}/{(33 * 2**30) & 0xFFFFFFFF:X}"
    assert made_bases(look(report(durableLsn=far)))
    recent = BASE.model_copy(
        update={"status": BASE.status.model_copy(update={"completed_at": NOW - 3600 * SECOND})}
    )
    assert made_bases(look(report(durableLsn=far), backups=with_backups(recent))) == []


def test_a_lost_slot_is_said_and_mended_at_once() -> None:
    db = after(look(report()))
    gap = Log((*LOG.stretches, Stretch(Run(1, Lsn(0x3000000), Lsn(0x3100000)), NOW)))
    made = look(report(durableLsn="0/3200000", slotLost=True), db, place=replace(PLACE, log=gap))
    assert condition(made, "Degraded") == ("True", "SlotLost")
    assert condition(made, "Archiving") == ("True", "Streaming")
    assert made_bases(made) == ["For point-in-time recovery: NoBaseBackup"]
    assert made.status.pitr is not None
    assert made.status.pitr.recovery_window is None
    assert [(b.live, b.reason) for b in made.status.pitr.branches] == [
        (False, "The log has a gap after 0/1800000")
    ]


def test_the_window_is_told() -> None:
    pitr = look(report()).status.pitr
    assert pitr is not None
    assert pitr.recovery_window is not None
    assert pitr.recovery_window.from_ == NOW - timedelta(days=1)
    assert pitr.recovery_window.to == NOW
    assert pitr.base_backup_ref is not None
    assert pitr.base_backup_ref.name == BASE.metadata.name
    assert pitr.latest_wal_time == NOW - SECOND
    assert pitr.observed_at == NOW
    assert pitr.receiver is not None
    assert pitr.receiver.durable_lsn == "0/2000000"


# -- how often it is written -----------------------------------------------------------------


def test_what_moves_is_told_when_there_is_room_and_what_changes_at_once() -> None:
    db = after(look(report()))
    later = NOW + timedelta(minutes=3)
    moved = report(later, durableLsn="0/2100000", bytesReceived=MIB, lagSeconds=0.3, errors=2)
    assert look(moved, db, later).status == db.status
    room = replace(PLACE, may_tell=True)
    told = look(moved, db, later, place=room)
    assert told.status.pitr is not None
    assert told.status.pitr.observed_at == later
    assert told.status.pitr.recovery_window is not None
    assert told.status.pitr.recovery_window.to == later
    idle = report(later)
    assert look(idle, db, later, place=room).status == db.status, "an idle one writes nothing"
    changed = look(report(later, lagSeconds=20), db, later)
    assert changed.status.pitr is not None
    assert changed.status.pitr.observed_at == later


def test_before_it_is_listed_again_the_window_stays() -> None:
    db = after(look(report()))
    restarted = look(report(), db, place=replace(PLACE, log=None))
    assert restarted.status == db.status
    assert restarted.requeue_after == AGAIN


def test_what_was_archived_is_told_until_its_base_backup_is_gone() -> None:
    on = look(report())
    off = plan(seen(), after(on, enabled=False), backups=BACKUPS)
    assert off.status.pitr is not None
    assert off.status.pitr.receiver is None
    assert off.status.pitr.archiving == "Off"
    assert off.status.pitr.recovery_window == on.status.pitr.recovery_window  # type: ignore[union-attr]
    gone = plan(seen(), after(off, enabled=False), backups=with_backups())
    assert gone.status.pitr is not None
    assert gone.status.pitr.recovery_window is None
