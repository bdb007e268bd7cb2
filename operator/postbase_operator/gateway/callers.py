"""Who calls: from the token in the header to the account, its plan and its namespace.

A token is found by its digest alone, in the cache; one that no watch has shown yet by one GET. What
was not found is not asked for again for some seconds, and each wrong token counts for its address.
"""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from postbase_operator.api.account import Account, Plan
from postbase_operator.api.api_token import ApiToken, Scope
from postbase_operator.errors import PostbaseError
from postbase_operator.gateway import tokens
from postbase_operator.gateway.held import Held
from postbase_operator.gateway.index import Index
from postbase_operator.gateway.plans import LIMITS, Limits
from postbase_operator.gateway.problems import Code, Problem, unavailable
from postbase_operator.kube.kinds import ACCOUNT, API_TOKEN, Kind
from postbase_operator.kube.refusals import NotFound
from postbase_operator.kube.session import Session

logger = logging.getLogger(__name__)
MANAGER = "postbase-gateway-usage"
ABSENT_FOR = 5.0
"""Seconds for which a token that was not found is not asked for again."""
MOST_ABSENT = 10_000
FLUSHED_EVERY = 300.0
"""Seconds; status.lastUsedAt is at most so much behind."""


@dataclass(frozen=True, slots=True)
class Caller:
    """An account, by one of its tokens. `namespace` is "" until the operator has made it."""

    account: Held
    token: Held
    login: str
    plan: Plan
    namespace: str
    scopes: tuple[Scope, ...]

    @property
    def limits(self) -> Limits:
        return LIMITS[self.plan]

    def may(self, scope: Scope) -> bool:
        """No scopes at all are all of them; who may write may read."""
        return not self.scopes or scope in self.scopes or Scope.WRITE in self.scopes


@dataclass(frozen=True, slots=True)
class _Known:
    """What was read of a token, and of the account as it then was."""

    account: Held
    caller: Caller
    digest: str
    expires_at: datetime | None
    suspended: bool


class Callers:
    """Finds them; remembers which tokens were used."""

    def __init__(
        self, index: Index, session: Session, namespace: str, now: Callable[[], datetime]
    ) -> None:
        self._index = index
        self._session = session
        self._namespace = namespace
        self._now = now
        self._absent: dict[tuple[Kind, str], float] = {}
        self._used: dict[str, datetime] = {}
        self._told: dict[str, datetime] = {}

    async def identify(
        self, authorization: str | None, guessed: Callable[[], Awaitable[None]]
    ) -> Caller:
        """Raises AUTH_REQUIRED, in the same words whatever is wrong with a token.

        `guessed` is called before that, and before anybody is asked about a token that is not
        held: it may raise, so that guessing costs the API server nothing.
        """
        scheme, _, token = (authorization or "").strip().partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            await guessed()
            raise Problem(Code.AUTH_REQUIRED, "Send a token: Authorization: Bearer <access_token>")
        digest = tokens.digest(token)
        held = self._index.named(API_TOKEN, self._namespace, ApiToken.name_of(digest))
        if held is None:
            await guessed()
            if not tokens.is_token(token):
                raise refused()
            held = await self._fetch(API_TOKEN, self._namespace, ApiToken.name_of(digest))
        if held is not None and self._index.named(ACCOUNT, "", held.parent) is None:
            await self._fetch(ACCOUNT, "", held.parent)  # made by another replica a moment ago
        known = self._known(held)
        if known is None or not hmac.compare_digest(known.digest, digest):
            raise refused()
        now = self._now()
        if known.suspended or (known.expires_at is not None and now >= known.expires_at):
            raise refused()
        self._used[known.caller.token.name] = now
        return known.caller

    def again(self, token: Held) -> Caller | None:
        """The same token's caller, as things are now."""
        held = self._index.named(token.kind, token.namespace, token.name)
        known = self._known(held)
        return None if known is None else known.caller

    async def _fetch(self, kind: Kind, namespace: str, name: str) -> Held | None:
        """What the watch has not shown yet. One that is not there is asked for again later."""
        place = (kind, name)
        until = self._absent.get(place)
        if until is not None and time.monotonic() < until:
            return None
        try:
            body = await self._session.get(kind, namespace or None, name)
        except NotFound:
            if len(self._absent) >= MOST_ABSENT:
                self._absent.clear()
            self._absent[place] = time.monotonic() + ABSENT_FOR
            return None
        except PostbaseError as error:
            raise unavailable("Tokens cannot be looked up at present") from error
        return self._index.put(kind, body)

    def _known(self, token: Held | None) -> _Known | None:
        """None where its account is gone, or either is going."""
        if token is None or token.deleting:
            return None
        account = self._index.named(ACCOUNT, "", token.parent)
        if account is None or account.deleting:
            return None
        if isinstance(token.memo, _Known) and token.memo.account is account:
            return token.memo
        model, spec = (
            Account.model_validate_json(account.raw),
            ApiToken.model_validate_json(token.raw).spec,
        )
        caller = Caller(
            account=account,
            token=token,
            login=model.spec.login,
            plan=model.spec.plan,
            namespace=model.status.namespace or "",
            scopes=spec.scopes,
        )
        token.memo = _Known(account, caller, spec.digest, spec.expires_at, model.spec.suspended)
        return token.memo

    async def flush(self) -> None:
        """Writes down when tokens were last used, those that were used since it was told."""
        used, self._used = self._used, {}
        for name, moment in used.items():
            told = self._told.get(name)
            if told is not None and (moment - told).total_seconds() < FLUSHED_EVERY:
                self._used.setdefault(name, moment)
                continue
            body = {
                "apiVersion": API_TOKEN.api_version,
                "kind": API_TOKEN.kind,
                "metadata": {"name": name, "namespace": self._namespace},
                "status": {"lastUsedAt": moment.isoformat(timespec="seconds")},
            }
            try:
                live = await self._session.apply(API_TOKEN, body, MANAGER, subresource="status")
            except NotFound:
                continue  # revoked meanwhile
            except PostbaseError as error:
                self._used.setdefault(name, moment)
                logger.info("a token's last use was not written", extra={"error": str(error)})
                return
            self._index.put(API_TOKEN, live)
            self._told[name] = moment
        if len(self._told) > MOST_ABSENT:
            self._told.clear()


def refused() -> Problem:
    return Problem(Code.AUTH_REQUIRED, "The token is not valid, or not any more")
