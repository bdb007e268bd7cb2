"""HTTP as bad clients speak it: every answer is an envelope, and nobody holds a connection up."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from component.gateway_server import Running, account, gateway, project, token_object
from postbase_operator.api.account import Plan
from postbase_operator.errors import Unavailable
from postbase_operator.gateway import answers, server, tokens
from postbase_operator.gateway.buckets import Buckets
from postbase_operator.gateway.call import Call
from postbase_operator.gateway.route import Answer, Route
from postbase_operator.gateway.settings import GatewaySettings
from postbase_operator.gateway.shapes import Health
from postbase_operator.kube.kinds import ACCOUNT, API_TOKEN, PROJECT


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    async with gateway() as found:
        yield found


async def raw(running: Running, request: bytes) -> tuple[int, dict[str, Any]]:
    """What is answered to these very bytes, with the connection left open: status and envelope."""
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    try:
        writer.write(request)
        answer = await asyncio.wait_for(reader.read(), 20)
    finally:
        writer.close()
        await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def head(method: str, path: str, token: str = "", **headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", "Connection: close"]
    lines += [f"Authorization: Bearer {token}"] if token else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def ask(running: Running, method: str, path: str, **given: Any) -> tuple[int, Any, Any]:
    headers = {**running.headers, **given.pop("headers", {})}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, running.url + path, headers=headers, **given) as answer,
    ):
        raw = await answer.read()
        return answer.status, answer.headers, json.loads(raw) if raw else None


@pytest.mark.parametrize(
    "request_",
    [
        b"NONSENSE\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /auth/device/token HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    ids=["no request", "version", "header", "length", "long line", "smuggling"],
)
async def test_what_is_no_request_gets_an_envelope(running: Running, request_: bytes) -> None:
    status, body = await raw(running, request_)
    assert status == 400
    assert body["success"] is False
    assert body["error"]["code"] == "INVALID_REQUEST"


async def test_routes_that_are_none(running: Running) -> None:
    status, headers, body = await ask(running, "GET", "/nothing")
    assert (status, body["error"]["code"]) == (404, "NOT_FOUND")
    status, headers, body = await ask(running, "PUT", "/projects")
    assert (status, body["error"]["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert headers["Allow"] == "GET, HEAD, POST"


async def test_slashes_versions_and_head_are_the_same_route(running: Running) -> None:
    for path in ("/projects/", "/v1/projects", "/v1/projects/"):
        status, _, body = await ask(running, "GET", path, allow_redirects=False)
        assert (status, len(body["data"]["projects"])) == (200, 5)
    status, headers, body = await ask(running, "HEAD", "/projects")
    assert (status, body) == (200, None)
    assert int(headers["Content-Length"]) > 100


@pytest.mark.parametrize(
    "path",
    [
        "/projects/%2e%2e%2fauth%2fme",
        "/projects/..%2f..%2f",
        "/projects/%00",
        "/projects/%ff%fe",
        "/projects/a%0d%0aX-Injected:%201",
        "//projects",
        "/projects/" + "%F0%9F%90%98" * 50,
    ],
)
async def test_path_tricks_find_nothing(running: Running, path: str) -> None:
    request = head("GET", path, running.token)
    status, body = await raw(running, request)
    assert status == 404
    assert body["success"] is False


async def test_a_body_that_is_too_long(running: Running) -> None:
    long = b'{"name": "' + b"a" * server.LONGEST_BODY + b'"}'
    json_type = {"Content-Type": "application/json"}
    status, _, body = await ask(running, "POST", "/projects", data=long, headers=json_type)
    assert (status, body["error"]["code"]) == (413, "PAYLOAD_TOO_LARGE")
    chunked = head("POST", "/projects", running.token, Transfer_Encoding="chunked")
    piece = b"%x\r\n%b\r\n" % (len(long), long)
    status, body = await raw(running, chunked + piece + b"0\r\n\r\n")
    assert status == 413


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b'{"name": "shop"}', "text/plain", 415, "UNSUPPORTED_MEDIA_TYPE"),
        (b'{"name": "shop"', "application/json", 400, "INVALID_REQUEST"),
        (b"\xff\xfe", "application/json", 400, "INVALID_REQUEST"),
        (b"[1]", "application/json", 400, "INVALID_REQUEST"),
        (b"[" * 60000, "application/json", 400, "INVALID_REQUEST"),
        (b'{"name": 1}', "application/json", 400, "INVALID_REQUEST"),
        (b'{"name": "\\ud800"}', "application/json", 400, "INVALID_REQUEST"),
        (b"", "application/json", 400, "INVALID_REQUEST"),
        (b'{"name": "shop-\\u0000"}', "application/json", 400, "INVALID_REQUEST"),
    ],
)
async def test_bodies_that_are_refused(
    running: Running, body: bytes, kind: str, status: int, code: str
) -> None:
    sent = {"Content-Type": kind}
    got, _, answer = await ask(running, "POST", "/projects", data=body, headers=sent)
    assert (got, answer["error"]["code"]) == (status, code)
    assert not running.cluster.writes


async def test_a_compressed_body_is_not_unpacked(running: Running) -> None:
    sent = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    status, _, _ = await ask(running, "POST", "/projects", data=b"\x1f\x8b", headers=sent)
    assert status == 415


async def test_a_body_that_stalls_is_ended(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "BODY_SECONDS", 0.2)
    stalled = head(
        "POST", "/projects", running.token, Content_Length="20", Content_Type="application/json"
    )
    status, body = await raw(running, stalled + b'{"na')
    assert (status, body["error"]["code"]) == (408, "REQUEST_TIMEOUT")


async def test_a_head_that_stalls_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "KEEP_ALIVE", 0.3)
    async with gateway() as running:
        for sent in (b"", b"GET / HTTP/1.1\r\nHos"):
            reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
            writer.write(sent)
            began = time.monotonic()
            assert await asyncio.wait_for(reader.read(), 14) == b""
            assert time.monotonic() - began < 14
            writer.close()
            await writer.wait_closed()


async def test_the_requests_own_id(running: Running) -> None:
    given = {"X-Request-Id": "abcdef-123456"}
    _, headers, _ = await ask(running, "GET", "/", headers=given)
    assert headers["X-Request-Id"] == "abcdef-123456"
    for bad in ("short", "a" * 65, "with space"):
        _, headers, _ = await ask(running, "GET", "/", headers={"X-Request-Id": bad})
        assert headers["X-Request-Id"] != bad
    made = {"name": "noted"}
    status, _, _ = await ask(running, "POST", "/projects", json=made, headers=given)
    assert status == 201
    notes = running.cluster.writes[0]["metadata"]["annotations"]
    assert notes["postbase.sh/request-id"] == "abcdef-123456"
    assert notes["postbase.sh/requested-by"].startswith("user_")


async def test_an_error_of_ours_tells_nothing_of_itself() -> None:
    async def broken(_: Call) -> Answer:
        raise ValueError("a secret in an exception")

    route = Route("GET", "/broken", "Broken", broken, (Health,), public=True, metered=False)
    async with gateway(routes=(route,)) as running:
        status, body = await raw(running, head("GET", "/broken"))
    assert (status, body["error"]["code"]) == (500, "INTERNAL_ERROR")
    assert "secret" not in json.dumps(body)


async def test_reads_go_on_without_kubernetes_and_writes_say_so(running: Running) -> None:
    running.cluster.fails = Unavailable("Kubernetes API", "away", 7)
    status, _, body = await ask(running, "GET", "/projects")
    assert (status, len(body["data"]["projects"])) == (200, 5)
    status, headers, body = await ask(running, "POST", "/projects", json={"name": "shop"})
    assert (status, body["error"]["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert headers["Retry-After"] == "7"


# -- tokens and rates -----------------------------------------------------------------------------


def stopped() -> Buckets:
    """Nothing comes back into them, however long a test takes."""
    return Buckets(lambda: 0.0)


async def test_a_suspended_account_and_one_that_is_gone(running: Running) -> None:
    body = account(suspended=True)
    running.index.put(ACCOUNT, {**body, "metadata": {**body["metadata"], "resourceVersion": "2"}})
    assert (await ask(running, "GET", "/projects"))[0] == 401
    orphan = tokens.new_token()
    running.index.put(API_TOKEN, token_object(orphan, number=9))
    headers = {"Authorization": f"Bearer {orphan}"}
    assert (await ask(running, "GET", "/projects", headers=headers))[0] == 401


async def test_a_token_that_no_watch_has_shown(running: Running) -> None:
    """Made by another replica a moment ago: found by one GET."""
    fresh = tokens.new_token()
    body = token_object(fresh, number=1)
    body["metadata"]["uid"] = "00000000-0000-0000-0000-00000000aaaa"
    headers = {"Authorization": f"bearer {fresh}"}
    running.cluster.objects["ApiToken", "postbase-system", body["metadata"]["name"]] = body
    assert (await ask(running, "GET", "/projects", headers=headers))[0] == 200


async def test_an_account_that_no_watch_has_shown(running: Running) -> None:
    """Its token's watch came first; it is asked for once, and not at all times if it is gone."""
    fresh, orphan = tokens.new_token(), tokens.new_token()
    new = account(number=7)
    running.cluster.objects["Account", None, new["metadata"]["name"]] = new
    for token, number in ((fresh, 7), (orphan, 8)):
        running.index.put(API_TOKEN, token_object(token, number))
    for token, status in ((fresh, 200), (orphan, 401)):
        before = running.cluster.asked
        headers = {"Authorization": f"Bearer {token}"}
        for _ in range(3):
            assert (await ask(running, "GET", "/projects", headers=headers))[0] == status
        assert running.cluster.asked == before + 1


async def test_what_the_watch_is_about_to_show_is_waited_for(running: Running) -> None:
    """Written by another replica a moment ago: not missing, only not there yet."""
    asyncio.get_running_loop().call_later(0.05, lambda: running.index.put(PROJECT, project(4711)))
    assert (await ask(running, "GET", "/projects/project-4711"))[0] == 200
    assert (await ask(running, "GET", "/projects/project-4712"))[0] == 404


async def test_guessing_is_limited_and_the_token_still_works() -> None:
    """With tokens that could be some: the API server is asked of no more than may be guessed."""
    async with gateway(buckets=stopped()) as running:
        guesses = [
            await ask(
                running,
                "GET",
                "/projects",
                headers={"Authorization": f"Bearer {tokens.new_token()}"},
            )
            for _ in range(30)
        ]
        assert running.cluster.asked <= 22
        assert {status for status, _, _ in guesses[:20]} == {401}
        assert guesses[-1][0] == 429
        assert (await ask(running, "GET", "/projects"))[0] == 200


async def test_addresses_of_trusted_proxies_only() -> None:
    settings = GatewaySettings(trusted_proxies=("127.0.0.1",))
    async with gateway(settings) as running:
        for number in range(30):
            sent = {"Authorization": "", "X-Forwarded-For": f"10.0.0.{number}"}
            assert (await ask(running, "GET", "/projects", headers=sent))[0] == 401
    async with gateway(buckets=stopped()) as running:
        statuses = [
            (await ask(running, "GET", "/projects", headers={**sent, "X-Forwarded-For": "9.9.9.9"}))
            for sent in [{"Authorization": ""}] * 30
        ]
        assert statuses[-1][0] == 429


async def test_the_free_plan_is_its_burst() -> None:
    async with gateway(plan=Plan.FREE, buckets=stopped()) as running:
        passed = [(await ask(running, "GET", "/auth/me"))[0] for _ in range(14)]
    assert passed.count(200) in (10, 11)
    assert passed[-1] == 429


async def test_pages_of_named_origins_may_call_it_and_others_not() -> None:
    console, other = "https://console.example.com", "https://other.example.com"
    settings = GatewaySettings(regions=("us-west1",), allowed_origins=(console,))
    async with gateway(settings) as running, aiohttp.ClientSession() as session:
        asked = {"Origin": console, "Access-Control-Request-Method": "POST"}
        async with session.options(f"{running.url}/projects", headers=asked) as answer:
            assert answer.status == 204
            assert answer.headers["Access-Control-Allow-Methods"] == "GET, POST"
        for origin, allowed in ((console, console), (other, None)):
            headers = {**running.headers, "Origin": origin}
            async with session.get(f"{running.url}/projects", headers=headers) as answer:
                assert answer.status == 200
                assert answer.headers.get("Access-Control-Allow-Origin") == allowed
                assert answer.headers["Vary"] == "Origin"
        async with session.get(f"{running.url}/projects", headers={"Origin": console}) as answer:
            assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (401, console)
    async with (
        gateway() as running,
        aiohttp.ClientSession(headers=running.headers) as session,
        session.options(f"{running.url}/projects", headers=asked) as answer,
    ):
        assert answer.status == 405
        assert "Access-Control-Allow-Origin" not in answer.headers
