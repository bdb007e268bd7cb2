"""A whole small world on a control plane of its own: the operator in a process of its own, as it
is deployed, with its watches and its Lease; what else acts in a cluster; and a bad network between.

One Database to a namespace, so that one set of controllers serves one.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from kubernetes.aio import client, config

from apiserver.access import ROOT
from apiserver.controllers import STORAGE_CLASS, Controllers
from apiserver.interruptions import Client, Wire
from apiserver.loop import MANAGER, eventually, resource
from apiserver.operator_process import POSTGRES, STOOD_STILL, serve
from apiserver.own_plane import OwnPlane, child
from apiserver.postgres import Server
from apiserver.relay import Relay, Request, ended, kubeconfig, relay_to
from node import ports
from postbase_operator.errors import PostbaseError
from postbase_operator.kube.budget import WriteBudget
from postbase_operator.kube.kinds import DATABASE, NAMESPACE, PROJECT, SECRET, Body, Kind
from postbase_operator.kube.news import RESOURCES
from postbase_operator.kube.platform import CHILDREN
from postbase_operator.kube.refusals import NotFound
from postbase_operator.kube.session import Session

NAME = "main"
SEEN = (*RESOURCES, *CHILDREN, SECRET)
ROUND = 0.1
"""Seconds between two looks of the controllers at everything."""
RESTARTED_AFTER = 1.0
"""Seconds after which a kubelet starts again what has ended (its first time; later ones longer)."""
SERVICE_ACCOUNT = Kind("v1", "ServiceAccount", "serviceaccounts")
STORAGE = Kind("storage.k8s.io/v1", "StorageClass", "storageclasses", namespaced=False)
OPERATORS = "postbase-system"
CHILDREN_MADE = {
    "statefulsets": 1,
    "services": 2,
    "configmaps": 1,
    "persistentvolumeclaims": 1,
    "poddisruptionbudgets": 1,
    "networkpolicies": 1,
    "secrets": 3,
}
"""What one Database's children are, and so how often the API server answers 201."""


@dataclass
class World:
    """`session` goes to the API server itself, whatever the relay does."""

    own: OwnPlane
    relay: Relay
    session: Session
    namespaces: dict[str, Controllers] = field(default_factory=dict)
    ends: list[int] = field(default_factory=list)
    """The exit codes of the operators so far."""
    settings: dict[str, str] = field(default_factory=dict)
    """POSTBASE_*, beside what every operator is told."""

    @property
    def folder(self) -> Path:
        return self.own.plane.folder

    def operator_stood_still(self) -> float:
        """The longest time, in seconds, for which an operator's process got to nothing."""
        files = self.folder.glob(f"{STOOD_STILL}*[0-9]")
        return max((float(file.read_text()) for file in files), default=0.0)

    # -- what a user does --------------------------------------------------------------------

    async def create(self, *names: str, **spec: Any) -> None:
        """A Database in a new namespace of each name."""
        for name in names:
            await self.session.create(NAMESPACE, None, _named("v1", "Namespace", name), MANAGER)
            account = _named("v1", "ServiceAccount", "default")
            await self.session.create(SERVICE_ACCOUNT, name, account, MANAGER)
            await self.apply(name, **spec)

    async def apply(self, name: str, **spec: Any) -> None:
        """Project and Database, where they are not there."""
        if await self.session.find(PROJECT, name, "shop") is None:
            await self.session.create(PROJECT, name, resource("Project", "shop", {}), MANAGER)
        wanted = {
            "projectRef": {"name": "shop"},
            "postgresVersion": "15",
            "storage": {"size": "1Gi", "storageClassName": STORAGE_CLASS},
            **spec,
        }
        self.namespaces.setdefault(name, Controllers(self.session))
        await self.session.create(DATABASE, name, resource("Database", NAME, wanted), MANAGER)

    async def change(self, name: str, **spec: Any) -> None:
        await self.session.merge(DATABASE, name, NAME, {"spec": spec}, MANAGER)

    async def nudge(self, name: str) -> None:
        """Has it looked at."""
        patch = {"metadata": {"annotations": {"example.com/at": str(time.monotonic())}}}
        await self.session.merge(DATABASE, name, NAME, patch, MANAGER)

    async def delete(self, name: str) -> None:
        words = ("delete", DATABASE.plural, NAME, f"--namespace={name}", "--wait=false")
        await asyncio.to_thread(self.own.kubectl, *words)

    # -- what is there -----------------------------------------------------------------------

    async def database(self, name: str) -> Body:
        return await self.session.get(DATABASE, name, NAME)

    async def ready(self, name: str) -> Body:
        """The Ready condition, {} where there is none."""
        status = (await self.database(name)).get("status", {})
        found: Body = next((c for c in status.get("conditions", []) if c["type"] == "Ready"), {})
        return found

    async def wells(self, *names: str, seconds: float = 60) -> None:
        """Until each is Ready as its present spec wants it."""
        for name in names:
            await eventually(partial(self._is_well, name), f"{name} is well", seconds=seconds)

    async def _is_well(self, name: str) -> bool:
        try:
            live = await self.database(name)
        except PostbaseError:
            return False
        status = live.get("status", {})
        current = status.get("observedGeneration") == live["metadata"]["generation"]
        conditions = status.get("conditions", [])
        return current and any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    async def told(self, name: str, reason: str, *, seconds: float = 60) -> Body:
        """The Ready condition, once it gives this reason."""

        async def probe() -> Body | None:
            found = await self.ready(name)
            return found if found.get("reason") == reason else None

        return await eventually(probe, f"{name} tells {reason}", seconds=seconds)

    async def gone(self, name: str, *, seconds: float = 60) -> None:
        async def probe() -> bool:
            return await self.session.find(DATABASE, name, NAME) is None

        await eventually(probe, f"{name} is gone", seconds=seconds)

    def made(self, name: str) -> dict[str, int]:
        """How often the operator has made an object of each kind in the namespace."""
        counts: dict[str, int] = {}
        for each in self.asked(name, since=0):
            kind = each.path.split(f"/namespaces/{name}/")[1].split("/")[0]
            if each.status == 201 and kind != "events":
                counts[kind] = counts.get(kind, 0) + 1
        return counts

    def asked(self, name: str, *, since: int) -> list[Request]:
        """What the operator has asked about the namespace from that entry of the log on."""
        return [r for r in self.relay.log[since:] if f"/namespaces/{name}/" in r.path]

    def told_ready(self, name: str, *, since: int) -> list[str]:
        """What it has told of Ready there."""
        return [ready for r in self.asked(name, since=since) if (ready := r.told_ready())]

    # -- what goes on by itself --------------------------------------------------------------

    async def control(self) -> None:
        """The controllers of all namespaces, until cancelled; they bear an absent API server."""
        while True:
            try:
                await self._see()
                for controllers in list(self.namespaces.values()):
                    while await controllers.act():
                        pass
            except PostbaseError:
                pass  # the next round begins with what is there then
            await asyncio.sleep(ROUND)

    async def _see(self) -> None:
        listed: dict[Kind, list[Body]] = {}
        for kind in SEEN:
            try:
                listed[kind] = (await self.session.list(kind)).items
            except NotFound:
                listed[kind] = []  # its definition is gone
        for name, controllers in self.namespaces.items():
            controllers.objects = {}
            for kind, bodies in listed.items():
                for body in bodies:
                    if body["metadata"]["namespace"] == name:
                        whole = {**body, "apiVersion": kind.api_version, "kind": kind.kind}
                        controllers.tell(whole)
            controllers.events.clear()

    def hear(self, body: Body) -> None:
        """What a controller's own write has made."""
        found = self.namespaces.get(body.get("metadata", {}).get("namespace", ""))
        if found is not None:
            found.tell(body)

    def server_of(self, host: str) -> Server | None:
        """That of the Database whose Service has this name."""
        return self.namespaces[host.split(".")[1]].server

    async def operate(self) -> None:
        """The operator, started again whenever it ends, until cancelled."""
        while True:
            with child(
                [sys.executable, "-m", "apiserver.operator_process"],
                self.folder / "operator.log",
                **self._environment(),
            ) as process:
                while process.poll() is None:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(ROUND)
                self.ends.append(process.returncode)
            await asyncio.sleep(RESTARTED_AFTER)

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT / 'tests'}",
            "KUBECONFIG": str(kubeconfig(self.folder / "relay.kubeconfig", self.relay)),
            POSTGRES: str(self.folder / "postgres"),
            "POSTBASE_SIDECAR_IMAGE": "postbase:1",
            "POSTBASE_HEALTH_PORT": str(ports.free()),
            **self.settings,
        }


def _named(api_version: str, kind: str, name: str) -> Body:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}}


@asynccontextmanager
async def world(own: OwnPlane, **settings: str) -> AsyncIterator[World]:
    """With an operator; `settings` are more of its POSTBASE_*."""
    chosen = client.Configuration()
    await config.load_kube_config(str(own.plane.kubeconfig), client_configuration=chosen)
    chosen.client_session_kwargs = {"trust_env": False}
    relay = relay_to(own.plane)
    told: list[Callable[[Body], None]] = []
    connection = Client(chosen, Wire(), lambda body: told[0](body))
    session = Session(connection, WriteBudget(1000))
    made = World(own, relay, session, settings=settings)
    told.append(made.hear)
    await _prepare(session)
    for file in made.folder.glob(f"{STOOD_STILL}*"):
        file.unlink()
    async with relay.serving():
        postgres = await serve(made.folder / "postgres", made.server_of)
        tasks = [asyncio.create_task(made.control()), asyncio.create_task(made.operate())]
        try:
            yield made
        finally:
            for task in reversed(tasks):
                await ended(task)  # raises where it is a fault of this world's own
            postgres.close()
            await _clear(made)
            await session.close()


async def _prepare(session: Session) -> None:
    for kind, body in (
        (NAMESPACE, _named("v1", "Namespace", OPERATORS)),
        (STORAGE, _named("storage.k8s.io/v1", "StorageClass", STORAGE_CLASS)),
    ):
        if await session.find(kind, None, body["metadata"]["name"]) is None:
            growing = {"provisioner": "example.com/none", "allowVolumeExpansion": True}
            more = growing if kind is STORAGE else {}
            await session.create(kind, None, {**body, **more}, MANAGER)


async def _clear(made: World) -> None:
    """No Database is left for the next operator on this plane."""
    for name in made.namespaces:
        live = await made.session.find(DATABASE, name, NAME)
        if live is not None:
            await made.session.delete(DATABASE, name, NAME, live["metadata"]["uid"])
            patch = {"metadata": {"finalizers": None}}
            await made.session.merge(DATABASE, name, NAME, patch, MANAGER)


async def passes(seconds: float, doing: Callable[[], Awaitable[None]] | None = None) -> None:
    """So much time goes by: how long a bad day lasts is a part of it."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if doing is not None:
            await doing()
        await asyncio.sleep(ROUND)
