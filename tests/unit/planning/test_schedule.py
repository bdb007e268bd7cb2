"""Each scheduled minute has one backup at most, and the latest one has one, whatever clocks do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from postbase_operator.api.backup import Backup, BackupOrigin
from postbase_operator.api.policies import BackupMethod, BackupPolicy
from postbase_operator.errors import InvalidSpec
from postbase_operator.planning.schedule import (
    CREDIBLE,
    RESUME_WITHIN,
    Due,
    Schedule,
    backup_name,
    delay,
    due,
    scheduled_backup,
)
from unit.conftest import UID, database

CREATED = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DAILY = BackupPolicy(spread=timedelta())
SPREAD = BackupPolicy(spread=timedelta(minutes=30))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def asked(
    now: str, last: str | None = None, policy: BackupPolicy = DAILY, created: datetime = CREATED
) -> Due:
    return due(policy, UID, at(last) if last else None, created, at(now))


def test_it_is_due_on_the_minute_and_not_again() -> None:
    before = asked("2026-03-02T02:59:59.999")
    assert before == Due(at=None, next=at("2026-03-02T03:00"), passed=None)
    then = asked("2026-03-02T03:00")
    assert then == Due(
        at=at("2026-03-02T03:00"), next=at("2026-03-03T03:00"), passed=at("2026-03-02T03:00")
    )
    after = asked("2026-03-02T03:00", last="2026-03-02T03:00")
    assert after.at is None
    assert after.next == at("2026-03-03T03:00")


def test_what_was_missed_is_made_once_and_the_latest() -> None:
    found = asked("2026-03-20T17:00", last="2026-03-02T03:00")
    assert found.at == at("2026-03-20T03:00")
    assert asked("2026-03-20T17:00", last="2026-03-20T03:00").at is None


def test_what_lies_before_the_creation_is_not_missed() -> None:
    assert asked("2026-03-01T12:01").at is None
    assert asked("2026-03-01T12:01").next == at("2026-03-02T03:00")


def test_each_database_begins_at_a_moment_of_its_own() -> None:
    begin = delay(SPREAD.spread, UID)
    assert timedelta() <= begin < SPREAD.spread
    assert begin == delay(SPREAD.spread, UID)
    early = due(SPREAD, UID, None, CREATED, at("2026-03-02T03:00") + begin - timedelta(seconds=1))
    assert early.at is None
    assert early.next == at("2026-03-02T03:00") + begin
    found = due(SPREAD, UID, None, CREATED, at("2026-03-02T03:00") + begin)
    assert found.at == at("2026-03-02T03:00")  # named after the schedule, not after its own moment
    many = {delay(SPREAD.spread, f"{n}") for n in range(1000)}
    assert len(many) > 700
    assert max(many) > timedelta(minutes=29)


def test_suspended_nothing_is_made_and_a_resume_does_not_make_up_for_it() -> None:
    suspended = BackupPolicy(spread=timedelta(), suspend=True)
    found = asked("2026-03-09T05:00", last="2026-03-02T03:00", policy=suspended)
    assert found == Due(at=None, next=None, passed=at("2026-03-09T03:00"))
    assert asked("2026-03-09T05:01", last="2026-03-09T03:00").at is None


def test_a_minute_that_has_just_passed_is_made_on_the_resume() -> None:
    suspended = BackupPolicy(spread=timedelta(), suspend=True)
    found = asked("2026-03-09T03:30", last="2026-03-08T03:00", policy=suspended)
    assert found.passed == at("2026-03-08T03:00")
    assert asked("2026-03-09T03:40", last="2026-03-08T03:00").at == at("2026-03-09T03:00")


def test_a_clock_set_back_runs_nothing_twice() -> None:
    assert asked("2026-03-02T02:30", last="2026-03-02T03:00").at is None
    assert asked("2026-03-02T03:05", last="2026-03-02T03:00").at is None
    assert asked("2026-03-02T02:30", last="2026-03-02T03:00").next == at("2026-03-03T03:00")


def test_a_mark_of_a_wrong_clock_does_not_put_off_backups_for_years() -> None:
    found = asked("2026-03-05T04:00", last="2035-01-01T03:00")
    assert found.at == at("2026-03-05T03:00")
    assert found.next == at("2026-03-06T03:00")
    born_later = asked("2026-03-05T04:00", created=at("2035-01-01T00:00"))
    assert born_later.next == at("2026-03-06T03:00")


@pytest.mark.parametrize(
    ("macro", "following"),
    [
        ("@hourly", "2026-03-04T06:00"),
        ("@daily", "2026-03-05T00:00"),
        ("@midnight", "2026-03-05T00:00"),
        ("@weekly", "2026-03-08T00:00"),
        ("@monthly", "2026-04-01T00:00"),
        ("@yearly", "2027-01-01T00:00"),
        ("@annually", "2027-01-01T00:00"),
        ("30 3 ? * MON-FRI", "2026-03-05T03:30"),
        ("0 0 29 2 *", "2028-02-29T00:00"),
        ("0 12 * * 7", "2026-03-08T12:00"),
    ],
)
def test_macros_and_fields(macro: str, following: str) -> None:
    assert Schedule(macro).following(at("2026-03-04T05:06")) == at(following)


@pytest.mark.parametrize(
    ("zone", "text", "now", "expected"),
    [
        ("Europe/Berlin", "30 2 * * *", "2026-03-28T12:00", "2026-03-29T01:00"),  # 2:30 is left out
        ("Europe/Berlin", "30 2 * * *", "2026-10-24T12:00", "2026-10-25T00:30"),  # the first 2:30
        ("Europe/Berlin", "30 2 * * *", "2026-10-25T00:30", "2026-10-26T01:30"),  # not the second
        ("Europe/Berlin", "30 2 * * *", "2026-10-25T01:10", "2026-10-26T01:30"),
        ("Asia/Kolkata", "0 3 * * *", "2026-03-01T00:00", "2026-03-01T21:30"),
        ("America/New_York", "0 3 * * *", "2026-07-01T00:00", "2026-07-01T07:00"),
    ],
)
def test_the_zones_clock_counts(zone: str, text: str, now: str, expected: str) -> None:
    assert Schedule(text, zone).following(at(now)) == at(expected)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"schedule": "0 0 31 2 *"}, "spec.backup.schedule"),
        ({"schedule": "0 3 * * FRI-MON"}, "spec.backup.schedule"),
        ({"schedule": "@soon"}, "spec.backup.schedule"),
        ({"time_zone": "Mars/Base"}, "spec.backup.timeZone"),
        ({"time_zone": "../etc"}, "spec.backup.timeZone"),
    ],
)
def test_what_means_nothing_names_the_field(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidSpec) as refused:
        due(BackupPolicy(**changes), UID, None, CREATED, at("2026-03-05T04:00"))
    assert refused.value.field == field
    assert refused.value.reason == "InvalidSchedule"


def test_the_backup_is_named_after_its_minute_and_has_no_owner() -> None:
    policy = BackupPolicy(method=BackupMethod.PHYSICAL, retention_days=9, spread=timedelta())
    db = database()
    found = asked("2026-03-05T04:00", policy=policy)
    made = scheduled_backup(db, policy, found)
    assert made is not None
    assert made.to_wire() == {
        "apiVersion": "postbase.sh/v1alpha1",
        "kind": "Backup",
        "metadata": {
            "name": "shop-main-202603050300",
            "namespace": "team",
            "labels": {"postbase.sh/database": "shop-main", "postbase.sh/origin": "schedule"},
        },
        "spec": {
            "databaseRef": {"name": "shop-main"},
            "method": "Physical",
            "retentionDays": 9,
        },
    }
    assert Backup.model_validate(made.to_wire()).origin is BackupOrigin.SCHEDULE
    assert scheduled_backup(db, policy, asked("2026-03-01T12:01")) is None


def test_its_name_is_never_too_long() -> None:
    assert len(backup_name("a" * 40, at("2026-03-05T03:00"))) == 53


ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe"])
TEXTS = st.sampled_from(
    [
        "0 3 * * *",
        "30 2 * * *",
        "15,45 1,2 * * *",
        "*/20 * * * *",
        "@hourly",
        "0 4 * * SUN",
        "@monthly",
    ]
)
moments = st.datetimes(
    datetime(2026, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    datetime(2027, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
near_changes = st.sampled_from(
    [at("2026-03-29T01:00"), at("2026-10-25T01:00"), at("2026-10-03T15:30"), at("2026-04-04T15:00")]
)
starts = moments | st.builds(
    lambda change, minutes: change + timedelta(minutes=minutes),
    near_changes,
    st.integers(-300, 300),
)


@settings(deadline=None)
@given(text=TEXTS, zone=ZONES, start=starts, later=st.integers(0, 6000))
def test_from_wherever_it_is_asked_the_minutes_are_the_same(
    text: str, zone: str, start: datetime, later: int
) -> None:
    schedule = Schedule(text, zone)
    minutes = [schedule.following(start)]
    while len(minutes) < 6:
        minutes.append(schedule.following(minutes[-1]))
    assert all(a < b for a, b in pairwise(minutes))
    assert all(m.tzinfo is UTC and m.second == 0 for m in minutes)
    between = start + timedelta(minutes=later)
    expected = next((m for m in minutes if m > between), None)
    assert expected is None or schedule.following(between) == expected
    passed = [m for m in minutes if m <= between]
    if expected is not None:
        assert schedule.latest(start, between) == (passed[-1] if passed else None)


looks = st.fixed_dictionaries(
    {
        "after": st.integers(1, 200_000)
        | st.integers(1, 1000),  # seconds, or the operator was down
        "jump": st.just(0) | st.integers(-3 * 86_400, 3 * 86_400),  # of the clock
        "suspend": st.sampled_from([False] * 5 + [True]),
        "lost": st.sampled_from([False] * 9 + [True]),  # the status, with the mark in it
    }
)


@settings(deadline=None)
@given(
    text=TEXTS,
    zone=ZONES,
    spread=st.sampled_from([0, 30, 24 * 60]),
    start=starts,
    looks=st.lists(looks, max_size=40),
)
@example(
    text="0 3 * * *",
    zone="UTC",
    spread=0,
    start=at("2026-03-02T02:00"),
    looks=[
        {"after": 3700, "jump": 0, "suspend": False, "lost": False},
        {"after": 60, "jump": -7200, "suspend": False, "lost": False},
        {"after": 7300, "jump": 0, "suspend": False, "lost": False},
    ],
)
def test_never_two_for_a_minute_and_always_one_for_the_latest(
    text: str, zone: str, spread: int, start: datetime, looks: list[dict[str, Any]]
) -> None:
    """A world in which the operator stops, its clock jumps, and the status gets lost."""
    schedule, wait = Schedule(text, zone), delay(timedelta(minutes=spread), UID)
    now, last = start, None
    names: list[str] = []
    forgetful = False
    for look in looks:
        now += timedelta(seconds=look["after"] + look["jump"])
        last = None if look["lost"] else last
        # What is there already is asked for again only where the mark was lost, or of no use.
        forgetful |= look["lost"] or (last is not None and last > now + CREDIBLE)
        policy = BackupPolicy(text, zone, look["suspend"], spread=timedelta(minutes=spread))
        found = due(policy, UID, last, start, now)
        if look["suspend"]:
            assert (found.at, found.next) == (None, None)
            begun = schedule.latest(start, now - wait - RESUME_WITHIN)
            if begun is not None and last is None:
                assert found.passed == begun
            last = found.passed
            continue
        assert found.next is not None
        assert found.next > now
        if found.at is not None:
            assert found.at + wait <= now
            name = backup_name("db", found.at)
            assert forgetful or name not in names
            if name not in names:
                names.append(name)
        last = found.passed
        latest = schedule.latest(start, now - wait)
        if latest is not None and found.at is None:
            assert last is not None
            assert last >= latest
        elif latest is not None:
            assert found.at == latest
