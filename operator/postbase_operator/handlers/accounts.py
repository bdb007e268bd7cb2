"""One run for one Account: its namespace, the gateway's rights there, its quota, its status."""

from __future__ import annotations

from postbase_operator.api.account import Account, AccountPhase
from postbase_operator.handlers.keys import Key
from postbase_operator.kube import objects
from postbase_operator.kube.cache import Cache
from postbase_operator.kube.kinds import ACCOUNT
from postbase_operator.kube.session import Session
from postbase_operator.kube.tenants import Tenants

PENDING_AGAIN = 1.0
"""Seconds until the next look at one whose quota is not counted yet: nobody tells us of that."""
FAILED_AGAIN = 30.0
MENDED_EVERY = 600.0
"""Seconds: namespaces and bindings are not watched, so this is how soon an edit is put back."""


class Accounts:
    """`run` answers when to look again, in seconds."""

    def __init__(self, api: Session, cache: Cache, tenants: Tenants) -> None:
        self._api = api
        self._cache = cache
        self._tenants = tenants

    async def run(self, key: Key) -> float | None:
        body = self._cache.get(ACCOUNT, key.namespace, key.name)
        if body is None:
            return None
        account = Account.model_validate(body)
        if account.metadata.is_deleting:
            return None
        status = await self._tenants.reconcile(account)
        await objects.write_status(self._api, self._cache, ACCOUNT, body, status.to_wire())
        match status.phase:
            case AccountPhase.PENDING:
                return PENDING_AGAIN
            case AccountPhase.FAILED:
                return FAILED_AGAIN
        return MENDED_EVERY
