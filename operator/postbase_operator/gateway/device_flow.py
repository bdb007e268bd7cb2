"""GitHub's device flow (RFC 8628), passed through: nothing is kept of it between two requests.

GitHub binds the code to our client id, and its token is dropped after one look at the user. Polls
of one code at the same time become one, and GitHub is never asked sooner than it said.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import aiohttp

from postbase_operator.gateway.problems import Code, Problem, unavailable
from postbase_operator.gateway.settings import GatewaySettings

logger = logging.getLogger(__name__)
T = TypeVar("T")
GRANT = "urn:ietf:params:oauth:grant-type:device_code"
SCOPES = "read:user user:email"
TIMEOUT = aiohttp.ClientTimeout(total=10)
INTERVAL = 5
"""Seconds between two polls where GitHub says nothing else (RFC 8628, 3.2)."""
REMEMBERED = 10_000
EXPIRED = ("expired_token", "token_expired")


@dataclass(frozen=True, slots=True)
class GitHubUser:
    """Whom GitHub says that it is. `id` is the identity: a login may change."""

    id: int
    login: str
    email: str | None
    organizations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Waiting:
    """Not confirmed yet. `interval`: GitHub wants longer pauses from now on, in seconds."""

    interval: int | None = None


@dataclass
class _Code(Generic[T]):
    """What is remembered of a device code: when GitHub may be asked, and the poll under way."""

    not_before: float = 0.0
    interval: int = INTERVAL
    running: asyncio.Future[T] | None = field(default=None)

    def ended(self, running: asyncio.Future[T]) -> None:
        self.running = None
        if not running.cancelled():
            running.exception()  # whoever has asked may have gone: looked at, so not complained of


class DeviceFlow:
    """`signed_in` is told of a user, once for all polls of that moment, and answers the token."""

    def __init__(
        self, settings: GatewaySettings, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._now = now
        self._codes: dict[str, _Code[Any]] = {}

    async def start(self) -> dict[str, Any]:
        """What GitHub says, as it says it."""
        scopes = SCOPES + (" read:org" if self._settings.allowed_organizations else "")
        told = await self._post("/login/device/code", {"scope": scopes})
        if "error" in told:
            raise self._trouble(str(told["error"]))
        try:
            interval = int(told.get("interval", INTERVAL))
            self._code(str(told["device_code"])).interval = interval
            return {
                "device_code": str(told["device_code"]),
                "user_code": str(told["user_code"]),
                "verification_uri": str(told["verification_uri"]),
                "expires_in": int(told["expires_in"]),
                "interval": interval,
            }
        except (KeyError, ValueError, TypeError) as error:
            raise strange() from error

    async def poll(
        self, device_code: str, signed_in: Callable[[GitHubUser], Awaitable[T]]
    ) -> T | Waiting:
        """Raises DEVICE_CODE_EXPIRED, ACCESS_DENIED, INVALID_DEVICE_CODE, SERVICE_UNAVAILABLE."""
        code = self._code(device_code)
        if code.running is not None:
            return await asyncio.shield(code.running)
        if self._now() < code.not_before:
            return Waiting()
        code.running = asyncio.ensure_future(self._ask(code, device_code, signed_in))
        code.running.add_done_callback(code.ended)
        return await asyncio.shield(code.running)

    async def _ask(
        self, code: _Code[T], device_code: str, signed_in: Callable[[GitHubUser], Awaitable[T]]
    ) -> T | Waiting:
        told = await self._post(
            "/login/oauth/access_token", {"device_code": device_code, "grant_type": GRANT}
        )
        code.not_before = self._now() + code.interval * 0.9
        match told.get("error"):
            case None:
                token = told.get("access_token")
                if not isinstance(token, str) or not token:
                    raise strange()
                return await signed_in(await self._user(token))
            case "authorization_pending":
                return Waiting()
            case "slow_down":
                code.interval = _seconds(told.get("interval"), code.interval + 5)
                code.not_before = self._now() + code.interval * 0.9
                return Waiting(code.interval)
            case error:
                raise self._trouble(str(error))

    def _trouble(self, error: str) -> Problem:
        if error in EXPIRED:
            return Problem(Code.DEVICE_CODE_EXPIRED, "The device code has expired: start again")
        if error == "access_denied":
            return Problem(Code.ACCESS_DENIED, "The sign-in was refused on GitHub")
        if error == "incorrect_device_code":
            return Problem(Code.INVALID_DEVICE_CODE, "This is no device code of ours")
        # The rest is how this installation is set up; whoever runs it reads it in the log.
        logger.error("GitHub refuses the device flow", extra={"error": error[:100]})
        return unavailable("Sign-in with GitHub is not set up rightly", 60)

    async def _user(self, token: str) -> GitHubUser:
        async with self._session(token) as session:
            user = await self._get(session, "/user")
            emails = await self._get(session, "/user/emails")
            wanted = bool(self._settings.allowed_organizations)
            organizations = await self._get(session, "/user/orgs") if wanted else []
        try:
            return GitHubUser(
                id=int(user["id"]),
                login=str(user["login"]),
                email=next(
                    (str(e["email"]) for e in emails if e.get("primary") and e.get("verified")),
                    None,
                ),
                organizations=tuple(str(each["login"]) for each in organizations),
            )
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise strange() from error

    # -- HTTP ------------------------------------------------------------------------------------

    def _session(self, token: str = "") -> aiohttp.ClientSession:
        headers = {"Accept": "application/json", "User-Agent": "postbase"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return aiohttp.ClientSession(headers=headers, timeout=TIMEOUT)

    async def _post(self, path: str, form: dict[str, str]) -> dict[str, Any]:
        if not self._settings.github_client_id:
            raise unavailable("Sign-in with GitHub is not set up here", 60)
        url = self._settings.github_url.rstrip("/") + path
        sent = {"client_id": self._settings.github_client_id, **form}
        async with self._session() as session:
            told = await _read(session.post(url, data=sent))
        if not isinstance(told, dict):
            raise strange()
        return told

    async def _get(self, session: aiohttp.ClientSession, path: str) -> Any:
        return await _read(session.get(self._settings.github_api + path))

    def _code(self, device_code: str) -> _Code[Any]:
        """By its digest: what is kept in memory lets nobody in."""
        key = hashlib.sha256(device_code.encode()).hexdigest()
        if key not in self._codes and len(self._codes) >= REMEMBERED:
            del self._codes[next(iter(self._codes))]
        return self._codes.setdefault(key, _Code())


async def _read(asked: Any) -> Any:
    """JSON of an answer; errors come with 200 and a body, from a server in trouble with neither."""
    try:
        async with asked as answer:
            raw = await answer.read()
            if answer.status >= 500 or answer.status in (401, 403, 404, 429):
                raise unavailable("GitHub does not answer as it should", 10)
            return json.loads(raw)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise unavailable("GitHub does not answer", 10) from error
    except ValueError as error:
        raise strange() from error


def _seconds(told: object, otherwise: int) -> int:
    return told if isinstance(told, int) and 0 < told <= 900 else otherwise


def strange() -> Problem:
    return unavailable("GitHub answers what nobody expects", 10)
