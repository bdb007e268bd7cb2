"""The pod that runs PostgreSQL: poked, resized and upgraded in place, replaced, restarted."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from postbase_operator.api.database import Database
from postbase_operator.desired import meta, names
from postbase_operator.errors import NotReady, PostbaseError
from postbase_operator.kube import observe as observing
from postbase_operator.kube.admin import Admin
from postbase_operator.kube.apply import MANAGER
from postbase_operator.kube.cache import Cache, Place, place_of
from postbase_operator.kube.differences import resize_of
from postbase_operator.kube.kinds import POD, STATEFUL_SET, Body
from postbase_operator.kube.refusals import NotFound, Refused
from postbase_operator.kube.session import Session
from postbase_operator.planning import plan as steps

logger = logging.getLogger(__name__)

PodStep = (
    steps.PokeConfig
    | steps.PokeReceiver
    | steps.ReplaceProcess
    | steps.RestartProcess
    | steps.AbandonProcess
    | steps.ResizeProcess
    | steps.UpgradeSidecar
)
PATIENCE = 60.0
"""Seconds that one sidecar may take to come up before the next is upgraded."""


@dataclass(frozen=True, slots=True)
class Upgrade:
    """The sidecar that was upgraded last: its pod, how often it had started, and when."""

    pod: Place
    starts: int
    at: float


class Pods:
    """Carries out the steps that concern a Database's pod."""

    def __init__(self, api: Session, cache: Cache, admin: Admin) -> None:
        self._api = api
        self._cache = cache
        self._admin = admin
        self._upgrade: Upgrade | None = None
        # Until the cluster says that it knows no `pods/resize` (before 1.33) …
        self._resizes = True
        # … and but for these pods, by UID, whose node's kubelet is older.
        self._unresizable: dict[Place, str] = {}

    async def take(self, db: Database, step: PodStep) -> None:
        pod = self._pod(db)
        match step:
            case steps.PokeConfig(revision):
                await self._poke(db, names.ANNOTATION_CONFIG, revision)
            case steps.PokeReceiver(revision):
                await self._poke(db, names.ANNOTATION_RECEIVER, revision)
            case steps.ReplaceProcess():
                await self._delete(pod)
            case steps.RestartProcess(identity):
                await self._restart(db, pod, identity)
            case steps.AbandonProcess(identity):
                await self._abandon(pod, identity)
            case steps.ResizeProcess():
                await self._resize(db, pod)
            case steps.UpgradeSidecar():
                await self._upgrade_sidecar(db, pod)

    def resizable(self, db: Database) -> bool:
        """Whether the present pod can get another size; else that waits for the next one."""
        pod = self._pod(db)
        return self._resizes and (pod is None or self._unresizable.get(place_of(pod)) != _uid(pod))

    def _pod(self, db: Database) -> Body | None:
        known = meta.names_of(db)
        return self._cache.get(POD, known.namespace, known.pod)

    def _workload(self, db: Database) -> Body:
        known = meta.names_of(db)
        live = self._cache.get(STATEFUL_SET, known.namespace, known.statefulset)
        if live is None:
            raise NotReady(f"StatefulSet {known.statefulset} is not there", retry_after=1.0)
        return live

    async def _poke(self, db: Database, annotation: str, revision: str) -> None:
        """An annotation on the pod: the kubelet syncs its files at once, not in a minute."""
        known = meta.names_of(db)
        patch: Body = {"metadata": {"annotations": {annotation: revision}}}
        pod = await self._api.merge(POD, known.namespace, known.pod, patch, MANAGER)
        self._cache.answered(POD, pod, "metadata.annotations")

    async def _restart(self, db: Database, pod: Body | None, identity: str) -> None:
        """A checkpoint first: what is written before the stop need not be written during it."""
        if pod is None or pod["metadata"]["uid"] != identity:
            return
        if "deletionTimestamp" in pod["metadata"]:
            return  # it is being stopped already, and would not answer
        address = observing.process(pod).address
        if address:
            try:
                await self._admin.checkpoint(db, address)
            except PostbaseError as error:  # it is to be stopped, whether it answers or not
                logger.info("no checkpoint before the restart", extra={"error": str(error)})
        await self._delete(pod)

    async def _delete(self, pod: Body | None) -> None:
        if pod is None or "deletionTimestamp" in pod["metadata"]:
            return
        metadata = pod["metadata"]
        await self._api.delete(POD, metadata["namespace"], metadata["name"], metadata["uid"])

    async def _abandon(self, pod: Body | None, identity: str) -> None:
        """The API server forgets the pod; whether it still runs nobody can tell."""
        if pod is not None and _uid(pod) == identity:
            metadata = pod["metadata"]
            await self._api.delete(POD, metadata["namespace"], metadata["name"], identity, grace=0)

    async def _resize(self, db: Database, pod: Body | None) -> None:
        if pod is None:
            return
        known, patch = meta.names_of(db), resize_of(self._workload(db))
        try:
            live = await self._api.strategic(
                POD, known.namespace, known.pod, patch, MANAGER, subresource="resize"
            )
        except NotFound:
            self._resizes = False  # the next look lists it with what waits for a start
        except Refused as error:
            logger.info("a pod cannot be resized", extra={"error": str(error)})
            self._unresizable[place_of(pod)] = _uid(pod)
        else:
            self._cache.answered(POD, live, "spec")

    async def _upgrade_sidecar(self, db: Database, pod: Body | None) -> None:
        """One in the whole cluster at a time: while it starts, a Zero database does not commit."""
        if pod is None or not self._is_next():
            return
        known = meta.names_of(db)
        template = self._workload(db)["spec"]["template"]["spec"]["initContainers"]
        (image,) = [c["image"] for c in template if c["name"] == names.SIDECAR_CONTAINER]
        starts = _starts(pod)
        patch = {"spec": {"initContainers": [{"name": names.SIDECAR_CONTAINER, "image": image}]}}
        self._upgrade = Upgrade((known.namespace, known.pod), starts, time.monotonic())
        live = await self._api.strategic(POD, known.namespace, known.pod, patch, MANAGER)
        self._cache.answered(POD, live, "spec")

    def _is_next(self) -> bool:
        last = self._upgrade
        if last is None or time.monotonic() - last.at > PATIENCE:
            return True
        pod = self._cache.get(POD, *last.pod)
        return pod is None or _starts(pod) > last.starts


def _starts(pod: Body) -> int:
    """How often the sidecar has started again; counts once it runs."""
    for each in (pod.get("status") or {}).get("initContainerStatuses") or []:
        if each["name"] == names.SIDECAR_CONTAINER and "running" in (each.get("state") or {}):
            return int(each.get("restartCount", 0))
    return -1


def _uid(pod: Body) -> str:
    return str(pod["metadata"]["uid"])
