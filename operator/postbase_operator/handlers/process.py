"""The operator process: who is started, in which order, and what ends it."""

from __future__ import annotations

import asyncio
import logging
import socket

import kopf

from postbase_operator import metrics
from postbase_operator.errors import PostbaseError, Unavailable
from postbase_operator.handlers import health, logs, registry
from postbase_operator.handlers.keys import Key
from postbase_operator.handlers.queue import WorkQueue
from postbase_operator.handlers.reconcile import Reconciler, now
from postbase_operator.handlers.watcher import Watcher
from postbase_operator.kube.budget import WriteBudget
from postbase_operator.kube.cache import Cache
from postbase_operator.kube.platform import KubePlatform
from postbase_operator.kube.session import NotFound, Session
from postbase_operator.settings import Settings

logger = logging.getLogger(__name__)


def main(settings: Settings) -> int:
    logs.configure(settings.log_level)
    return asyncio.run(Operator(settings).run())


class Operator:
    """Holds what lives as long as the process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._watching = asyncio.Event()
        self._listed = False
        self._failure = ""

    async def run(self) -> int:
        """Runs until SIGTERM or SIGINT; 0 then, 1 where a part of it ended by itself."""
        settings = self._settings
        api = await Session.login(WriteBudget(settings.writes_per_second))
        server = await health.serve(settings.health_port, lambda: self._failure, self._unready)
        try:
            await self._operate(api)
        except NotFound as error:
            logger.critical("a resource definition is missing", extra={"error": str(error)})
            return 1
        except PostbaseError as error:
            logger.critical("cannot go on", extra={"error": str(error)})
            return 1
        finally:
            await server.cleanup()
            await api.close()
        logger.info("stopped")
        return 0

    async def _operate(self, api: Session) -> None:
        settings = self._settings
        cache = Cache()
        platform = KubePlatform(api, cache, settings, now)
        reconciler = Reconciler(api, cache, platform, settings, instance=socket.gethostname())
        queue = WorkQueue[Key](reconciler.run, workers=settings.workers)
        watcher = Watcher(api, cache, queue, settings.watch_namespaces)
        metrics.QUEUE_DEPTH.set_function(lambda: queue.depth)
        metrics.QUEUE_OLDEST_SECONDS.set_function(queue.oldest)
        await watcher.list_everything()
        self._listed = True
        ours = [
            asyncio.create_task(queue.run(), name="queue"),
            asyncio.create_task(watcher.sweep(), name="sweep"),
        ]
        # Tasks that begin after kopf has begun count as kopf's own: it waits for them at its end.
        await asyncio.sleep(0)
        watch = asyncio.create_task(self._watch(watcher), name="watch")
        logger.info("started", extra={"namespaces": ",".join(settings.watch_namespaces) or "all"})
        done, _ = await asyncio.wait([*ours, watch], return_when=asyncio.FIRST_COMPLETED)
        for task in (*ours, watch):
            task.cancel()
        await asyncio.gather(*ours, watch, return_exceptions=True)
        for task in done:
            task.result()
        if watch not in done:
            raise Unavailable("operator", "the queue or the sweep ended by itself")

    async def _watch(self, watcher: Watcher) -> None:
        """kopf, embedded: it takes the signals, and returns when one has told it to stop."""
        namespaces = self._settings.watch_namespaces
        await kopf.operator(
            registry=registry.registry(watcher),
            settings=registry.settings(),
            namespaces=namespaces,
            clusterwide=not namespaces,
            standalone=True,
            # Else kopf asks for our user's name, and the pod's user has none.
            identity=socket.gethostname(),  # type: ignore[arg-type]  # a NewType kopf keeps private
            ready_flag=self._watching,
        )

    def _unready(self) -> str:
        if not self._listed:
            return "nothing is listed yet"
        return "" if self._watching.is_set() else "the watches are not open yet"
