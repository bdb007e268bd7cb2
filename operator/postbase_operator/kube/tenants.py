"""Makes what an Account has in the cluster, and mends it at each look."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from postbase_operator.api.account import Account, AccountStatus
from postbase_operator.desired import tenancy
from postbase_operator.errors import InvalidSpec
from postbase_operator.kube.apply import MANAGER, apply, body_of, holds
from postbase_operator.kube.kinds import NAMESPACE, RESOURCE_QUOTA, ROLE_BINDING, Body, Kind
from postbase_operator.kube.refusals import AlreadyExists
from postbase_operator.kube.session import Session
from postbase_operator.planning.account import (
    Tenancy,
    active,
    check_namespace,
    check_owner,
    refused,
)
from postbase_operator.settings import Settings

COUNTED_WITHIN = timedelta(seconds=15)


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
        wanted = body_of(tenancy.namespace(account))
        if not holds(wanted, live):
            await self._api.apply(NAMESPACE, wanted, MANAGER)
        await self._apply(ROLE_BINDING, body_of(tenancy.binding(account, self._settings)))
        return Tenancy(name, account.metadata.name, counted=await self._quota(account))

    async def _quota(self, account: Account) -> bool:
        """Whether it counts. Before that the API server refuses the first object of each kind.

        The quota controller knows a definition only half a minute after it was made, and looks
        again at a quota that it could not count only after five: such a one is made anew.
        """
        quota = await self._apply(RESOURCE_QUOTA, body_of(tenancy.quota(account)))
        meta, used = quota["metadata"], (quota.get("status") or {}).get("used") or {}
        if used.keys() >= quota["spec"]["hard"].keys():
            return True
        made = datetime.fromisoformat(meta["creationTimestamp"])
        if self._now() - made > COUNTED_WITHIN:
            await self._api.delete(RESOURCE_QUOTA, meta["namespace"], meta["name"], meta["uid"])
        return False

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
        if live is not None and "deletionTimestamp" in live["metadata"]:
            return live
        return await apply(self._api, body, live)
