"""One connection to the Kubernetes API: a handful of verbs on JSON bodies, errors by meaning.

Login, TLS and token renewal are the official client's; its generated methods are not used, since
one method an object kind and verb would be a hundred ways in. Bodies stay JSON, because what the
server sends may hold fields that our models do not know and that we must not drop.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Self

import aiohttp
from kubernetes.aio import client, config

from postbase_operator import metrics
from postbase_operator.errors import Conflict, Unavailable
from postbase_operator.kube.budget import WriteBudget
from postbase_operator.kube.kinds import Body, Kind
from postbase_operator.kube.refusals import KUBERNETES, NotFound, error_for

PAGE = 500
TIMEOUT = 20.0
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


@dataclass(frozen=True, slots=True)
class Listing:
    """A whole listing, and the resourceVersion that it shows."""

    items: list[Body]
    version: int


class Session:
    """Verbs of the Kubernetes API. Raises NotFound, Conflict, Denied, Refused, Unavailable."""

    def __init__(self, api: client.ApiClient, budget: WriteBudget) -> None:
        self._api = api
        self._budget = budget

    @classmethod
    async def login(cls, budget: WriteBudget) -> Self:
        """In the cluster by the pod's service account, elsewhere by KUBECONFIG."""
        configuration = client.Configuration()
        configuration.connection_pool_maxsize = 100
        # aiohttp would ask a thread for a netrc file and one for a proxy before each request; a
        # cluster's own API server is reached without either.
        configuration.client_session_kwargs = {"trust_env": False}
        try:
            config.load_incluster_config(client_configuration=configuration)
        except config.ConfigException:
            await config.load_kube_config(client_configuration=configuration)
        return cls(client.ApiClient(configuration), budget)

    async def close(self) -> None:
        await self._api.close()

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Body:
        return await self._request("GET", kind, kind.path(namespace, name))

    async def find(self, kind: Kind, namespace: str | None, name: str) -> Body | None:
        """Like get, but None where there is no such object."""
        try:
            return await self.get(kind, namespace, name)
        except NotFound:
            return None

    async def list(
        self, kind: Kind, namespace: str | None = None, labels: str = "", fields: str = ""
    ) -> Listing:
        """All objects of a kind, read in pages; `labels` and `fields` are selectors."""
        query = {"limit": str(PAGE)} | ({"labelSelector": labels} if labels else {})
        query |= {"fieldSelector": fields} if fields else {}
        items: list[Body] = []
        while True:
            page = await self._request("GET", kind, kind.path(namespace), query=query)
            items += page["items"]
            token = page["metadata"].get("continue")
            if not token:
                raw = str(page["metadata"].get("resourceVersion", ""))
                return Listing(items, int(raw) if raw.isdigit() else 0)
            query["continue"] = token

    async def watch(
        self, kind: Kind, namespace: str | None, version: int, *, seconds: int, labels: str = ""
    ) -> AsyncIterator[Body]:
        """What changes after `version`: events as the API server sends them, bookmarks among them.

        Ends by itself after `seconds`. Raises Gone where the server has forgotten that version.
        """
        query = {
            "watch": "true",
            "resourceVersion": str(version),
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
        } | ({"labelSelector": labels} if labels else {})
        path = kind.path(namespace)
        request = await self._api.param_serialize(
            "GET",
            path,
            query_params=list(query.items()),
            header_params={"Accept": "application/json"},
            auth_settings=["BearerToken"],
        )
        quiet = aiohttp.ClientTimeout(total=None, sock_connect=TIMEOUT, sock_read=seconds + TIMEOUT)
        try:
            answer = (await self._api.call_api(*request, _request_timeout=quiet)).response
            async with answer:
                if answer.status != 200:
                    raw = await answer.read()
                    raise error_for(f"WATCH {path}", answer.status, raw, None)
                async for line in answer.content:
                    yield _event(f"WATCH {path}", line)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise Unavailable(KUBERNETES, f"WATCH {path}: {error!r}") from error

    async def create(
        self,
        kind: Kind,
        namespace: str | None,
        body: Body,
        manager: str,
        *,
        dry_run: bool = False,
    ) -> Body:
        """`dry_run`: all that the server checks, admission and quota too, and nothing is made."""
        query = {"fieldManager": manager} | ({"dryRun": "All"} if dry_run else {})
        return await self._request("POST", kind, kind.path(namespace), query=query, body=body)

    async def replace(self, kind: Kind, namespace: str | None, body: Body, manager: str) -> Body:
        """PUT of a whole object; its resourceVersion makes it conditional (Conflict)."""
        path = kind.path(namespace, body["metadata"]["name"])
        return await self._request("PUT", kind, path, query={"fieldManager": manager}, body=body)

    async def apply(
        self,
        kind: Kind,
        body: Body,
        manager: str,
        *,
        subresource: str = "",
        force: bool = True,
    ) -> Body:
        """Server-side apply of a whole intent. `force` takes over fields that others have set;
        without it such a field is a Conflict."""
        meta = body["metadata"]
        query = {"fieldManager": manager, "force": str(force).lower()}
        path = kind.path(meta.get("namespace"), meta["name"])
        path += f"/{subresource}" if subresource else ""
        return await self._request("PATCH", kind, path, query=query, body=body, content=APPLY_PATCH)

    async def merge(
        self, kind: Kind, namespace: str | None, name: str, patch: Body, manager: str
    ) -> Body:
        """JSON merge patch; put metadata.resourceVersion or uid into it to make it conditional."""
        query = {"fieldManager": manager}
        path = kind.path(namespace, name)
        return await self._request(
            "PATCH", kind, path, query=query, body=patch, content=MERGE_PATCH
        )

    async def strategic(
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        patch: Body,
        manager: str,
        *,
        subresource: str = "",
    ) -> Body:
        """Strategic merge patch: lists of named things are merged by their key."""
        path = kind.path(namespace, name) + (f"/{subresource}" if subresource else "")
        query = {"fieldManager": manager}
        return await self._request(
            "PATCH", kind, path, query=query, body=patch, content=STRATEGIC_PATCH
        )

    async def delete(
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        uid: str,
        *,
        grace: int | None = None,
        foreground: bool = True,
    ) -> None:
        """Deletes this very object (by UID), after what belongs to it; gone already is fine.

        `grace` in seconds overrides the object's own, as pods have one.
        """
        options: Body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid},
            "propagationPolicy": "Foreground" if foreground else "Background",
        }
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        try:
            await self._request("DELETE", kind, kind.path(namespace, name), body=options)
        except NotFound:
            return
        except Conflict as conflict:  # another object by now bears this name: ours is gone
            if "uid" not in str(conflict).lower():
                raise

    async def _request(
        self,
        method: str,
        kind: Kind,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Body | None = None,
        content: str = "application/json",
    ) -> Body:
        if method != "GET":
            await self._budget.take()
        request = await self._api.param_serialize(
            method,
            path,
            query_params=list((query or {}).items()),
            header_params={"Accept": "application/json", "Content-Type": content},
            body=body,
            auth_settings=["BearerToken"],
        )
        what = f"{method} {path}"
        try:
            response = await self._api.call_api(*request, _request_timeout=TIMEOUT)
            raw = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            metrics.API_REQUESTS.labels(method, kind.plural, "none").inc()
            raise Unavailable(KUBERNETES, f"{what}: {error!r}") from error
        metrics.API_REQUESTS.labels(method, kind.plural, str(response.status)).inc()
        if response.status >= 400:
            raise error_for(what, response.status, raw, response.headers.get("Retry-After"))
        parsed: Body = json.loads(raw)
        return parsed


def _event(what: str, line: bytes) -> Body:
    event: Body = json.loads(line)
    if event["type"] == "ERROR":
        raw = json.dumps(event["object"]).encode()
        raise error_for(what, int(event["object"].get("code", 500)), raw, None)
    return event
