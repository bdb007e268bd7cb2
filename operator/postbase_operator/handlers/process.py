"""The operator process: who is started, in which order, and what ends it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import kopf

from postbase_operator import logs, metrics
from postbase_operator.api.database import Database, DatabasePhase
from postbase_operator.errors import PostbaseError, Unavailable
from postbase_operator.handlers import health, registry
from postbase_operator.handlers.by_provider import ByProvider
from postbase_operator.handlers.far import railway_platform
from postbase_operator.handlers.keys import Key
from postbase_operator.handlers.queue import WorkQueue
from postbase_operator.handlers.reconcile import Reconciler, now
from postbase_operator.handlers.watcher import Watcher
from postbase_operator.kube.backup_leftovers import BackupLeftovers
from postbase_operator.kube.budget import WriteBudget
from postbase_operator.kube.cache import Cache
from postbase_operator.kube.gone_log import GoneLog
from postbase_operator.kube.kinds import DATABASE
from postbase_operator.kube.lease import Elector, LeaseLost
from postbase_operator.kube.leftovers import Leftovers
from postbase_operator.kube.log_expiry import LogExpiry
from postbase_operator.kube.platform import KubePlatform
from postbase_operator.kube.refusals import NotFound
from postbase_operator.kube.session import Session
from postbase_operator.railway.platform import RailwayPlatform
from postbase_operator.settings import Settings

logger = logging.getLogger(__name__)
LEASE_NAME = "postbase-operator"
LEASE_WRITES_PER_SECOND = 10.0
CLEAR_UP_SECONDS = 60.0
DEFINITIONS_AGAIN = 5.0
"""Seconds between two looks for a definition (CRD) that is not there."""
REST = 0.5
"""Seconds between two looks at one object, so that a row of events costs one."""


def main(settings: Settings) -> int:
    logs.configure(settings.log_level)
    # kopf tells of every event at INFO and repeats it per handler: ours say what matters.
    logging.getLogger("kopf").setLevel(logging.WARNING)
    return asyncio.run(Operator(settings).run())


class Operator:
    """Holds what lives as long as the process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._identity = socket.gethostname()
        self._watching = asyncio.Event()
        self._stop = asyncio.Event()
        self._leading = False

    async def run(self) -> int:
        """Stands by, leads, and gives the Lease back at SIGTERM or SIGINT; 1 on any other end."""
        settings = self._settings
        api = await Session.login(WriteBudget(settings.writes_per_second))
        server = await health.serve(settings.health_port, self._unready)
        # A connection and a budget of its own: a busy queue must not cost us the Lease.
        leases = await Session.login(WriteBudget(LEASE_WRITES_PER_SECOND))
        elector = Elector(leases, settings.operator_namespace, LEASE_NAME, self._identity)
        try:
            if await _unless_stopped(elector.acquire()):
                self._leading = True
                metrics.LEADER.set(1)
                cache = Cache()
                async with railway_platform(api, cache, settings) as railway:
                    await self._lead(api, cache, elector, railway)
        except LeaseLost as error:
            # Not a moment longer: whoever leads now must not find our writes between its own.
            logger.critical("the Lease is lost", extra={"error": str(error)})
            os._exit(1)
        except PostbaseError as error:
            logger.critical("cannot go on", extra={"error": str(error)})
            return 1
        finally:
            await elector.release()
            await server.cleanup()
            await leases.close()
            await api.close()
        logger.info("stopped")
        return 0

    async def _lead(
        self, api: Session, cache: Cache, elector: Elector, railway: RailwayPlatform | None
    ) -> None:
        settings = self._settings
        kubernetes = KubePlatform(api, cache, settings, now)
        platform = ByProvider(kubernetes, railway)
        reconciler = Reconciler(api, cache, platform, settings, instance=self._identity)
        queue = WorkQueue[Key](reconciler.run, workers=settings.workers, rest=REST)
        reconciler.wake = queue.add
        accounts = bool(settings.gateway_account)
        watcher = Watcher(api, cache, queue, settings.watch_namespaces, accounts=accounts)
        metrics.QUEUE_DEPTH.set_function(lambda: queue.depth)
        metrics.QUEUE_OLDEST_SECONDS.set_function(queue.oldest)
        for phase in DatabasePhase:
            metrics.DATABASES.labels(phase.value).set_function(partial(_in_phase, cache, phase))
        keeping = asyncio.create_task(elector.keep(), name="lease")
        if not await _unless_stopped(_list(watcher, keeping)):
            keeping.cancel()
            return
        ours = [
            keeping,
            asyncio.create_task(queue.run(), name="queue"),
            asyncio.create_task(watcher.sweep(), name="sweep"),
            asyncio.create_task(_clear_up(Leftovers(api, cache, now)), name="leftovers"),
            asyncio.create_task(_clear_up(BackupLeftovers(api, cache, now)), name="old-backups"),
            asyncio.create_task(
                _clear_up(LogExpiry(kubernetes.archives, cache, now)), name="old-log"
            ),
            asyncio.create_task(
                _clear_up(GoneLog(kubernetes.archives.stores, cache, settings, now)),
                name="gone-log",
            ),
            asyncio.create_task(
                kubernetes.archives.watch(lambda db: queue.add(_key_of(db))),
                name="receivers",
            ),
        ]
        # Tasks that begin after kopf has begun count as kopf's own: it waits for them at its end.
        await asyncio.sleep(0)
        watch = asyncio.create_task(self._watch(watcher), name="watch")
        told = asyncio.create_task(self._told_to_stop(), name="stop")
        logger.info("started", extra={"namespaces": ",".join(settings.watch_namespaces) or "all"})
        done, _ = await asyncio.wait([*ours, watch, told], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if task.exception() is not None:  # first of all: a lost Lease allows no tidying up
                task.result()
        ended = {watch, told} & done
        await _cancel(*ours)
        if told in done:
            # Nothing of ours writes any more, and kopf only reads: the next one need not wait the
            # seconds that it takes to close its watches.
            await elector.release()
            await watch
        await _cancel(watch, told)
        if not ended:
            raise Unavailable("operator", "the queue or the sweep ended by itself")

    async def _told_to_stop(self) -> None:
        """Takes the signals over from kopf once it has begun; returns when one has come."""
        await self._watching.wait()
        _on_signal(self._stop.set)
        await self._stop.wait()

    async def _watch(self, watcher: Watcher) -> None:
        """kopf, embedded: it returns when it is told to stop; before it watches, by its signals."""
        namespaces = self._settings.watch_namespaces
        await kopf.operator(
            registry=registry.registry(watcher),
            settings=registry.settings(),
            namespaces=namespaces,
            clusterwide=not namespaces,
            standalone=True,
            # Else kopf asks for our user's name, and the pod's user has none.
            identity=self._identity,  # type: ignore[arg-type]  # a NewType kopf keeps private
            ready_flag=self._watching,
            stop_flag=self._stop,
        )

    def _unready(self) -> str:
        """A standby is ready: it could lead at any moment."""
        if self._leading and not self._watching.is_set():
            return "the watches are not open yet"
        return ""


def _key_of(db: Database) -> Key:
    return Key(DATABASE.kind, db.metadata.namespace, db.metadata.name)


def _in_phase(cache: Cache, phase: DatabasePhase) -> int:
    held = (body.get("status") or {} for body in cache.all(DATABASE))
    return sum(status.get("phase") == phase.value for status in held)


async def _list(watcher: Watcher, keeping: asyncio.Task[None]) -> None:
    """The first listing; where a definition of ours is gone, as soon as it is back.

    Raises LeaseLost: to end for want of a definition would be a crash loop until it comes.
    """
    while True:
        try:
            return await watcher.list_everything()
        except NotFound as error:
            logger.warning("a definition is not there", extra={"error": str(error)})
        await asyncio.wait([keeping], timeout=DEFINITIONS_AGAIN)
        if keeping.done():
            keeping.result()


async def _clear_up(leftovers: Leftovers | BackupLeftovers | LogExpiry | GoneLog) -> None:
    """Every minute, until cancelled."""
    while True:
        try:
            await leftovers.clear()
        except PostbaseError as error:  # the next round may do better
            logger.warning("not all was cleared up", extra={"error": str(error)})
        await asyncio.sleep(CLEAR_UP_SECONDS)


async def _unless_stopped(waiting: Coroutine[None, None, None]) -> bool:
    """Waits, and answers True; False where a signal came first. Later signals are kopf's.

    Raises what `waiting` raises.
    """
    stop = asyncio.Event()
    _on_signal(stop.set)
    tasks = [asyncio.ensure_future(waiting), asyncio.ensure_future(stop.wait())]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    await _cancel(*tasks)
    if not tasks[0].cancelled():
        tasks[0].result()
    return not stop.is_set()


def _on_signal(act: Callable[[], None]) -> None:
    """What is done at SIGTERM and SIGINT; it takes the place of what was done before."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, act)


async def _cancel(*tasks: asyncio.Future[Any]) -> None:
    """Returns once they have ended, whichever way."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
