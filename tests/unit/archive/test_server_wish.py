"""What a Caretaker is told, and tells: both ends read the same, and nothing of it gives a password
away."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from postbase_operator.archive.receiver_environment import one_line
from postbase_operator.archive.record import UnreadableRecord
from postbase_operator.archive.server_wish import (
    REPORT,
    WISH,
    WISH_REVISION,
    ServerReport,
    ServerWish,
    ToldFacts,
    Trouble,
    WantedExtension,
    WantedLogin,
    server_report_in,
    wish_in,
)

AT = datetime(2026, 11, 29, 12, 30, 0, 250_000, tzinfo=UTC)
WANTED = ServerWish(
    superuser="the superuser's own",
    owner="app",
    database="app",
    logins=(WantedLogin(user="app_a", password="hunter2"),),
    closed=("app_b",),
    extensions=(WantedExtension(name="pg_trgm"),),
    settings={"work_mem": "8MB"},
    settings_revision="r1",
    replication="the receiver's own",
)
FACTS = ToldFacts(
    system_id="7",
    version="17.10",
    started_at=AT,
    in_recovery=False,
    loaded_revision="r1",
    mounted_revision="r1",
    access_right=True,
    logins=(WANTED.mark(WANTED.logins[0]),),
)
SAID = ServerReport(wish=WANTED.revision, at=AT, facts=FACTS)


def test_what_is_written_is_what_is_read() -> None:
    variables = WANTED.variables()
    assert set(variables) == {WISH, WISH_REVISION}
    assert wish_in(variables) == WANTED
    assert wish_in({}) is None
    assert "\n" not in variables[WISH]
    with pytest.raises(UnreadableRecord, match="the wish of a server"):
        wish_in({WISH: "{}"})


def test_a_line_of_the_log_is_read_and_any_other_is_not() -> None:
    trouble = Trouble(field="spec.parameters.work_mem", why="no", reason="ParametersRejected")
    for said in (SAID, ServerReport(wish="w", at=AT, error="no answer", trouble=trouble)):
        assert server_report_in(f"2026-11-29 12:30:00 {REPORT}{one_line(said)}") == said
    for line in ("", "ready", f"{REPORT}{{", f"postbase-report {one_line(SAID)}"):
        assert server_report_in(line) is None


def test_each_change_of_a_wish_is_another_revision() -> None:
    changes: list[dict[str, object]] = [
        {"superuser": "x"},
        {"logins": (WantedLogin(user="app_a", password="x"),)},
        {"closed": ()},
        {"extensions": ()},
        {"settings_revision": "r2"},
        {"replication": "x"},
        {"archives": True},
        {"makes_database": False},
    ]
    seen = {WANTED.model_copy(update=change).revision for change in changes}
    assert len(seen | {WANTED.revision}) == len(changes) + 1


def test_nothing_that_is_told_gives_a_password_away() -> None:
    """Not by its sum either: somebody's own may be guessed, and the superuser's may not."""
    login = WANTED.logins[0]
    told = one_line(SAID) + WANTED.revision + repr(WANTED)
    for secret in (login.password, WANTED.superuser, WANTED.replication):
        assert secret not in told
    other = WANTED.model_copy(update={"superuser": "another"})
    assert other.mark(login) != WANTED.mark(login)
    assert WANTED.mark(WantedLogin(user="app_b", password="hunter2")) != WANTED.mark(login)
