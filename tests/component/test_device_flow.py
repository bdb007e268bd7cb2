"""Signing in with a GitHub that does what it is told."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from component.fake_github import PENDING, FakeGitHub, serving
from component.gateway_server import Running, gateway
from postbase_operator.gateway import device_flow, tokens
from postbase_operator.gateway.device_flow import DeviceFlow, GitHubUser, Waiting
from postbase_operator.gateway.settings import GatewaySettings

SLOW = {"error": "slow_down", "interval": 10}


def settings(github: FakeGitHub, **others: Any) -> GatewaySettings:
    chosen = {"sign_in": "open", "github_client_id": github.client_id, **others}
    return GatewaySettings(github_url=github.url, **chosen)


@asynccontextmanager
async def signing_in(github: FakeGitHub, **others: Any) -> AsyncIterator[Running]:
    with serving(github):
        async with gateway(settings(github, **others)) as running:
            yield running


async def post(running: Running, path: str, body: Any = None) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(running.url + path, json=body) as answer,
    ):
        assert answer.headers["Cache-Control"] == "no-store"
        return answer.status, await answer.json()


async def start(running: Running) -> str:
    status, body = await post(running, "/auth/device")
    assert status == 200, body
    assert body["data"]["user_code"] == "ABCD-1234"
    assert set(body["data"]) == {
        "device_code",
        "user_code",
        "verification_uri",
        "expires_in",
        "interval",
    }
    return str(body["data"]["device_code"])


async def poll(running: Running, code: str) -> tuple[int, Any]:
    return await post(running, "/auth/device/token", {"device_code": code})


async def test_from_the_code_to_the_token() -> None:
    async with signing_in(FakeGitHub(script=[None])) as running:
        code = await start(running)
        status, body = await poll(running, code)
        assert status == 200, body
        token = body["data"]["access_token"]
        assert tokens.is_token(token)
        user = body["data"]["user"]
        assert (user["github_id"], user["login"]) == (12345, "octocat")
        assert user["email"] == "octocat@example.com"
        headers = {"Authorization": f"Bearer {token}"}
        async with (
            aiohttp.ClientSession() as session,
            session.get(running.url + "/auth/me", headers=headers) as answer,
        ):
            me = (await answer.json())["data"]
        assert me["id"] == user["id"]
        written = str(running.cluster.writes)
        assert token not in written
        assert "gho_secret" not in written


async def test_pending_and_no_sooner_than_github_wants() -> None:
    github = FakeGitHub(script=[PENDING, None], interval=60)
    async with signing_in(github) as running:
        code = await start(running)
        for _ in range(5):
            assert await poll(running, code) == (
                200,
                {"success": True, "data": {"status": "pending"}},
            )
        assert len(github.polls) == 1


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_slow_down_is_passed_on_and_heeded() -> None:
    clock = Clock()
    with serving(FakeGitHub(script=[PENDING, SLOW, None], interval=5)) as github:
        flow = DeviceFlow(settings(github), clock)
        code = (await flow.start())["device_code"]

        async def signed_in(user: GitHubUser) -> str:
            return user.login

        assert await flow.poll(code, signed_in) == Waiting()
        clock.now += 5
        assert await flow.poll(code, signed_in) == Waiting(10)
        clock.now += 5
        assert await flow.poll(code, signed_in) == Waiting()
        assert len(github.polls) == 2
        clock.now += 5
        assert await flow.poll(code, signed_in) == "octocat"


@pytest.mark.parametrize(
    ("told", "status", "code"),
    [
        ({"error": "expired_token"}, 400, "DEVICE_CODE_EXPIRED"),
        ({"error": "token_expired"}, 400, "DEVICE_CODE_EXPIRED"),
        ({"error": "access_denied"}, 400, "ACCESS_DENIED"),
        ({"error": "incorrect_device_code"}, 400, "INVALID_DEVICE_CODE"),
        ({"error": "device_flow_disabled"}, 503, "SERVICE_UNAVAILABLE"),
        ({"error": "what_is_this"}, 503, "SERVICE_UNAVAILABLE"),
        (500, 503, "SERVICE_UNAVAILABLE"),
        (429, 503, "SERVICE_UNAVAILABLE"),
        ("<html>garbage", 503, "SERVICE_UNAVAILABLE"),
        ("[]", 503, "SERVICE_UNAVAILABLE"),
        ({}, 503, "SERVICE_UNAVAILABLE"),
    ],
    ids=str,
)
async def test_what_github_says_else(told: Any, status: int, code: str) -> None:
    async with signing_in(FakeGitHub(script=[told])) as running:
        got, body = await poll(running, await start(running))
        assert (got, body["error"]["code"]) == (status, code)
        assert not running.cluster.writes


async def test_github_is_away() -> None:
    github = FakeGitHub()
    async with signing_in(github) as running:
        code = await start(running)
    async with gateway(settings(github)) as running:
        status, body = await poll(running, code)
        assert (status, body["error"]["code"]) == (503, "SERVICE_UNAVAILABLE")


async def test_polls_at_the_same_time_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """GitHub answers the first once the gateway has them all."""
    github = FakeGitHub(script=[None], answers=threading.Event())
    came, flows = itertools.count(1), DeviceFlow.poll

    async def poll_of_the_flow(flow: DeviceFlow, *given: Any) -> Any:
        if next(came) == 4 and github.answers is not None:
            github.answers.set()
        return await flows(flow, *given)

    monkeypatch.setattr(DeviceFlow, "poll", poll_of_the_flow)
    monkeypatch.setattr(device_flow, "TIMEOUT", aiohttp.ClientTimeout(total=60))
    async with signing_in(github) as running:
        code = await start(running)
        answers = await asyncio.gather(*(poll(running, code) for _ in range(4)))
        assert len(github.polls) == 1
        assert len({body["data"]["access_token"] for _, body in answers}) == 1


async def test_no_client_id_no_sign_in() -> None:
    async with signing_in(FakeGitHub(), github_client_id="") as running:
        status, body = await post(running, "/auth/device")
        assert (status, body["error"]["code"]) == (503, "SERVICE_UNAVAILABLE")


@pytest.mark.parametrize(
    ("policy", "in_"),
    [
        ({"sign_in": "open"}, True),
        ({"sign_in": "closed", "allowed_logins": ("octocat",)}, False),
        ({"sign_in": "allow-list"}, False),
        ({"sign_in": "allow-list", "allowed_logins": ("OctoCat",)}, True),
        ({"sign_in": "allow-list", "allowed_organizations": ("acme",)}, True),
        ({"sign_in": "allow-list", "allowed_organizations": ("other",)}, False),
    ],
    ids=str,
)
async def test_who_gets_an_account(policy: dict[str, Any], in_: bool) -> None:
    github = FakeGitHub(script=[None], organizations=["Acme"])
    async with signing_in(github, **policy) as running:
        status, body = await poll(running, await start(running))
        assert status == (200 if in_ else 400), body
        assert bool(running.cluster.writes) is in_
        asked = "/user/orgs" in github.asked
        assert asked is ("allowed_organizations" in policy)


async def test_who_has_an_account_gets_in_where_it_is_closed_for_others() -> None:
    github = FakeGitHub(script=[None])
    async with signing_in(github, sign_in="open") as running:
        first = (await poll(running, await start(running)))[1]["data"]["user"]["id"]
        object.__setattr__(running.services.settings, "sign_in", "closed")
        status, body = await poll(running, await start(running))
        assert (status, body["data"]["user"]["id"]) == (200, first)


async def test_a_login_that_has_changed() -> None:
    github = FakeGitHub(script=[None])
    async with signing_in(github) as running:
        await poll(running, await start(running))
        github.user["login"] = "renamed"
        status, body = await poll(running, await start(running))
        assert (status, body["data"]["user"]["login"]) == (200, "renamed")
