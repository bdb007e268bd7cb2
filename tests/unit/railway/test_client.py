"""The transport, against a server of our own: what is sent, and what each answer becomes."""

from __future__ import annotations

import logging
import socket
import traceback
from typing import Any

import pytest

from postbase_operator.errors import Denied, PostbaseError, Throttled, Unavailable
from postbase_operator.railway import operations
from postbase_operator.railway.graphql import changes, client, reads
from postbase_operator.railway.graphql.answers import Done, Me
from postbase_operator.railway.graphql.budget import Budgets, Rates
from postbase_operator.railway.graphql.client import Client, Token, TokenKind
from postbase_operator.railway.graphql.faults import (
    Blocked,
    InvalidDocument,
    NotFound,
    TooMany,
    TooQuickly,
    UnknownOutcome,
)
from postbase_operator.railway.graphql.reads import Place
from postbase_operator.railway.graphql.values import NULL
from unit.railway.server import CUT, HALF, SECRET, SILENT, Reply, error, ok, served

PLACE = Place("p1", "e1")
ME = ok(me={"workspaces": [{"id": "w1", "name": "team", "more": 1}]})
PAGE = b"<!DOCTYPE html><html>Attention Required! | Cloudflare</html>"


@pytest.mark.parametrize(
    ("kind", "header", "value"),
    [
        (TokenKind.ACCOUNT, "Authorization", f"Bearer {SECRET}"),
        (TokenKind.WORKSPACE, "Authorization", f"Bearer {SECRET}"),
        (TokenKind.PROJECT, "Project-Access-Token", SECRET),
    ],
)
@pytest.mark.trap("token-headers", "page-in-place-of-json")
async def test_each_kind_of_token_has_its_header(kind: TokenKind, header: str, value: str) -> None:
    async with served(ME, kind=kind) as (server, railway):
        found = await reads.workspaces(railway, TokenKind.ACCOUNT)
    assert [(each.id, each.name) for each in found] == [("w1", "team")]
    sent = server.headers[0]
    assert sent.get(header) == value
    assert ("Authorization" in sent) != ("Project-Access-Token" in sent)
    assert server.queries == ["source=postbase-operator"]
    assert sent["Content-Type"] == "application/json"
    assert "application/json" in sent["Accept"]
    assert server.bodies[0]["operationName"] == "AccountWorkspaces"
    assert server.bodies[0]["query"] == operations.ACCOUNT_WORKSPACES.body


@pytest.mark.trap("null-is-not-absent")
async def test_absent_is_absent_and_cleared_is_null() -> None:
    async with served(ok(serviceInstanceUpdate=True)) as (server, railway):
        wanted = {"startCommand": NULL, "region": None, "source": {"image": "postgres"}}
        await changes.update_instance(railway, PLACE, "s1", wanted)
    assert server.bodies[0]["variables"] == {
        "serviceId": "s1",
        "environmentId": "e1",
        "input": {"startCommand": None, "source": {"image": "postgres"}},
    }


async def look(railway: Client) -> None:
    await railway.ask(operations.ACCOUNT_WORKSPACES, Me)


async def change(railway: Client) -> None:
    await railway.ask(operations.DELETE_VOLUME, Done, {"volumeId": "v1"})


@pytest.mark.parametrize(
    ("turn", "query", "mutation"),
    [
        (CUT, Unavailable, UnknownOutcome),
        (HALF, Unavailable, UnknownOutcome),
        (Reply(b"<html>504</html>", 504), Unavailable, UnknownOutcome),
        (Reply(b"Bad Gateway", 502), Unavailable, UnknownOutcome),
        (Reply(PAGE, 200), Unavailable, UnknownOutcome),
        (Reply(b"", 302, {"Location": "http://127.0.0.1:1/"}), Unavailable, UnknownOutcome),
        (Reply([1]), Unavailable, UnknownOutcome),
        (Reply({"data": None}), Unavailable, UnknownOutcome),
        (Reply({"data": {"other": 1}}), Unavailable, UnknownOutcome),
        (Reply({"data": {"volumeDelete": False}}), Unavailable, UnknownOutcome),
        (Reply(PAGE, 403), Blocked, Blocked),
        (Reply({"error": "no"}, 401), Denied, Denied),
        (Reply(b"", 429, {"Retry-After": "7"}), TooMany, TooMany),
        (error("Volume not found"), NotFound, NotFound),
        (error("creating volumes too quickly"), TooQuickly, TooQuickly),
    ],
)
async def test_what_each_answer_becomes(
    turn: Any, query: type[PostbaseError], mutation: type[PostbaseError]
) -> None:
    async with served(turn) as (server, railway):
        with pytest.raises(query) as asked:
            await look(railway)
        assert asked.type is query
    async with served(turn) as (server, railway):
        with pytest.raises(mutation) as changed:
            await change(railway)
        assert changed.type is mutation
        assert len(server.bodies) == 1, "a change is never sent twice"


async def test_no_answer_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "QUERY_SECONDS", 0.2)
    monkeypatch.setattr(client, "CHANGE_SECONDS", 0.2)
    async with served(SILENT) as (_, railway):
        with pytest.raises(Unavailable) as asked:
            await look(railway)
        assert asked.type is Unavailable
        with pytest.raises(UnknownOutcome):
            await change(railway)


async def test_what_was_never_sent_has_not_been_made() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and nobody listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        async with Client(Token(TokenKind.ACCOUNT, SECRET), Budgets(), url) as railway:
            with pytest.raises(Unavailable) as refused:
                await change(railway)
    assert refused.type is Unavailable


async def test_a_pause_is_kept_by_all_that_send_with_the_token() -> None:
    slow = Reply({"errors": [{"message": "Too many"}]}, 429, {"Retry-After": "30"})
    async with served(slow, ME) as (server, railway):
        with pytest.raises(Throttled) as first:
            await look(railway)
        assert first.value.seconds == 30
        with pytest.raises(Throttled):
            await change(railway)
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    "turn", [Reply(PAGE, 403), Reply(b"", 429), Reply(b"", 429, {"X-RateLimit-Reset": "90"})]
)
async def test_one_without_a_time_is_kept_too(turn: Reply) -> None:
    async with served(turn, ME) as (server, railway):
        with pytest.raises(Throttled) as first:
            await look(railway)
        assert first.value.seconds == (90 if "X-RateLimit-Reset" in turn.headers else 60)
        with pytest.raises(Throttled):
            await look(railway)
    assert len(server.bodies) == 1


@pytest.mark.trap("too-quickly")
async def test_making_too_quickly_stops_nothing_else() -> None:
    async with served(error("creating volumes too quickly"), ME) as (_, railway):
        with pytest.raises(TooQuickly):
            await change(railway)
        await look(railway)


async def test_the_budget_follows_the_headers() -> None:
    told = {"X-RateLimit-Limit": "1000", "X-RateLimit-Remaining": "100", "X-RateLimit-Reset": "600"}
    first = Reply(ME.body, 200, told)
    async with served(first, ok(volumeDelete=True)) as (server, railway):
        await look(railway)
        assert railway.budget.left == 100
        with pytest.raises(Unavailable):
            await look(railway)
        await change(railway)
        await railway.ask(operations.ACCOUNT_WORKSPACES, Done, urgent=True)
    assert len(server.bodies) == 3


@pytest.mark.trap("rate-limits")
async def test_clients_of_one_token_share_its_budget() -> None:
    budgets = Budgets(Rates(per_window=5))
    one = Client(Token(TokenKind.PROJECT, SECRET), budgets)
    assert one.budget is Client(Token(TokenKind.PROJECT, SECRET), budgets).budget
    assert one.budget is not Client(Token(TokenKind.PROJECT, "other"), budgets).budget


def without_etag(body: dict[str, Any]) -> Reply:
    """A Railway that is older than the schema."""
    if "configEtag" in body["query"]:
        why = 'Cannot query field "configEtag" on type "Environment". Did you mean "config"?'
        code = {"code": "GRAPHQL_VALIDATION_FAILED"}
        return Reply({"errors": [{"message": why, "extensions": code}]}, 400)
    none: dict[str, Any] = {"edges": [], "pageInfo": {"hasNextPage": False}}
    shown = {"id": "e1", "name": "production", "serviceInstances": none, "volumeInstances": none}
    return ok(environment=shown)


@pytest.mark.trap("schema-moves")
async def test_a_field_that_railway_does_not_have_is_left_out_and_remembered() -> None:
    async with served(without_etag) as (server, railway):
        for _ in range(2):
            assert (await reads.environment(railway, PLACE)).config_etag is None
    assert ["configEtag" in body["query"] for body in server.bodies] == [True, False, False]


async def test_a_field_that_is_needed_is_not_left_out() -> None:
    needed = Reply({"errors": [{"message": 'Cannot query field "id" on type "Environment".'}]}, 400)
    async with served(needed) as (server, railway):
        with pytest.raises(InvalidDocument):
            await reads.environment(railway, PLACE)
    assert len(server.bodies) == 1


PASSWORD = "p4ssw0rd-of-a-database"


@pytest.mark.parametrize(
    "turn",
    [
        error(f"no: {SECRET} {PASSWORD}"),
        error(f'Variable "$input" got invalid value {{"P":"{PASSWORD}"}} at "input"; {SECRET}'),
        Reply({"data": {"variableCollectionUpsert": PASSWORD}}),
        Reply(f"<html>{SECRET}{PASSWORD}</html>".encode(), 403),
        Reply(f"{SECRET}{PASSWORD}".encode(), 500),
        CUT,
        HALF,
    ],
)
async def test_neither_token_nor_password_is_told(
    turn: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with served(turn) as (_, railway):
        with pytest.raises(PostbaseError) as failed:
            await changes.set_variables(railway, PLACE, "s1", {"POSTGRES_PASSWORD": PASSWORD})
        assert SECRET not in f"{railway!r} {vars(railway)!r}"
    told = "".join(traceback.format_exception(failed.value)) + repr(failed.value) + caplog.text
    assert SECRET not in told
    assert PASSWORD not in told


async def test_a_password_that_is_read_is_not_told_of_an_answer_that_is_strange() -> None:
    async with served(ok(variables={"POSTGRES_PASSWORD": [PASSWORD]})) as (_, railway):
        with pytest.raises(Unavailable) as failed:
            await reads.variables(railway, PLACE, "s1")
    told = "".join(traceback.format_exception(failed.value))
    assert "variables.POSTGRES_PASSWORD" in told
    assert PASSWORD not in told


async def test_a_client_is_used_within_its_time() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await look(Client(Token(TokenKind.ACCOUNT, SECRET), Budgets()))
