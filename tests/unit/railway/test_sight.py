"""How long what was seen counts, and what counts while the rest of a window is for changes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from postbase_operator.errors import Throttled
from postbase_operator.railway.graphql.budget import Reserved, Said
from postbase_operator.railway.graphql.client import Client
from postbase_operator.railway.graphql.sight import LONGEST_NOTED, NOTED, Sight
from unit.railway.server import Reply, Server, ok, served
from unit.railway.test_budget import Clock
from unit.railway.test_reads import PLACE, instance, page, proxy, seen, volume


@dataclass
class Scene:
    server: Server
    client: Client
    sight: Sight
    clock: Clock = field(default_factory=Clock)

    @property
    def asked(self) -> int:
        return len(self.server.bodies)

    def told(self, remaining: int) -> None:
        """What Railway says is left of the token, of which nobody here has used it."""
        budget = self.client.budget
        budget.settle(budget.enter(urgent=True), Said(1000, remaining, 3000.0))


@asynccontextmanager
async def scene(*answers: object) -> AsyncIterator[Scene]:
    clock = Clock()
    async with served(*answers) as (server, client):
        yield Scene(server, client, Sight(client, PLACE, clock), clock)


PAGE = b"<!DOCTYPE html><html><title>Attention Required! | Cloudflare</title></html>"


def shown() -> object:
    return seen(page([instance(1)]), page([volume(1)]), proxy0=[proxy(1)])


async def test_without_a_budget_for_looks_what_was_seen_last_counts_on() -> None:
    async with scene(shown()) as at:
        state = await at.sight.look("db-1")
        asked = at.asked
        at.told(100)
        at.clock.now += 600
        assert await at.sight.look("db-1") is state
        assert at.asked == asked
        await at.sight.look("db-1", fresh=True)  # what must not be done twice is urgent
        assert at.asked == asked + 1


@pytest.mark.parametrize("turn", [Reply(b"", 429, {"Retry-After": "900"}), Reply(PAGE, 403)])
async def test_while_railway_turns_us_away_likewise(turn: Reply) -> None:
    async with scene(shown(), shown(), turn) as at:
        state = await at.sight.look("db-1")
        at.clock.now += 600
        for _ in range(3):
            assert await at.sight.look("db-1") is state
        assert at.asked == 3  # it is not asked on and on
        with pytest.raises(Throttled):
            await at.sight.look("db-1", fresh=True)


async def test_what_we_have_changed_is_not_told_as_it_was() -> None:
    async with scene(shown()) as at:
        await at.sight.look("db-1")
        at.told(100)
        at.sight.changed("s1")
        with pytest.raises(Reserved):
            await at.sight.look("db-1")


async def test_notes_likewise() -> None:
    async with scene(ok(variables={"A": "1"})) as at:
        assert await at.sight.variables("s1") == {"A": "1"}
        at.told(100)
        at.clock.now += 2 * LONGEST_NOTED
        assert await at.sight.variables("s1") == {"A": "1"}
        with pytest.raises(Reserved):
            await at.sight.variables("s2")
        assert at.asked == 1


async def test_notes_count_for_longer_where_others_use_the_token() -> None:
    async with scene(ok(variables={})) as at:
        at.told(999)
        at.told(900)  # two of ours, and 98 of others: looks are fifty times as rare
        await at.sight.variables("s1")
        at.clock.now += 2 * NOTED
        await at.sight.variables("s1")
        assert at.asked == 1
        at.clock.now += LONGEST_NOTED
        await at.sight.variables("s1")
        assert at.asked == 2
