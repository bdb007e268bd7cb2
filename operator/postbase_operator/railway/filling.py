"""A volume on Railway out of a backup: filled by our image, recovered by PostgreSQL's, then served.

Each step may be killed anywhere and is taken again: what it would do is decided by what Railway
shows at that moment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from postbase_operator.api.backup import Backup
from postbase_operator.api.database import Database
from postbase_operator.api.policies import BackupMethod
from postbase_operator.archive.run import FillRun
from postbase_operator.archive.staging import Staging, attempt_in
from postbase_operator.desired import staged
from postbase_operator.errors import (
    InvalidSpec,
    NotReady,
)
from postbase_operator.planning import plan as steps
from postbase_operator.planning.beginning_archive import needs_offer
from postbase_operator.planning.elsewhere import NOT_YET
from postbase_operator.planning.observed import Observed, Server, VolumeRole
from postbase_operator.postgres import recovered
from postbase_operator.railway import fill_service, parameters
from postbase_operator.railway import observe as observing
from postbase_operator.railway.archive_books import ArchiveBooks
from postbase_operator.railway.building import DEPLOYMENT, Builder
from postbase_operator.railway.fill_service import fills
from postbase_operator.railway.fills import Fills
from postbase_operator.railway.ground import Ground
from postbase_operator.railway.models import EnvironmentState, ServiceInstance
from postbase_operator.railway.restore_books import RestoreBooks
from postbase_operator.railway.restore_door import RestoreDoor
from postbase_operator.railway.servers import Servers

LOGICAL = (
    "names a logical Backup, which is not restored on Railway by this release: name a physical "
    "one, or begin with {empty: {}} and load the dump by the address in the credentials Secret"
)

FillStep = steps.FillVolume | steps.RecoverVolume | steps.PromoteVolume


@dataclass(slots=True)
class Filling:
    """One for all Databases of the platform. `image` is our own, as Railway pulls it."""

    servers: Servers
    books: ArchiveBooks
    archives: RestoreBooks
    image: str
    now: Callable[[], datetime]
    door: RestoreDoor = field(init=False)
    fills: Fills = field(init=False)

    def __post_init__(self) -> None:
        self.door = RestoreDoor(self.servers, self.now)
        self.fills = Fills(self.door, self.archives, self.now)

    # -- looking -----------------------------------------------------------------------------

    async def beginning(self, db: Database, seen: Observed) -> Observed:
        """Of a Database nothing of which serves yet: with what spec.bootstrap names. Raises
        InvalidSpec for what cannot be restored here."""
        backup = self.archives.backup(db)
        if backup is not None and backup.spec.method is BackupMethod.LOGICAL:
            raise InvalidSpec("spec.bootstrap.backupRef", LOGICAL, reason=NOT_YET)
        seen = replace(seen, source_backup=backup)
        if needs_offer(db, seen):
            seen = replace(seen, source_archive=await self.archives.offer_for(db))
        return seen

    def awaited(self, db: Database, server: Server | None) -> Backup | None:
        """Of one that serves: whether its application's database is to come out of a dump depends
        on what spec.bootstrap names."""
        return self.archives.backup(db) if server is not None and server.lacks_database else None

    async def seen(
        self,
        ground: Ground,
        db: Database,
        state: EnvironmentState,
        service: ServiceInstance,
        seen: Observed,
    ) -> Observed:
        """Of one that is made out of a backup: nothing of it serves, whatever runs there."""
        held = observing.one_volume(state, service)
        seen = replace(seen, railway=observing.parts(ground.place, service, held, None))
        if held is None:
            return await self.beginning(db, seen)
        variables = await ground.sight.variables(service.service_id)
        volume = observing.volume(held, db, ground.name(db), variables)
        proxy = state.proxy_of(service.service_id)
        fill = await self.fills.look(ground, db, service, volume.name, proxy)
        return await self.beginning(db, replace(seen, volumes=(volume,), fill=fill))

    # -- doing -------------------------------------------------------------------------------

    async def take(self, ground: Ground, db: Database, step: FillStep) -> None:
        match step:
            case steps.FillVolume():
                await self.fill(ground, db, step)
            case steps.RecoverVolume():
                await self.recover(ground, db, step)
            case steps.PromoteVolume():
                await self.promote(ground, db, step)

    async def fill(self, ground: Ground, db: Database, step: steps.FillVolume) -> None:
        """Raises NotReady until it shows."""
        service, variables = await self._mine(ground, db, step.volume)
        if fills(service) and fill_service.is_told(variables, step.attempt):
            return
        await Builder(ground).grow(db, step.volume)
        task = step.recovery
        if task is not None and await self.fills.ended_early(ground, service):
            task = task.model_copy(update={"stop_at": None})
        server, authority = await self.door.server(ground, db)
        told = Staging(
            run=FillRun(object_key=step.object_key, recovery=step.recovery),
            attempt=step.attempt,
            settings=staged.recovery(task, db.spec.parameters),
            authority=authority.decode(),
            certificate=server.certificate.decode(),
            key=server.key.decode(),
            store=await self.books.store(db),
        )
        patch = fill_service.fill_patch(service, self.image, told)
        message = f"postbase: {service.service_name} is filled, {step.restore} {step.attempt}"
        await self._commit(ground, service, patch, message)

    async def recover(self, ground: Ground, db: Database, step: steps.RecoverVolume) -> None:
        """Raises NotReady until it shows."""
        service, variables = await self._mine(ground, db, step.volume)
        if not fills(service):
            return
        patch, attempt = fill_service.recover_patch(service, db), attempt_in(variables)
        message = f"postbase: {service.service_name} recovers, {step.restore} {attempt}"
        await self._commit(ground, service, patch, message)

    async def _commit(
        self, ground: Ground, service: ServiceInstance, patch: Mapping[str, object], message: str
    ) -> None:
        ground.asked(DEPLOYMENT, service.service_id)
        ground.sight.changed(service.service_id)
        await ground.commits.make(patch, message)

    async def _mine(
        self, ground: Ground, db: Database, volume: str
    ) -> tuple[ServiceInstance, Mapping[str, str]]:
        """The service of this volume as it is now: what was seen before the commit of the last look
        was applied would make it twice."""
        _, held = await ground.look(db)
        if held is not None:
            ground.sight.changed(held.service_id)
        state, service = await ground.look(db, fresh=True)
        there = service is not None and any(
            each.volume_id == volume for each in state.volumes_of(service.service_id)
        )
        if service is None or not there:
            raise NotReady(f"the volume {volume} is not seen", 2.0)
        return service, await ground.sight.variables(service.service_id)

    async def promote(self, ground: Ground, db: Database, step: steps.PromoteVolume) -> None:
        """The server is made fit, then marked and started as any other is. Raises NotReady until
        it shows."""
        service, variables = await self._mine(ground, db, step.volume)
        if fill_service.role(variables) is VolumeRole.CURRENT:
            return
        state, _ = await ground.look(db)
        proxy = state.proxy_of(service.service_id)
        password = await self.servers.superuser(ground, db)
        wanted, revision = parameters.wanted(db), parameters.revision(db)
        async with self.door.open(ground, db, proxy) as connection:
            await recovered.settle(connection, password, wanted, revision)
        patch = fill_service.serve_patch(service, step.restore, step.system_id)
        message = f"postbase: {service.service_name} serves, {step.restore}"
        await self._commit(ground, service, patch, message)
