"""`make bench PART=gateway`: what the REST API costs beside a bare route. Needs no node.

`BENCH_REQUESTS` (100000) says over how many the memory is watched.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from bench.our_gateway import PROCESSOR
from bench.runs import MIB, PAGE, server_cpu
from component import gateway_server

ROUNDS = 3
REQUESTS = 5_000
CONNECTIONS = 8
RATE = 500
PACED_SECONDS = 20
PROJECTS, BACKUPS = 1_000, 10_000
POSTS = 20
LIST = "/projects"
PAGE_OF_BACKUPS = "/projects/project-0/databases/database-0/backups?limit=20"

TEXT = """
## The REST API

One process on one processor, its client on the other; no Kubernetes behind it, its objects are in
its cache. Wanted: 1.5 times the processor time of a bare aiohttp route that answers the same JSON;
with {projects} projects and {backups} backups 200 MiB and, at {rate} requests a second, p99 below
10 ms; one write to the API server for a POST; memory that does not grow.

### A list of five projects

| | CPU ms for a request | requests a second |
|---|---|---|
{compared}

Gateway / bare = **{ratio:.2f}** in processor time.

### With {projects} projects and {backups} backups

| | p50 ms | p99 | max | a second |
|---|---|---|---|---|
{paced}

Resident: {cached:.0f} MiB with all of it, {after:.0f} MiB after {many} more requests ({before:.0f}
before them). Writes to the API server for {posts} POSTs: {writes}."""


@dataclass(frozen=True)
class Process:
    port: int
    token: str
    pid: int

    @property
    def cpu(self) -> float:
        return server_cpu(self.pid)

    @property
    def resident(self) -> float:
        """MiB."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * PAGE / MIB


@contextmanager
def process(kind: str, projects: int = 5, backups: int = 0, given: str = "") -> Iterator[Process]:
    command = [sys.executable, "-m", "bench.our_gateway", kind, str(projects), str(backups)]
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=environment, text=True, **pipes) as running:  # type: ignore[call-overload]
        try:
            running.stdin.write(given + "\n")
            running.stdin.flush()
            port, token = running.stdout.readline().split()
            yield Process(int(port), token, running.pid)
        finally:
            running.terminate()


async def closed(server: Process, path: str, requests: int) -> float:
    """So many requests, one after another on each connection; seconds."""
    left = iter(range(requests))

    async def caller(session: aiohttp.ClientSession) -> None:
        for _ in left:
            await ask(session, server, path)

    async with client(server) as session:
        began = time.monotonic()
        await asyncio.gather(*(caller(session) for _ in range(CONNECTIONS)))
        return time.monotonic() - began


async def paced(server: Process, path: str, seconds: float) -> list[float]:
    """Each at its moment, whether the one before has been answered or not; seconds from that
    moment until the answer."""
    taken: list[float] = []

    async def one(session: aiohttp.ClientSession, moment: float) -> None:
        await ask(session, server, path)
        taken.append(time.monotonic() - moment)

    async with client(server) as session, asyncio.TaskGroup() as group:
        began = time.monotonic()
        for number in range(int(seconds * RATE)):
            moment = began + number / RATE
            await asyncio.sleep(max(0.0, moment - time.monotonic()))
            group.create_task(one(session, moment))
    return sorted(taken)


def client(server: Process) -> aiohttp.ClientSession:
    headers = {"Authorization": f"Bearer {server.token}"}
    return aiohttp.ClientSession(
        headers=headers, connector=aiohttp.TCPConnector(limit=CONNECTIONS), trust_env=False
    )


async def ask(session: aiohttp.ClientSession, server: Process, path: str) -> bytes:
    async with session.get(f"http://127.0.0.1:{server.port}{path}") as answer:
        body = await answer.read()
        if answer.status != 200:
            raise RuntimeError(f"GET {path}: {answer.status} {body[:200]!r}")
        return body


async def compare() -> tuple[list[str], float]:
    """In turns, on the same bytes."""
    spent: dict[str, list[tuple[float, float]]] = {"gateway": [], "bare aiohttp": []}
    with process("ours") as ours:
        async with client(ours) as session:
            same = json.dumps(json.loads(await ask(session, ours, LIST)))
        with process("bare", given=same) as bare:
            for server in (ours, bare):
                await closed(server, LIST, REQUESTS // 10)
            for _ in range(ROUNDS):
                for name, server in (("bare aiohttp", bare), ("gateway", ours)):
                    before = server.cpu
                    seconds = await closed(server, LIST, REQUESTS)
                    spent[name].append((server.cpu - before, seconds))
    cpu = {name: statistics.median(c for c, _ in runs) / REQUESTS for name, runs in spent.items()}
    rates = {name: REQUESTS / statistics.median(s for _, s in runs) for name, runs in spent.items()}
    rows = [f"| {name} | {1000 * cpu[name]:.3f} | {rates[name]:.0f} |" for name in spent]
    return rows, cpu["gateway"] / cpu["bare aiohttp"]


async def writes() -> int:
    """Of that many POSTs."""
    async with gateway_server.gateway() as running:
        headers = running.headers
        async with aiohttp.ClientSession(headers=headers, trust_env=False) as session:
            for number in range(POSTS):
                body = {"name": f"made-{number}"}
                async with session.post(f"{running.url}/projects", json=body) as answer:
                    if answer.status != 201:
                        raise RuntimeError(await answer.text())
        return len(running.cluster.writes)


async def measured() -> str:
    os.sched_setaffinity(0, set(range(os.cpu_count() or 1)) - {PROCESSOR} or {PROCESSOR})
    many = int(os.environ.get("BENCH_REQUESTS", "100000"))
    compared, ratio = await compare()
    rows = []
    with process("ours", PROJECTS, BACKUPS) as full:
        for name, path in (
            ("projects of one account", f"{LIST}?limit=20"),
            ("backups of a database", PAGE_OF_BACKUPS),
        ):
            taken = await paced(full, path, PACED_SECONDS)
            p50, p99, last = (1000 * taken[int(len(taken) * q)] for q in (0.5, 0.99, 0.999999))
            rows.append(f"| {name}, 20 a page | {p50:.1f} | {p99:.1f} | {last:.1f} | {RATE} |")
        cached = before = full.resident
        await closed(full, f"{LIST}?limit=20", many)
        after = full.resident
    return TEXT.format(
        projects=PROJECTS,
        backups=BACKUPS,
        rate=RATE,
        compared="\n".join(compared),
        ratio=ratio,
        paced="\n".join(rows),
        cached=cached,
        before=before,
        after=after,
        many=many,
        posts=POSTS,
        writes=await writes(),
    )


def measure() -> str:
    """The tables."""
    own = os.sched_getaffinity(0)
    try:
        return asyncio.run(measured())
    finally:
        os.sched_setaffinity(0, own)
