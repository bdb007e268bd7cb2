"""When a Caretaker tells its report, and when it looks again."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from types import SimpleNamespace
from typing import cast

import pytest

from postbase_operator.archive.receiver import ReceiverConfig
from postbase_operator.archive.receiver_environment import CONFIG, HOST, PORT, one_line
from postbase_operator.archive.record import UnreadableRecord
from postbase_operator.archive.server_wish import ServerReport, ToldReceiver, Trouble
from postbase_operator.jobs.caretaker import (
    LOOK_SECONDS,
    NEWS,
    SOON,
    TOLD_AGAIN,
    TOLD_SOON,
    Caretaker,
    Teller,
    pause,
)
from postbase_operator.jobs.far_receiver import caretaker_of
from postbase_operator.postgres.caring import Caring
from unit.archive.test_receiver import OWNER
from unit.archive.test_server_wish import AT, FACTS, SAID, WANTED

SILENT = ServerReport(wish="w", at=AT, error="PostgreSQL: no")
READS = ToldReceiver(at=AT, server="0/1", timeline=1)
WHERE = {HOST: "shop-main-1.railway.internal", PORT: "5432"}


def test_news_are_told_again_for_a_while() -> None:
    """A deployment may be dated later than its server's first answer."""
    now = [0.0]
    teller = Teller(lambda: now[0])
    told = []
    while now[0] < NEWS + 2 * TOLD_AGAIN:
        if teller.is_due(SAID):
            told.append(now[0])
        now[0] += 1.0
    assert told[:3] == [0.0, TOLD_SOON, 2 * TOLD_SOON]
    assert [each for each in told if each < NEWS] == told[: int(NEWS / TOLD_SOON)]
    late = [each for each in told if each >= NEWS]
    assert late[0] == NEWS - TOLD_SOON + TOLD_AGAIN
    assert late[1] == late[0] + TOLD_AGAIN


def test_figures_are_told_with_the_next_line_and_all_else_at_once() -> None:
    now = [0.0]
    teller = Teller(lambda: now[0])
    assert teller.is_due(SAID)
    assert not teller.is_due(SAID)
    later = SAID.model_copy(update={"at": AT + timedelta(seconds=15)})
    grown = SAID.model_copy(update={"facts": FACTS.model_copy(update={"used_bytes": 7})})
    moved = SAID.model_copy(update={"receiver": READS})
    assert not teller.is_due(later)
    assert not teller.is_due(grown)
    now[0] = TOLD_AGAIN
    assert teller.is_due(grown)
    assert teller.is_due(moved)  # somebody looks at the slot from now on
    assert not teller.is_due(
        moved.model_copy(update={"receiver": READS.model_copy(update={"server": "0/2"})})
    )
    trouble = Trouble(field="spec.extensions", why="no", reason="ExtensionUnavailable")
    changes: list[dict[str, object]] = [
        {"trouble": trouble},
        {"facts": FACTS.model_copy(update={"access_right": False})},
        {"facts": FACTS.model_copy(update={"pending_restart": ("max_connections",)})},
        {"error": "PostgreSQL: no", "facts": None},
        {"wish": "another"},
    ]
    for change in changes:
        assert teller.is_due(SAID.model_copy(update=change)), change


def test_it_looks_again_at_once_while_something_is_on_its_way() -> None:
    assert pause(SAID, did=False) == LOOK_SECONDS
    assert pause(SAID, did=True) == SOON
    assert pause(SILENT, did=False) == SOON
    recovers = SAID.model_copy(update={"facts": FACTS.model_copy(update={"in_recovery": True})})
    assert pause(recovers, did=False) == SOON


async def test_a_look_that_hangs_is_told_as_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packets to a host that has gone are lost, and nobody says so."""

    async def hangs() -> ServerReport:
        await asyncio.Event().wait()
        raise AssertionError

    caring = SimpleNamespace(look=hangs, now=lambda: AT, wish=WANTED)
    monkeypatch.setattr("postbase_operator.jobs.caretaker.LONGEST_LOOK", 0.01)
    said = await Caretaker(cast(Caring, caring), archives=False)._look()
    assert (said.facts, said.wish, said.at) == (None, WANTED.revision, AT)
    assert "no answer within" in said.error


def test_it_is_told_by_variables_and_lives_alone_where_nothing_is_archived() -> None:
    assert caretaker_of(WHERE) is None
    alone = Caretaker.told(WHERE | WANTED.variables() | {CONFIG: one_line(ReceiverConfig())})
    assert alone is not None
    assert not alone.archives
    on = one_line(ReceiverConfig(enabled=True, owner=OWNER))
    beside = caretaker_of(WHERE | WANTED.variables() | {CONFIG: on})
    assert beside is not None
    assert beside.archives
    with pytest.raises(UnreadableRecord, match=HOST):
        Caretaker.told(WANTED.variables())
