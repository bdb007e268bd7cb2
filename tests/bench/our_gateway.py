"""The gateway, or a bare route that answers the same bytes, as a process on one processor.

python -m bench.our_gateway ours|bare PROJECTS BACKUPS    prints its port and a token

Behind it lies no Kubernetes: what it serves is in its cache, as a cluster's objects are. Its rate
limiter counts each request by a clock that runs ten thousand times as fast: it refuses none.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from uuid import UUID

from aiohttp import web

from component import gateway_server
from component.gateway_server import NAMESPACE, project
from postbase_operator.gateway.buckets import Buckets
from postbase_operator.kube.kinds import BACKUP, DATABASE, PROJECT, Body

FASTER = 10_000
PROCESSOR = 0
DATABASES = 10
"""Whose backups they are."""


async def serve(kind: str, projects: int, backups: int) -> None:
    stop = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    if kind == "bare":
        await bare(stop)
        return
    buckets = Buckets(lambda: time.monotonic() * FASTER)
    async with gateway_server.gateway(buckets=buckets) as running:
        for number in range(5, projects):
            running.index.put(PROJECT, project(number))
        for number in range(DATABASES if backups else 0):
            running.index.put(DATABASE, database(number))
        for number in range(backups):
            running.index.put(BACKUP, backup(number))
        print(running.port, running.token, flush=True)
        await stop.wait()


async def bare(stop: asyncio.Event) -> None:
    """aiohttp and nothing else; what it answers is read from standard input."""
    answer = json.loads(sys.stdin.readline())

    async def route(_: web.Request) -> web.Response:
        return web.json_response(answer)

    app = web.Application()
    app.router.add_get("/projects", route)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], "-", flush=True)
    await stop.wait()
    await runner.cleanup()


def database(number: int) -> Body:
    spec = {"projectRef": {"name": "project-0"}, "storage": {"size": "1Gi"}}
    return made(f"database-{number}", 100_000 + number, spec, {"phase": "Running"})


def backup(number: int) -> Body:
    status = {
        "phase": "Completed",
        "sizeBytes": 123456789 + number,
        "startedAt": "2026-01-20T10:00:00Z",
        "completedAt": "2026-01-20T10:05:00Z",
        "objectKey": f"proj_{'a' * 26}/db_{'b' * 26}/bkp_{number:026}.dump.gz",
    }
    spec = {"databaseRef": {"name": f"database-{number % DATABASES}"}, "method": "Logical"}
    return made(f"backup-{number}", 200_000 + number, spec, status)


def made(name: str, number: int, spec: Body, status: Body) -> Body:
    moment = f"2026-01-{1 + number % 28:02}T10:{number // 60 % 60:02}:{number % 60:02}Z"
    metadata = {
        "name": name,
        "namespace": NAMESPACE,
        "uid": str(UUID(int=number)),
        "resourceVersion": "1",
        "generation": 1,
        "creationTimestamp": moment,
    }
    return {"metadata": metadata, "spec": spec, "status": status}


if __name__ == "__main__":
    os.sched_setaffinity(0, {PROCESSOR})
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
