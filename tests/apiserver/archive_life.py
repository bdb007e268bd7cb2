"""A BackupLife whose pod has a sidecar: its part of the kubelet's work, and a server in its place.

It answers over TLS with the certificate of the Database's own Secret, asks for the token of that
Secret, and serves while receiver.json, as it was brought to the pod, says so. What it reports is
the test's; the log that it would have archived is put into the store here.
"""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp import web

from apiserver.backup_life import BackupLife, Jobs, complete, moving
from apiserver.interruptions import Operator
from apiserver.life import NAME
from apiserver.loop import MANAGER
from postbase_operator.archive.keys import ChunkKey, PhysicalFolder
from postbase_operator.archive.lsn import Lsn
from postbase_operator.archive.receiver import TOKEN_KEY, ReceiverConfig, ReceiverReport
from postbase_operator.archive.run import BackupRun
from postbase_operator.archive.wal_object import Codec, WalHeader, encode
from postbase_operator.desired import names
from postbase_operator.handlers.reconcile import Reconciler
from postbase_operator.jobs.logical import record_of
from postbase_operator.kube.kinds import CONFIG_MAP, DATABASE, POD, SECRET
from postbase_operator.kube.platform import KubePlatform

BEGIN, MIDDLE, END = "0/1000000", "0/1800000", "0/2000000"


def recorded(jobs: Jobs, run: BackupRun) -> str:
    """A base backup's record: all that is looked at here. Dumps are as they always are."""
    place = run.place
    if not isinstance(place, PhysicalFolder):
        return complete(jobs, run)
    facts: Any = {"source_bytes": 1, "sha256": "0" * 64, "timeline": 1}
    record = record_of(
        run, datetime.now(UTC), (), start_lsn="0/1000028", stop_lsn="0/1000100", **facts
    )
    jobs.store.put(str(place.record), record.to_bytes())
    return ""


class Sidecars(Jobs):
    """Also what the sidecar does to the server."""

    async def act(self) -> bool:
        config = self.receiver
        if self.server is not None:
            self.server.attached = config is not None and config.enabled
            if self.server.attached and self.server.slot in ("", "lost"):
                self.server.slot = "reserved"
        return await super().act()

    @property
    def receiver(self) -> ReceiverConfig | None:
        """What was brought to the pod; None where it was never told that there is something."""
        pod, held = self.objects.get((POD, f"{NAME}-1-0")), self.one(CONFIG_MAP)
        told = (pod or {"metadata": {}})["metadata"].get("annotations", {})
        if held is None or names.ANNOTATION_RECEIVER not in told:
            return None
        return ReceiverConfig.from_bytes(held["data"]["receiver.json"].encode())


class ArchiveOperator(Operator):
    """All of it in the life's own time."""

    def __post_init__(self) -> None:
        super().__post_init__()
        everywhere = replace(self.settings, watch_namespaces=())
        platform = KubePlatform(self.session, self.cache, everywhere, moving)
        self._reconciler = Reconciler(self.session, self.cache, platform, self.settings, "test")


class ArchiveLife(BackupLife):
    """`report` is what the sidecar says; None: it does not answer."""

    controls = Sidecars
    operates = ArchiveOperator
    controllers: Sidecars
    report: dict[str, Any] | None = None

    async def begin(self, namespace: str) -> None:
        await super().begin(namespace)
        self.controllers.outcomes = [recorded]

    def streams(self, **told: Any) -> None:
        now = self.now()
        self.report = {
            "state": "Running",
            "startedAt": "2026-01-01T00:00:00Z",
            "writer": "0",
            "timeline": 1,
            "durableLsn": END,
            "coveredUntil": now.isoformat(),
            "lastCommitAt": (now - timedelta(seconds=1)).isoformat(),
        } | told

    def archived(self, start: str = BEGIN, end: str = MIDDLE) -> None:
        """A chunk of the log is in the store, as if it had been streamed."""
        owner = self.controllers.receiver
        assert owner is not None
        assert owner.owner is not None
        begin, stop = Lsn.parse(start), Lsn.parse(end)
        header = WalHeader(
            system_id=owner.owner.system_id,
            timeline=1,
            start=start,
            end=end,
            size=stop - begin,
            sha256="0" * 64,
            sent_at=self.now(),
            writer="0",
        )
        key = ChunkKey(owner.owner.archive, 1, begin, stop)
        self.controllers.store.put(str(key), encode(header, b"", Codec.NONE))

    async def set(self, **spec: Any) -> None:
        """Changes the Database's spec, and waits for nothing."""
        await self.session.merge(DATABASE, self.namespace, NAME, {"spec": spec}, MANAGER)

    def told(self, type: str) -> tuple[str, str] | None:
        """Status and reason of a condition."""
        found = {c["type"]: c for c in self.database["status"]["conditions"]}.get(type)
        return (found["status"], found["reason"]) if found else None

    @property
    def pitr(self) -> dict[str, Any]:
        told: dict[str, Any] = self.database["status"].get("pitr", {})
        return told

    def files(self) -> dict[str, bytes]:
        """Of Secret <db>-tls."""
        held = self.controllers.objects[SECRET, f"{NAME}-tls"]["data"]
        return {key: base64.b64decode(value) for key, value in held.items()}

    async def _status(self, request: web.Request) -> web.Response:
        config = self.controllers.receiver
        if self.report is None or config is None or not config.enabled:
            raise web.HTTPServiceUnavailable
        token = self.files()[TOKEN_KEY].decode()
        if request.headers.get("Authorization") != f"Bearer {token}":
            raise web.HTTPUnauthorized
        body = ReceiverReport.model_validate(self.report).to_bytes()
        assert json.loads(body)["version"] == 1
        return web.Response(body=body, content_type="application/json")

    @asynccontextmanager
    async def sidecar(self, folder: Path) -> AsyncIterator[None]:
        """From now on there is one, on the port that the operator asks."""
        files = self.files()
        for name in ("tls.crt", "tls.key"):
            (folder / name).write_bytes(files[name])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
        app = web.Application()
        app.router.add_get("/status", self._status)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", names.SIDECAR_PORT, ssl_context=context).start()
        try:
            yield
        finally:
            await runner.cleanup()
