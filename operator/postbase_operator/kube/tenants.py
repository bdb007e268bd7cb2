"""Makes what an Account has in the cluster, and mends it at each look."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from postbase_operator.api.account import Account, AccountStatus
from postbase_operator.desired import tenancy
from postbase_operator.errors import InvalidSpec
from postbase_operator.kube.apply import apply, body_of
from postbase_operator.kube.kinds import NAMESPACE, RESOURCE_QUOTA, ROLE_BINDING, Body, Kind
from postbase_operator.kube.session import AlreadyExists, Session
from postbase_operator.planning.account import (
    Tenancy,
    active,
    check_namespace,
    check_owner,
    refused,
)
from postbase_operator.settings import Settings

MANAGER = "postbase-operator"


class Tenants:
    """One for all Accounts."""

    def __init__(self, api: Session, settings: Settings, now: Callable[[], datetime]) -> None:
        self._api = api
        self._settings = settings
        self._now = now

    async def reconcile(self, account: Account) -> AccountStatus:
        """The status to be told. Raises what the API server raises."""
        try:
            return active(account, await self._ensure(account), self._now())
        except InvalidSpec as error:
            return refused(account, error, self._now())

    async def _ensure(self, account: Account) -> Tenancy:
        name = tenancy.namespace_of(account)
        check_namespace(name, self._settings.operator_namespace)
        live = await self._namespace(account, name)
        meta = live["metadata"]
        found = Tenancy(
            namespace=name,
            belongs_to=(meta.get("labels") or {}).get(tenancy.LABEL_ACCOUNT, ""),
            going="deletionTimestamp" in meta,
        )
        check_owner(account, found)
        if found.going:
            return found
        await apply(self._api, body_of(tenancy.namespace(account)), live)
        await self._apply(ROLE_BINDING, body_of(tenancy.binding(account, self._settings)))
        quota = await self._apply(RESOURCE_QUOTA, body_of(tenancy.quota(account)))
        hard = (quota.get("status") or {}).get("hard")
        counted = hard == quota["spec"]["hard"]
        return Tenancy(name, account.metadata.name, counted=counted)

    async def _namespace(self, account: Account, name: str) -> Body:
        """As it is; made by POST where it is missing, so that of two Accounts one has it."""
        live = await self._api.find(NAMESPACE, None, name)
        if live is not None:
            return live
        try:
            body = body_of(tenancy.namespace(account))
            return await self._api.create(NAMESPACE, None, body, MANAGER)
        except AlreadyExists:
            return await self._api.get(NAMESPACE, None, name)

    async def _apply(self, kind: Kind, body: Body) -> Body:
        meta = body["metadata"]
        live = await self._api.find(kind, meta["namespace"], meta["name"])
        return await apply(self._api, body, live)
