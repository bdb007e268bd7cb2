"""The Kubernetes platform: observes a Database's children, carries out plans, takes it away."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from postbase_operator.api.backup import Backup
from postbase_operator.api.database import Database, DatabaseStatus
from postbase_operator.api.upkeep import DeletionPolicy
from postbase_operator.desired import config, meta, names
from postbase_operator.errors import Denied, NotReady, Unavailable
from postbase_operator.kube import observe as observing
from postbase_operator.kube.admin import Admin
from postbase_operator.kube.archives import Archives
from postbase_operator.kube.backup_objects import BackupObjects
from postbase_operator.kube.backup_servers import BackupServers
from postbase_operator.kube.cache import Cache
from postbase_operator.kube.kinds import (
    BACKUP,
    CONFIG_MAP,
    JOB,
    NETWORK_POLICY,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    POD_DISRUPTION_BUDGET,
    SERVICE,
    STATEFUL_SET,
)
from postbase_operator.kube.pods import Pods
from postbase_operator.kube.protection import Protection
from postbase_operator.kube.restores import Restores
from postbase_operator.kube.secret_marks import bequeath
from postbase_operator.kube.session import Session
from postbase_operator.kube.volumes import Volumes, VolumeStep
from postbase_operator.kube.workloads import Workloads
from postbase_operator.planning import plan as steps
from postbase_operator.planning.archive_observed import NONE_EARLIER, Earlier
from postbase_operator.planning.beginning_archive import needs_offer
from postbase_operator.planning.observed import (
    Access,
    Observed,
    ProcessState,
    Server,
    Volume,
    VolumeRole,
)
from postbase_operator.planning.plan import Plan, Step
from postbase_operator.postgres.faults import POSTGRESQL
from postbase_operator.postgres.looks import ServerStep
from postbase_operator.settings import Settings

logger = logging.getLogger(__name__)
CHILDREN = (
    STATEFUL_SET,
    SERVICE,
    CONFIG_MAP,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    JOB,
    POD_DISRUPTION_BUDGET,
    NETWORK_POLICY,
)
"""What is watched and cached; Secrets are not, they are read by name."""


class KubePlatform:
    """Implements platforms.Platform on StatefulSets."""

    def __init__(
        self, api: Session, cache: Cache, settings: Settings, now: Callable[[], datetime]
    ) -> None:
        self._api = api
        self._cache = cache
        self._settings = settings
        self._now = now
        self._admin = Admin(api, now)
        self._pods = Pods(api, cache, self._admin)
        self._volumes = Volumes(api, cache)
        self._schedule = BackupObjects(api, cache, now)
        self._workloads = Workloads(api, cache, settings)
        self.archives = Archives(api, cache, settings, self._admin, now)
        self.restoring = Restores(api, cache, settings, now)
        self.backing_up = BackupServers(cache, settings, self._admin)
        self._protection = Protection(api, cache, everywhere=not settings.watch_namespaces)

    # -- observe ---------------------------------------------------------------------------

    async def observe(self, db: Database) -> Observed:
        known = meta.names_of(db)
        own, foreign = await self._volumes.find(db)
        adoptable, owner = None, ""
        if not own and db.spec.adopt_volume is not None:
            adoptable, owner = await self._volumes.adoptable(db, db.spec.adopt_volume)
        pod = self._cache.get(POD, known.namespace, known.pod)
        workload = self._cache.get(STATEFUL_SET, known.namespace, known.statefulset)
        process = observing.process(pod, workload, resizable=self._pods.resizable(db))
        serving = _current(own)
        archive = await self.archives.look(db, process, serving.system_id if serving else "")
        server, server_error = None, ""
        if process.state is ProcessState.RUNNING and process.address:
            try:
                server = await self._admin.ask(db, process.address)
            except (Unavailable, Denied) as error:
                if error.service != POSTGRESQL:
                    raise  # nothing is known of the server then, and nothing said of it
                server_error = str(error)
        seen = Observed(
            wanted_revision=config.revision(db),
            synchronous_revision=config.revision(db, synchronous=True),
            archiving=observing.archiving(
                self._cache.get(CONFIG_MAP, known.namespace, known.config)
            ),
            archive=archive,
            earlier=await self._earlier(db, own),
            access=Access(secret=known.credentials, host=known.host, port=names.PORT),
            volumes=own,
            foreign_volumes=foreign,
            adoptable=adoptable,
            adoptable_owner=owner,
            process=process,
            fill=self.restoring.fills.look(db, _filling(own)),
            stray_fills=self.restoring.fills.strays(db, own),
            loads=self.restoring.loads.look(db),
            source_backup=self._source_backup(db, own, server),
            server=server,
            server_error=server_error,
            unanswered_since=self._admin.unanswered_since(db),
        )
        if needs_offer(db, seen):
            seen = replace(seen, source_archive=await self.restoring.offer_for(db))
        return seen

    async def _earlier(self, db: Database, own: tuple[Volume, ...]) -> Earlier:
        """Asked once, before the first volume of a Database that is to begin empty."""
        spec = db.spec
        said = spec.bootstrap is not None or spec.adopt_volume is not None
        if own or said or db.status.system_id:
            return NONE_EARLIER
        return await self.archives.earlier(db)

    def _source_backup(
        self, db: Database, own: tuple[Volume, ...], server: Server | None
    ) -> Backup | None:
        """Asked for only where there is no volume yet that serves, or no database on it."""
        wanted = db.spec.bootstrap.backup_ref if db.spec.bootstrap is not None else None
        serves = any(each.role is VolumeRole.CURRENT for each in own)
        if wanted is None or (serves and not (server is not None and server.lacks_database)):
            return None
        body = self._cache.get(BACKUP, db.metadata.namespace, wanted.name)
        return None if body is None else Backup.model_validate(body)

    # -- execute ---------------------------------------------------------------------------

    async def execute(self, db: Database, plan: Plan[DatabaseStatus]) -> None:
        await self._protection.keep(db)
        await self.carry_out(db, plan.steps)

    async def carry_out(self, db: Database, todo: Sequence[Step]) -> None:
        for step in todo:
            await self._take(db, step)

    async def _take(self, db: Database, step: Step) -> None:
        match step:
            case steps.EnsureSecrets(first):
                await self._admin.ensure(db, first=first)
            case steps.ApplyWorkload():
                await self._workloads.bring(db, step)
            case steps.BringStore() | steps.EnterCatalogue():
                await self.archives.take(db, step)
            case _ if isinstance(step, ServerStep):
                await self._tell_server(db, step)
            case steps.BeginRotation() | steps.FinishRotation():
                await self._admin.rotate(db, step)
            case steps.PinLog() | steps.FillVolume() | steps.LoadBackup():
                await self.restoring.take(db, step)
            case steps.CreateBackup() | steps.ExpireBackup() | steps.CreateDatabase():
                await self._schedule.take(db, step)
            case _ if isinstance(step, VolumeStep):
                await self._volumes.take(db, step)
            case steps.RecoverVolume() | steps.RestartReceiver():
                pass  # not planned here: a Job that fills recovers too; a sidecar is asked itself
            case _:
                await self._pods.take(db, step)

    async def _tell_server(self, db: Database, step: ServerStep) -> None:
        known = meta.names_of(db)
        address = observing.process(self._cache.get(POD, known.namespace, known.pod)).address
        if not address:
            raise NotReady(f"pod {known.pod} has no address yet", retry_after=1.0)
        if isinstance(step, steps.DropDatabases):
            await self.restoring.loads.stop(db, step.names)
        await self._admin.tell(db, address, step)

    # -- destroy ---------------------------------------------------------------------------

    async def destroy(self, db: Database, *, keep: bool = False) -> bool:
        """Stops PostgreSQL first, then lets go of what the policy, or `keep`, does not keep.

        Services, ConfigMap and the rest go by garbage collection with the Database itself. Claims
        have no owner: Retain leaves them, Delete removes them once nothing mounts them.
        """
        known = meta.names_of(db)
        live = await self._api.find(STATEFUL_SET, known.namespace, known.statefulset)
        if live is not None:
            if "deletionTimestamp" not in live["metadata"]:
                uid = live["metadata"]["uid"]
                await self._api.delete(STATEFUL_SET, known.namespace, known.statefulset, uid)
            return False
        if await self._api.find(POD, known.namespace, known.pod) is not None:
            return False
        await self._volumes.drop_filling(db)
        policy, stays_for = db.spec.deletion_policy, db.spec.retain_volume_for
        backed_up = policy is DeletionPolicy.FINAL_BACKUP and stays_for is None
        if (policy is DeletionPolicy.DELETE or backed_up) and not keep:
            await self._volumes.delete_all(db)
            await self._let_credentials_go(db)
            if policy is DeletionPolicy.DELETE:
                await self.archives.give_up(db)
        elif stays_for is not None and not keep:
            await self._volumes.leave(db, self._now() + stays_for)
        await self._protection.keep(db)
        self._admin.forget(db)
        self.archives.forget(db)
        self._workloads.forget(db)
        return True

    async def _let_credentials_go(self, db: Database) -> None:
        """Where the API server lets nobody own what he may not delete (OpenShift), the Secret
        stays: it opens nothing any more, and must not keep the Database from going."""
        try:
            await bequeath(self._api, db)
        except Denied as error:
            logger.warning(
                "the credentials were left behind",
                extra={"object": str(db.metadata.name), "error": str(error)},
            )


def _current(own: tuple[Volume, ...]) -> Volume | None:
    return Observed(volumes=own).current


def _filling(own: tuple[Volume, ...]) -> Volume | None:
    filling = [each for each in own if each.role is VolumeRole.FILLING and not each.deleting]
    return max(filling, key=lambda each: each.generation, default=None)
