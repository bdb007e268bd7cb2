"""What is over goes within a day; the last verified backup and what a window needs never do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postbase_operator.api.backup import Backup
from postbase_operator.api.policies import BackupPolicy, PitrPolicy
from postbase_operator.api.project import Project
from postbase_operator.planning.retention import (
    Expiry,
    Policies,
    anchor,
    expired,
    expires_at,
    is_needed,
    quota,
)
from unit.conftest import NOW

DAY = timedelta(days=1)
KEEP_7 = Policies(BackupPolicy(retention_days=7), PitrPolicy())
WINDOW_3 = Policies(BackupPolicy(retention_days=7), PitrPolicy(enabled=True, retention_days=3))


def backup(
    name: str,
    at: datetime | None,
    origin: str = "schedule",
    *,
    phase: str = "Completed",
    method: str = "Logical",
    verified: bool = True,
    days: int | None = None,
    **status: Any,
) -> Backup:
    """A Backup that ended at this moment; the status can be changed field by field."""
    done = phase == "Completed"
    ended = at.isoformat() if at else None
    told = {
        "phase": phase,
        "completedAt": ended if phase in ("Completed", "Failed") else None,
        "objectKey": f"somewhere/{name}" if done else None,
        "verifiedAt": ended if done and verified else None,
    }
    return Backup.model_validate(
        {
            "metadata": {"name": name, "labels": {"postbase.sh/origin": origin}},
            "spec": {"databaseRef": {"name": "db"}, "method": method, "retentionDays": days},
            "status": told | status,
        }
    )


def ago(days: float) -> datetime:
    return NOW - days * DAY


def names(found: list[Expiry]) -> list[str]:
    return [each.name for each in found]


def test_scheduled_backups_go_by_age() -> None:
    there = [backup("new", ago(1)), backup("old", ago(7)), backup("young", ago(6.9))]
    assert expired(there, KEEP_7, NOW) == [Expiry("old", bytes=True, reason="Expired")]


def test_the_backups_own_days_stand_over_the_policys() -> None:
    there = [backup("new", ago(1)), backup("long", ago(20), days=30), backup("s", ago(3), days=2)]
    assert names(expired(there, KEEP_7, NOW)) == ["s"]


@pytest.mark.parametrize("origin", ["manual", "final"])
def test_those_by_hand_go_only_where_they_say_when(origin: str) -> None:
    there = [
        backup("new", ago(1)),
        backup("kept", ago(900), origin),
        backup("dated", ago(30), origin, days=30),
    ]
    assert names(expired(there, KEEP_7, NOW)) == ["dated"]


def test_the_last_verified_one_stays_however_old() -> None:
    there = [
        backup("unverified", ago(8), verified=False),
        backup("verified", ago(60)),
        backup("older", ago(61)),
    ]
    assert names(expired(there, KEEP_7, NOW)) == ["older", "unverified"]


def test_without_a_verified_one_the_last_stays() -> None:
    there = [backup("last", ago(60), verified=False), backup("older", ago(61), verified=False)]
    assert names(expired(there, KEEP_7, NOW)) == ["older"]


def test_with_recovery_the_last_verified_physical_one_stays() -> None:
    off = Policies(WINDOW_3.backup, PitrPolicy(enabled=False))
    there = [
        backup("base", ago(60), "pitr", method="Physical"),
        backup("unread", ago(50), "pitr", method="Physical", verified=False),
        backup("newer", ago(40), "pitr", method="Physical", verified=False),
        backup("dump", ago(8)),
    ]
    assert names(expired(there, WINDOW_3, NOW)) == ["unread", "dump"]
    assert names(expired(there, off, NOW)) == ["base", "unread", "newer"]


def test_the_window_keeps_its_anchor_and_all_after_it() -> None:
    there = [backup(f"p{days}", ago(days), "pitr", method="Physical") for days in (9, 6, 4, 2, 0.5)]
    found = anchor(there, WINDOW_3.pitr, NOW)
    assert found is not None
    assert found.metadata.name == "p4"
    assert names(expired(there, WINDOW_3, NOW)) == ["p9", "p6"]
    assert [b.metadata.name for b in there if is_needed(b, there, WINDOW_3, NOW)] == [
        "p4",
        "p2",
        "p0.5",
    ]


def test_a_backup_that_just_ended_at_the_windows_begin_is_its_anchor() -> None:
    there = [backup(f"p{days}", ago(days), method="Physical") for days in (4, 3, 1)]
    found = anchor(there, WINDOW_3.pitr, NOW)
    assert found is not None
    assert found.metadata.name == "p3"


def test_a_young_window_begins_with_the_oldest() -> None:
    there = [backup(f"p{days}", ago(days), method="Physical", days=1) for days in (2, 1)]
    found = anchor(there, WINDOW_3.pitr, NOW)
    assert found is not None
    assert found.metadata.name == "p2"
    assert expired(there, WINDOW_3, NOW) == []


def test_the_schedules_physical_backups_are_anchors_too() -> None:
    there = [backup(f"p{days}", ago(days), method="Physical") for days in (20, 10, 1)]
    assert names(expired(there, WINDOW_3, NOW)) == ["p20"]


def test_damaged_pages_do_not_replace_a_sound_anchor() -> None:
    there = [
        backup("sound", ago(10), method="Physical"),
        backup("damaged", ago(5), method="Physical", checksumsVerified=False),
        backup("now", ago(0), method="Physical", checksumsVerified=False),
    ]
    found = anchor(there, WINDOW_3.pitr, NOW)
    assert found is not None
    assert found.metadata.name == "sound"
    assert expired(there, WINDOW_3, NOW) == []
    assert names(expired(there, KEEP_7, NOW)) == []  # the last verified one that is sound


def test_what_a_restore_reads_stays() -> None:
    there = [backup("new", ago(1)), backup("read", ago(60)), backup("old", ago(61))]
    assert names(expired(there, KEEP_7, NOW, pinned={"read"})) == ["old"]
    assert is_needed(there[1], there, KEEP_7, NOW, pinned={"read"})


def test_what_is_being_deleted_counts_as_gone() -> None:
    new = backup("new", ago(1))
    metadata = new.metadata.model_copy(update={"deletion_timestamp": NOW})
    there = [new.model_copy(update={"metadata": metadata}), backup("old", ago(60))]
    assert expired(there, KEEP_7, NOW) == []


def test_what_has_no_bytes_neither_counts_nor_goes_again() -> None:
    there = [backup("ghost", ago(20), days=1, objectKey=None), backup("old", ago(60))]
    assert expired(there, KEEP_7, NOW) == []


@pytest.mark.parametrize("phase", ["Pending", "Running"])
def test_what_has_not_ended_stays(phase: str) -> None:
    assert expired([backup("b", ago(99), phase=phase)], KEEP_7, NOW) == []


def test_failures_go_after_a_week_but_the_newest_waits_for_a_success() -> None:
    failed = [backup(f"f{days}", ago(days), phase="Failed") for days in (9, 8, 6)]
    assert expired(failed, KEEP_7, NOW) == [
        Expiry("f9", bytes=False, reason="FailedLongAgo"),
        Expiry("f8", bytes=False, reason="FailedLongAgo"),
    ]
    old = [backup("f20", ago(20), phase="Failed")]
    assert expired(old, KEEP_7, NOW) == []
    assert expired([*old, backup("before", ago(21), "manual")], KEEP_7, NOW) == []
    assert names(expired([*old, backup("after", ago(1))], KEEP_7, NOW)) == ["f20"]


def test_the_status_tells_when_it_goes() -> None:
    assert expires_at(backup("b", NOW), KEEP_7, NOW) == NOW + 7 * DAY
    assert expires_at(backup("b", NOW, "pitr"), WINDOW_3, NOW) == NOW + 3 * DAY
    assert expires_at(backup("b", NOW, "manual"), KEEP_7, NOW) is None
    assert expires_at(backup("b", NOW, "manual", days=2), KEEP_7, NOW) == NOW + 2 * DAY


def test_the_quota_is_told_in_figures() -> None:
    project = Project.model_validate(
        {"metadata": {"name": "shop"}, "spec": {"quota": {"backupGiB": 10}}}
    )
    assert quota(10 * 2**30 - 1, project) is None
    assert quota(10 * 2**30 + 2**28, project) == (
        "The backups of the Project 'shop' take 10.2 GiB, and spec.quota.backupGiB allows 10: "
        "raise it, or delete backups"
    )
    unlimited = Project.model_validate({"metadata": {"name": "shop"}})
    assert quota(2**60, unlimited) is None


runs = st.fixed_dictionaries(
    {
        "after": st.integers(1, 72),  # hours
        "origin": st.sampled_from(["schedule", "schedule", "pitr", "manual"]),
        "method": st.sampled_from(["Logical", "Physical"]),
        "phase": st.sampled_from(["Completed"] * 4 + ["Failed"]),
        "verified": st.booleans(),
        "days": st.none() | st.integers(1, 10),
    }
)


@settings(deadline=None, max_examples=60)
@given(
    runs=st.lists(runs, min_size=1, max_size=30),
    keep=st.integers(1, 14),
    window=st.none() | st.integers(1, 14),
)
def test_a_month(runs: list[dict[str, Any]], keep: int, window: int | None) -> None:
    """Backups come and go for a month, looked at every six hours by a virtual clock."""
    pitr = PitrPolicy(enabled=window is not None, retention_days=window or 7)
    policies = Policies(BackupPolicy(retention_days=keep), pitr)
    start = now = datetime(2026, 11, 1, tzinfo=UTC)
    coming = []
    at = start
    for number, run in enumerate(runs):
        at += timedelta(hours=run["after"])
        made = {k: v for k, v in run.items() if k != "after"}
        coming.append(backup(f"b{number}", at, **made))
    first_physical = None
    there: list[Backup] = []
    while now < start + 31 * DAY:
        now += timedelta(hours=6)
        there += [b for b in coming if now - timedelta(hours=6) < _end(b) <= now]
        gone = set(names(expired(there, policies, now)))
        before, there = there, [b for b in there if b.metadata.name not in gone]
        _last_verified_stays(before, there, pitr)
        physical = [b for b in before if _is_whole(b, "Physical")]
        first_physical = first_physical or min((_end(b) for b in physical), default=None)
        if window is not None and first_physical is not None:
            _every_second_can_be_restored(there, max(now - window * DAY, first_physical))
        _what_is_over_has_gone(there, policies, now)


def _end(backup: Backup) -> datetime:
    assert backup.status.completed_at is not None
    return backup.status.completed_at


def _is_whole(backup: Backup, method: str) -> bool:
    return backup.status.phase == "Completed" and backup.spec.method == method


def _last_verified_stays(before: list[Backup], after: list[Backup], pitr: PitrPolicy) -> None:
    verified = [b for b in before if b.status.verified_at]
    physical = [b for b in verified if b.spec.method == "Physical"]
    matters = (physical if pitr.enabled else []) or verified
    if matters:
        assert max(matters, key=_end) in after


def _every_second_can_be_restored(there: list[Backup], first: datetime) -> None:
    """The log from the anchor on is kept: one base before the first second serves them all."""
    assert any(_end(b) <= first for b in there if _is_whole(b, "Physical"))


def _what_is_over_has_gone(there: list[Backup], policies: Policies, now: datetime) -> None:
    """Of those a day over their time, only what something keeps is there."""
    complete = [b for b in there if b.status.phase == "Completed"]
    start = anchor(there, policies.pitr, now)
    for each in complete:
        over = expires_at(each, policies, _end(each))
        if over is None or now - over < DAY:
            continue
        in_window = start is not None and each.spec.method == "Physical"
        in_window = in_window and start is not None and _end(each) >= _end(start)
        better = [b for b in complete if _end(b) > _end(each)]
        last = each.status.verified_at and not [b for b in better if b.status.verified_at]
        physical = [b for b in better if b.status.verified_at and b.spec.method == "Physical"]
        last_physical = policies.pitr.enabled and not physical and each.spec.method == "Physical"
        assert in_window or last or (last_physical and each.status.verified_at) or not better
