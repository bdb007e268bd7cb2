"""Reads, patches and deletions over one kept connection: a kubectl costs a quarter of a CPU second.

Tests poll several times a second, four modules side by side on two cores: by kubectl that took more
of the machine than all that was tested. What users apply stays kubectl's.
"""

from __future__ import annotations

import base64
import json
import ssl
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3

Body = dict[str, Any]
PATIENCE = 20.0
"""Seconds for one answer."""
AGAIN = urllib3.Retry(
    total=5,
    redirect=0,
    allowed_methods={"GET"},
    backoff_factor=0.3,
    status_forcelist={429, 500, 502, 503, 504},
    raise_on_status=False,
)
"""A server that is too busy, whose etcd stands still, or that has just closed an idle connection,
is asked again. What writes is sent once."""


class Refused(Exception):
    """The API server's answer was an error, or none came; `status` 0 for none."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Direct:
    """By the words that kubectl takes: `pods`, `pbdb`, `statefulsets.apps`, `backup`."""

    def __init__(self, kubeconfig: Path) -> None:
        config = json.loads(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self._server = str(cluster["server"])
        self._pool = urllib3.PoolManager(
            ssl_context=_context(cluster, user), timeout=PATIENCE, retries=AGAIN, maxsize=2
        )
        self._known: dict[str, tuple[str, bool]] = {}

    def find(self, kind: str, namespace: str, name: str) -> Body | None:
        """None where there is no such object. Raises Refused."""
        try:
            return self._get(f"{self._collection(kind, namespace)}/{name}")
        except Refused as error:
            if error.status == 404:
                return None
            raise

    def listed(self, kinds: str, namespace: str, labels: str = "") -> list[Body]:
        """Objects of one or more kinds (comma separated), each with its kind. Raises Refused."""
        found: list[Body] = []
        for kind in kinds.split(","):
            answer = self._get(self._collection(kind, namespace), labelSelector=labels)
            told = {
                "apiVersion": answer["apiVersion"],
                "kind": answer["kind"].removesuffix("List"),
            }
            found += [told | item for item in answer["items"]]
        return found

    def patch(self, kind: str, namespace: str, name: str, patch: Body) -> None:
        """A merge patch (RFC 7386). Raises Refused."""
        path = f"{self._collection(kind, namespace)}/{name}?fieldValidation=Strict"
        self._ask("PATCH", path, patch, "application/merge-patch+json")

    def delete(self, kind: str, namespace: str, name: str, *, force: bool = False) -> None:
        """Asks for it, in the background as kubectl does, and returns at once. By force the object
        goes without waiting for what it stands for. Raises Refused."""
        options: Body = {"propagationPolicy": "Background"}
        if force:
            options["gracePeriodSeconds"] = 0
        self._ask("DELETE", f"{self._collection(kind, namespace)}/{name}", options)

    def _collection(self, kind: str, namespace: str) -> str:
        if kind.lower() not in self._known:
            self._known = self._discover()
        try:
            prefix, namespaced = self._known[kind.lower()]
        except KeyError:
            raise Refused(404, f"the server has no resource type {kind!r}") from None
        path, _, plural = prefix.rpartition("/")
        within = namespaced and namespace
        return f"{path}/namespaces/{namespace}/{plural}" if within else prefix

    def _discover(self) -> dict[str, tuple[str, bool]]:
        """Word → path of the collection, and whether it lies in a namespace."""
        versions = [("", "/api/v1")]
        for group in self._get("/apis")["groups"]:
            preferred = group["preferredVersion"]["groupVersion"]
            versions.append((f".{group['name']}", f"/apis/{preferred}"))
        known: dict[str, tuple[str, bool]] = {}
        for suffix, path in versions:
            for resource in self._get(path)["resources"]:
                plural = resource["name"]
                if "/" in plural:
                    continue
                singular = resource.get("singularName") or resource["kind"].lower()
                for word in (plural, singular, *resource.get("shortNames", ())):
                    meant = (f"{path}/{plural}", bool(resource["namespaced"]))
                    known.setdefault(word, meant)
                    known[f"{word}{suffix}"] = meant
        return known

    def _get(self, path: str, **query: str) -> Body:
        fields = {key: value for key, value in query.items() if value}
        return self._ask("GET", f"{path}?{urlencode(fields)}" if fields else path)

    def _ask(
        self, method: str, path: str, sent: Body | None = None, content: str = "application/json"
    ) -> Body:
        body = None if sent is None else json.dumps(sent).encode()
        headers = {} if sent is None else {"Content-Type": content}
        try:
            answer = self._pool.request(method, self._server + path, body=body, headers=headers)
        except urllib3.exceptions.HTTPError as error:
            raise Refused(0, f"{method} {path}: {error}") from None
        found: Body = json.loads(answer.data) if answer.data[:1] == b"{" else {}
        if answer.status not in (200, 202):
            raise Refused(answer.status, f"{method} {path}: {found.get('message', answer.status)}")
        return found


def _context(cluster: Body, user: Body) -> ssl.SSLContext:
    context = ssl.create_default_context(
        cadata=base64.b64decode(cluster["certificate-authority-data"]).decode()
    )
    with tempfile.NamedTemporaryFile() as file:  # the ssl module takes them from files alone
        for part in ("client-certificate-data", "client-key-data"):
            file.write(base64.b64decode(user[part]))
        file.flush()
        context.load_cert_chain(file.name)
    return context
