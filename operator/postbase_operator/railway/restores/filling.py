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
from postbase_operator.archive.run import FillRun
from postbase_operator.archive.staging import Staging, attempt_in
from postbase_operator.desired import staged
from postbase_operator.errors import Conflict, InvalidSpec, NotReady
from postbase_operator.planning import plan as steps
from postbase_operator.planning.beginning_archive import needs_offer
from postbase_operator.planning.observed import Fill, Observed, Server, VolumeRole
from postbase_operator.postgres import recovered
from postbase_operator.postgres.connect import Connection
from postbase_operator.railway import fill_service, parameters
from postbase_operator.railway import observe as observing
from postbase_operator.railway.fill_service import fills
from postbase_operator.railway.generations import Family
from postbase_operator.railway.graphql.models import EnvironmentState, ServiceInstance
from postbase_operator.railway.ground import Ground
from postbase_operator.railway.lifecycle.making import DEPLOYMENT
from postbase_operator.railway.lifecycle.switching import Switching, with_volume
from postbase_operator.railway.lifecycle.volumes import Restored, Volumes
from postbase_operator.railway.restores.fills import Fills, task_in
from postbase_operator.railway.restores.refusing import LATEST
from postbase_operator.railway.restores.restore_books import RestoreBooks
from postbase_operator.railway.sql.restore_door import RestoreDoor
from postbase_operator.railway.sql.servers import Servers
from postbase_operator.railway.support import UNSUPPORTED
from postbase_operator.railway.wal.archive_books import ArchiveBooks

FillStep = steps.FillVolume | steps.RecoverVolume | steps.PromoteVolume | steps.FailVolume


@dataclass(slots=True)
class Filling:
    """One for all Databases of the platform. `image` is our own, as Railway pulls it."""

    servers: Servers
    books: ArchiveBooks
    archives: RestoreBooks
    image: str
    region_of: Callable[[Database], str | None]
    now: Callable[[], datetime]
    switching: Switching = field(init=False)
    door: RestoreDoor = field(init=False)
    fills: Fills = field(init=False)

    def __post_init__(self) -> None:
        self.switching = Switching(self.servers, self.now)
        self.door = RestoreDoor(self.servers, self.now)
        self.fills = Fills(self.door, self.archives, self.now)

    # -- looking -----------------------------------------------------------------------------

    async def beginning(self, db: Database, seen: Observed) -> Observed:
        """Of a Database nothing of which serves yet: with what spec.bootstrap names."""
        seen = replace(seen, source_backup=self.archives.backup(db))
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

    async def beside(
        self, ground: Ground, db: Database, state: EnvironmentState, family: Family
    ) -> Fill | None:
        """How far one is that is filled in place, beside what serves."""
        part = family.filling
        held = observing.one_volume(state, part.service) if part is not None else None
        if part is None or held is None:
            return None
        proxy = state.proxy_of(part.service_id)
        return await self.fills.look(ground, db, part.service, held.volume_id, proxy)

    # -- doing -------------------------------------------------------------------------------

    async def take(self, ground: Ground, db: Database, step: FillStep) -> None:
        match step:
            case steps.FillVolume():
                await self.fill(ground, db, step)
            case steps.RecoverVolume():
                await self.recover(ground, db, step)
            case steps.PromoteVolume():
                await self.promote(ground, db, step)
            case steps.FailVolume(volume):
                await self.switching.drop(ground, db, volume)

    async def create(self, ground: Ground, db: Database, step: steps.CreateVolume) -> None:
        password = await self.servers.superuser(ground, db)
        restored = Restored(step.restore, self.image) if step.restore else None
        region = self.region_of(db)
        await Volumes(ground).create(db, password, region, restored, step.generation)

    async def fill(self, ground: Ground, db: Database, step: steps.FillVolume) -> None:
        """Raises NotReady until it shows."""
        if step.recovery is not None and step.recovery.end is None:
            raise InvalidSpec("spec.source.latest", LATEST, reason=UNSUPPORTED)
        await self._complete(ground, db, step)
        service, variables = await self._mine(ground, db, step.volume)
        if fills(service) and fill_service.is_told(variables, step.attempt):
            return
        await Volumes(ground).grow(db, step.volume)
        task = step.recovery
        known = await self.fills.whole(ground, service, variables, task)
        if task is not None and known:
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
        patch = fill_service.fill_patch(service, self.image, told, known)
        message = f"postbase: {service.service_name} is filled, {step.restore} {step.attempt}"
        await self._commit(ground, service, patch, message)

    async def _complete(self, ground: Ground, db: Database, step: steps.FillVolume) -> None:
        """A service beside one that serves whose volume was not made yet."""
        _, family = await ground.family(db)
        part = family.of_service(step.volume)
        if part is not None:
            await self.create(ground, db, steps.CreateVolume(part.generation, part.restore))
            raise NotReady(f"the volume of {part.service.service_name} is not seen yet", 2.0)

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
        state, family = await ground.family(db, marks=True)
        part = with_volume(state, family, volume)
        if part is None:
            raise NotReady(f"the volume {volume} is not seen", 2.0)
        return part.service, part.variables

    async def promote(self, ground: Ground, db: Database, step: steps.PromoteVolume) -> None:
        """Marked first, then what it replaces leaves. Raises NotReady until all of it shows."""
        service, variables = await self._mine(ground, db, step.volume)
        match fill_service.role(variables):
            case VolumeRole.FILLING:
                await self._serve(ground, db, service, variables, step)
            case VolumeRole.PREVIOUS:
                await self.switching.bring_back(ground, db, step)
        await self.switching.hand_over(ground, db, step.keep_until)

    async def _serve(
        self,
        ground: Ground,
        db: Database,
        service: ServiceInstance,
        variables: Mapping[str, str],
        step: steps.PromoteVolume,
    ) -> None:
        """The server is made fit, then marked and started as any other is."""
        state, _ = await ground.look(db)
        proxy = state.proxy_of(service.service_id)
        password = await self.servers.superuser(ground, db)
        wanted, revision = parameters.wanted(db), parameters.revision(db)
        async with self.door.open(ground, db, proxy) as connection:
            await self._keep_history(db, variables, connection)
            await recovered.settle(connection, password, wanted, revision)
        patch = fill_service.serve_patch(service, step.restore, step.system_id)
        message = f"postbase: {service.service_name} serves, {step.restore}"
        await self._commit(ground, service, patch, message)

    async def _keep_history(
        self, db: Database, variables: Mapping[str, str], connection: Connection
    ) -> None:
        """The archive learns of the new timeline before anybody writes on it: else, until the
        receiver comes to it, no restore would know the branch that clients are on."""
        run = task_in(variables)
        if run is None or run.recovery is None or not run.recovery.keeps_archive:
            return
        begun = await recovered.history(connection)
        if begun is None:
            return
        try:
            await self.archives.keep_history(db, run.object_key, *begun)
        except Conflict:
            why = (
                f"another server has begun timeline {begun[0]} in the archive meanwhile: delete "
                "this PitrRestore and make it anew; it then takes the next number"
            )
            raise InvalidSpec("spec.source", why, reason="SplitBrain") from None
