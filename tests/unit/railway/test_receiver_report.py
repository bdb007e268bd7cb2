"""How archiving does, by what the server says of its receiver, what the archive has, and a log."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from postbase_operator.api.database_status import ReceiverState
from postbase_operator.api.policies import RecoveryPoint
from postbase_operator.archive.lsn import SEGMENT_SIZE, Lsn
from postbase_operator.archive.receiver import (
    Failure,
    FailureReason,
    ReceiverConfig,
    ReceiverReport,
)
from postbase_operator.archive.wal_index import Run
from postbase_operator.planning.window import Log, Stretch
from postbase_operator.postgres.replication import ReceiverSeen
from postbase_operator.railway.wal.receiver_report import (
    Known,
    completed,
    explained,
    is_well,
    learnt,
    report,
)
from unit.archive.test_receiver import OWNER

NOW = datetime(2026, 11, 28, 20, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ASYNC = ReceiverConfig(enabled=True, owner=OWNER)
ZERO = ReceiverConfig(enabled=True, owner=OWNER, rpo=RecoveryPoint.ZERO, fallback_after_seconds=30)
CAUGHT_UP = ReceiverSeen(
    at=NOW,
    server=Lsn(2 * SEGMENT_SIZE + 100),
    timeline=1,
    connected_at=NOW - 60 * SECOND,
    state="streaming",
    received=Lsn(2 * SEGMENT_SIZE + 100),
    durable=Lsn(2 * SEGMENT_SIZE + 100),
    kept=Lsn(2 * SEGMENT_SIZE + 100),
)
DENIED = Failure(reason=FailureReason.STORE_DENIED, message="403", at=NOW)


def seen(at: float = 0, server: int = 0, durable: int | None = 0, **more: Any) -> ReceiverSeen:
    """So many seconds later, so many bytes further."""
    base = CAUGHT_UP.server
    return replace(
        CAUGHT_UP,
        at=NOW + at * SECOND,
        server=Lsn(base + server),
        durable=None if durable is None else Lsn(base + durable),
        **more,
    )


def told(*looks: ReceiverSeen, config: ReceiverConfig = ASYNC) -> ReceiverReport | None:
    known = Known()
    for each in looks:
        known = learnt(known, each)
    return report(looks[-1], known, config)


def said(**more: Any) -> ReceiverReport:
    """By the receiver itself, in its log."""
    wire: dict[str, Any] = {"state": ReceiverState.ERROR, "started_at": NOW, "writer": "1"}
    return ReceiverReport(**(wire | {"last_error": DENIED} | more))


def test_one_that_has_all_covers_the_moment_of_the_question() -> None:
    found = told(CAUGHT_UP)
    assert found is not None
    assert (found.state, found.lag_bytes, found.lag_seconds) == (ReceiverState.RUNNING, 0, 0.0)
    assert (found.durable_lsn, found.covered_until) == (str(CAUGHT_UP.server), NOW)
    assert found.started_at == CAUGHT_UP.connected_at
    assert is_well(found)


def test_under_load_it_is_behind_by_bytes_and_not_by_the_time_between_two_looks() -> None:
    found = told(CAUGHT_UP, seen(20, 900, 800), seen(40, 1900, 1800, lag_seconds=0.4))
    assert found is not None
    assert (found.lag_bytes, found.lag_seconds) == (100, 0.4)
    assert found.covered_until == NOW  # that much is certain


def test_what_the_archive_lacks_for_long_is_a_lag_of_as_long() -> None:
    looks = [CAUGHT_UP, seen(10, 500, 0), seen(30, 900, 400)]
    found = told(*looks)
    assert found is not None
    assert found.lag_seconds == 20.0  # 500 was there at 10, and is not archived at 30
    assert not is_well(found)
    later = told(*looks, seen(40, 950, 500, lag_seconds=30.0))
    assert later is not None
    assert later.lag_seconds == 30.0  # as PostgreSQL has measured of what has come through
    assert told(*looks, seen(50, 950, 950)) == told(seen(50, 950, 950))


def test_before_the_first_word_nothing_is_durable() -> None:
    found = told(seen(0, 10, None), seen(15, 10, None))
    assert found is not None
    assert (found.durable_lsn, found.lag_bytes, found.lag_seconds) == (None, 0, 15.0)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("streaming", ReceiverState.RUNNING),
        ("catchup", ReceiverState.RUNNING),
        ("startup", ReceiverState.STARTING),
    ],
)
def test_states(state: str, expected: ReceiverState) -> None:
    found = told(replace(CAUGHT_UP, state=state))
    assert found is not None
    assert found.state is expected


def test_the_promise_is_suspended_after_fallback_and_only_where_it_is_given() -> None:
    looks = [CAUGHT_UP, seen(10, 500, 0), seen(39, 500, 0)]
    assert [told(*looks[:n], config=ZERO).suspended for n in (1, 2, 3)] == [False] * 3  # type: ignore[union-attr]
    late = [*looks, seen(40, 500, 0)]
    assert told(*late, config=ZERO).suspended  # type: ignore[union-attr]
    assert not told(*late, config=ASYNC).suspended  # type: ignore[union-attr]
    forever = ZERO.model_copy(update={"fallback_after_seconds": None})
    assert not told(*late, config=forever).suspended  # type: ignore[union-attr]


GONE = replace(CAUGHT_UP, connected_at=None, state="", received=None, durable=None)


@pytest.mark.trap("private-network-only")
def test_without_a_connection_its_log_says_why_and_the_server_how_far() -> None:
    assert told(GONE) is None
    known = learnt(Known(), GONE)
    assert explained(None, None, GONE, known, ASYNC) is None
    assert explained(None, said(last_error=None), GONE, known, ASYNC) is None
    further = replace(GONE, server=Lsn(GONE.server + 7))
    found = explained(None, said(durable_lsn="0/1"), further, known, ASYNC)
    assert found is not None
    assert (found.state, found.last_error) == (ReceiverState.ERROR, DENIED)
    assert (found.durable_lsn, found.lag_bytes) == (str(CAUGHT_UP.kept), 7)
    begun = explained(None, said(), further, known, ASYNC)
    assert begun is not None
    assert begun.durable_lsn is None  # the slot alone is no archive


def test_what_one_said_while_it_ran_does_not_speak_for_one_that_has_no_connection() -> None:
    """It had an error once, then streamed, and now hangs: nothing new comes into its log."""
    known, old = learnt(Known(), GONE), said(state=ReceiverState.RUNNING, durable_lsn="0/1")
    assert old.last_error is not None
    assert explained(told(GONE), old, GONE, known, ASYNC) is None


@pytest.mark.parametrize("reason", ["ServerUnreachable", "ServerDenied", "Rollback"])
def test_the_promise_is_suspended_after_fallback_where_it_cannot_come_in(reason: str) -> None:
    """It lives and says so: of that it says nothing of the store, and there is no silence."""
    error = Failure(reason=FailureReason(reason), message="no", at=NOW)
    known = learnt(learnt(Known(), CAUGHT_UP), GONE)

    def suspended(after: float, config: ReceiverConfig = ZERO, **words: Any) -> bool:
        now = replace(GONE, at=NOW + after * SECOND)
        found = explained(None, said(last_error=error, **words), now, learnt(known, now), config)
        assert found is not None
        return found.suspended

    assert [suspended(after) for after in (0, 29, 30, 600)] == [False, False, True, True]
    assert not suspended(600, ASYNC)
    assert not suspended(600, ZERO.model_copy(update={"fallback_after_seconds": None}))
    assert suspended(0, suspended=True)  # the store was away before it


def test_one_that_gets_on_needs_no_words_and_one_that_does_not_gets_only_the_reason() -> None:
    well = told(CAUGHT_UP)
    assert explained(well, said(), CAUGHT_UP, Known(), ASYNC) == well
    stuck = [CAUGHT_UP, seen(10, 500, 0), seen(30, 500, 0)]
    behind = told(*stuck)
    assert behind is not None
    found = explained(
        behind, said(store_failing_since=NOW, durable_lsn="0/1"), stuck[-1], Known(), ASYNC
    )
    assert found is not None
    assert (found.last_error, found.store_failing_since) == (DENIED, NOW)
    assert found.durable_lsn == behind.durable_lsn


def stretch(start: int, end: int, **more: Any) -> Stretch:
    return Stretch(Run(1, Lsn(start), Lsn(end)), **more)


def test_the_archive_tells_what_has_come_in_all() -> None:
    assert completed(None, Log()) is None
    found = told(CAUGHT_UP)
    assert completed(found, None) == completed(found, Log()) == found
    whole = stretch(SEGMENT_SIZE, CAUGHT_UP.server, committed=NOW, received=123, segments=1)
    with_log = completed(found, Log((whole,)))
    assert with_log is not None
    assert (with_log.bytes_received, with_log.segments_archived) == (123, 1)
    assert with_log.last_commit_at == NOW
    assert with_log.last_segment == f"{1:08X}{0:08X}{1:08X}"
    assert not with_log.slot_lost


def test_a_segment_that_the_archive_has_not_whole_is_none_and_a_hole_is_a_lost_slot() -> None:
    young = stretch(2 * SEGMENT_SIZE, CAUGHT_UP.server)
    found = completed(told(CAUGHT_UP), Log((young,)))
    assert found is not None
    assert found.last_segment is None
    before = stretch(0, SEGMENT_SIZE)
    found = completed(told(CAUGHT_UP), Log((before, young)))
    assert found is not None
    assert found.slot_lost
