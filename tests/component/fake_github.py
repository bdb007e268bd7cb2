"""A GitHub that does what it is told: the device flow and the few reads that a sign-in makes.

In a test, `FakeGitHub` answers on a port of its own from a thread. For a demo,
`python -m component.fake_github PORT HOST` confirms every code at its second poll.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

USER = {"id": 12345, "login": "octocat", "name": "Mona"}
EMAILS = [
    {"email": "spare@example.com", "primary": False, "verified": True},
    {"email": "octocat@example.com", "primary": True, "verified": True},
]
GRANT = "urn:ietf:params:oauth:grant-type:device_code"
PENDING = {"error": "authorization_pending"}


@dataclass
class FakeGitHub:
    """`script` is what the polls of a code get, one after another, the last for ever; a number is
    an HTTP status, text is a body that is no JSON, `None` confirms."""

    script: list[Any] = field(default_factory=lambda: [PENDING, None])
    client_id: str = "Iv1.0123"
    user: dict[str, Any] = field(default_factory=lambda: dict(USER))
    emails: list[dict[str, Any]] = field(default_factory=lambda: list(EMAILS))
    organizations: list[str] = field(default_factory=list)
    polls: list[float] = field(default_factory=list)
    """When each poll came, by the monotonic clock."""
    asked: list[str] = field(default_factory=list)
    """Paths, in their order."""
    interval: int = 1
    answers: threading.Event | None = None
    """No poll is answered before it is set."""
    port: int = 0
    _codes: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _turns: dict[str, int] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/login/device/code", self._start)
        app.router.add_post("/login/oauth/access_token", self._poll)
        for path, answer in (
            ("/user", lambda: self.user),
            ("/user/emails", lambda: self.emails),
            ("/user/orgs", lambda: [{"login": each} for each in self.organizations]),
        ):
            app.router.add_get(f"/api/v3{path}", self._read(path, answer))
        return app

    async def _start(self, request: web.Request) -> web.Response:
        form = await request.post()
        self.asked.append(request.path)
        if form["client_id"] != self.client_id:
            return web.json_response({"error": "incorrect_client_credentials"})
        code = f"device-{next(self._codes)}"
        return web.json_response(
            {
                "device_code": code,
                "user_code": "ABCD-1234",
                "verification_uri": f"{self.url}/login/device",
                "expires_in": 900,
                "interval": self.interval,
            }
        )

    async def _poll(self, request: web.Request) -> web.Response:
        form = await request.post()
        self.asked.append(request.path)
        self.polls.append(time.monotonic())
        code = str(form["device_code"])
        if form["grant_type"] != GRANT or not code.startswith("device-"):
            return web.json_response({"error": "incorrect_device_code"})
        turn = self._turns.get(code, 0)
        self._turns[code] = turn + 1
        if self.answers is not None:
            await asyncio.to_thread(self.answers.wait, 60)
        match self.script[min(turn, len(self.script) - 1)]:
            case None:
                return web.json_response({"access_token": "gho_secret", "token_type": "bearer"})
            case int(status):
                return web.Response(status=status, text="no")
            case str(text):
                return web.Response(text=text)
            case answer:
                return web.json_response(answer)

    def _read(self, path: str, answer: Any) -> Any:
        async def read(request: web.Request) -> web.Response:
            self.asked.append(path)
            if request.headers.get("Authorization") != "Bearer gho_secret":
                return web.Response(status=401)
            return web.json_response(answer())

        return read


@contextmanager
def serving(github: FakeGitHub, port: int = 0, host: str = "127.0.0.1") -> Iterator[FakeGitHub]:
    """In a thread of its own, until the block ends."""
    ready, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        runner = web.AppRunner(github.app(), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, host, port).start()
        github.port = int(runner.addresses[0][1])
        ready.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(60)
    try:
        yield github
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(60)
        loop.close()


if __name__ == "__main__":
    with serving(FakeGitHub(client_id="demo"), int(sys.argv[1]), *sys.argv[2:3]) as running:
        print(running.url, flush=True)
        sys.stdin.read()  # ends with whoever started it
