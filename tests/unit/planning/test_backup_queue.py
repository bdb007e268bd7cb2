"""Whose turn it is: never more than the limit, never two of one Database, and everybody's once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from postbase_operator.api.backup import Backup
from postbase_operator.api.runs import RunPhase
from postbase_operator.planning.backup_queue import turn
from unit.conftest import NOW


def backup(
    name: str,
    database: str,
    minute: int = 0,
    *,
    phase: str | None = None,
    origin: str = "schedule",
    waits: str = "",
    **metadata: Any,
) -> Backup:
    made = NOW + timedelta(minutes=minute)
    condition = {
        "type": "Waiting",
        "status": "True",
        "reason": waits,
        "message": "",
        "lastTransitionTime": made.isoformat(),
    }
    about = {"name": name, "namespace": "team", "creationTimestamp": made.isoformat()}
    return Backup.model_validate(
        {
            "metadata": about | {"labels": {"postbase.sh/origin": origin}} | metadata,
            "spec": {"databaseRef": {"name": database}},
            "status": {"phase": phase, "conditions": [condition] if waits else []},
        }
    )


def test_one_at_a_time_of_each_database() -> None:
    first, second = backup("a", "db", 0), backup("b", "db", 1)
    assert turn(first, [first, second], 10) == ""
    assert turn(second, [first, second], 10) == "Waits for Backup 'a' of the same Database"
    running = backup("b", "db", 1, phase="Running")
    assert turn(first, [first, running], 10) == "Waits for Backup 'b' of the same Database"
    elsewhere = backup("b", "db", 1, phase="Running", namespace="other")
    assert turn(first, [first, elsewhere], 10) == ""


def test_so_many_at_a_time_the_oldest_first() -> None:
    line = [backup(f"b{n}", f"db{n}", n) for n in range(4)]
    may = [each.metadata.name for each in line if not turn(each, line, 2)]
    assert may == ["b0", "b1"]
    assert turn(line[2], line, 2) == "Waits for its turn: 2 backups run at a time"


def test_what_people_wait_for_comes_before_schedules() -> None:
    nightly, mine = backup("n", "db1", 0), backup("m", "db2", 9, origin="manual")
    assert turn(mine, [nightly, mine], 1) == ""
    assert turn(nightly, [nightly, mine], 1)


def test_who_cannot_begin_anyway_holds_up_nobody() -> None:
    mine = backup("m", "db1", 9)
    for other in (
        backup("a", "db2", 0, phase="Pending", waits="NoObjectStore"),
        backup("a", "db1", 0, phase="Pending", waits="DatabaseNotReady"),
        backup("a", "db2", 0, deletionTimestamp=NOW.isoformat()),
        backup("a", "db2", 0, phase="Completed"),
    ):
        assert turn(mine, [other, mine], 1) == ""
    queued = backup("a", "db2", 0, phase="Pending", waits="Queued")
    assert turn(mine, [queued, mine], 1)


def test_who_waits_for_its_own_database_takes_no_other_ones_place() -> None:
    running = backup("r", "db1", 0, phase="Running")
    behind = [backup("a", "db1", 1), backup("b", "db1", 2)]
    mine = backup("m", "db2", 3)
    assert turn(mine, [running, *behind, mine], 2) == ""
    assert turn(mine, [*behind, mine], 2) == ""
    assert turn(mine, [*behind, mine], 1)


lines = st.lists(
    st.tuples(
        st.integers(0, 5),  # Database
        st.integers(0, 3),  # minute
        st.sampled_from(["schedule", "manual", "pitr"]),
        st.sampled_from(["", "", "NoObjectStore", "Queued"]),
    ),
    max_size=8,
)


@settings(deadline=None)
@given(line=lines, concurrent=st.integers(1, 4), lag=st.integers(0, 3))
def test_all_get_their_turn_and_never_too_many_at_once(
    line: list[tuple[int, int, str, str]], concurrent: int, lag: int
) -> None:
    """Rounds of looks at a list that is some starts behind; in each, one that runs may end."""
    waiting = {
        f"b{n}": backup(f"b{n}", f"db{db}", minute, phase="Pending", origin=origin, waits=waits)
        for n, (db, minute, origin, waits) in enumerate(line)
    }
    stuck = {name for name, each in waiting.items() if "NoObjectStore" in str(each.status)}
    running: dict[str, Backup] = {}
    unseen: list[str] = []
    for _ in range(3 * len(line) + 1):
        for name in [n for n in waiting if n not in stuck]:
            there = [
                each
                if n not in running or n in unseen
                else each.model_copy(
                    update={"status": each.status.model_copy(update={"phase": RunPhase.RUNNING})}
                )
                for n, each in waiting.items()
            ]
            if name not in running and not turn(waiting[name], there, concurrent):
                running[name] = waiting[name]
                unseen = [*unseen, name][-lag:] if lag else []
        assert len(running) <= concurrent
        databases = [each.spec.database_ref.name for each in running.values()]
        assert len(set(databases)) == len(databases)
        if running:
            ended = next(iter(running))
            del running[ended], waiting[ended]
            unseen = [n for n in unseen if n != ended]
    assert set(waiting) == stuck
