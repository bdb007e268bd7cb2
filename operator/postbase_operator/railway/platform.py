"""Railway as a platform: observes a Database's service, carries out plans, takes it away."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from postbase_operator.api.database import Database, DatabaseStatus
from postbase_operator.api.upkeep import DeletionPolicy
from postbase_operator.archive.wish import OFF, ArchivingWish
from postbase_operator.desired import meta
from postbase_operator.errors import InvalidSpec
from postbase_operator.planning import plan as steps
from postbase_operator.planning.archive_observed import NONE_EARLIER, Earlier
from postbase_operator.planning.archiving import revision
from postbase_operator.planning.observed import Access, Observed, ProcessState, VolumeRole
from postbase_operator.planning.plan import Plan, Step
from postbase_operator.platforms import BackupSchedule
from postbase_operator.railway import cost as costs
from postbase_operator.railway import (
    fill_service,
    parameters,
    reads,
    receiver_service,
    services,
    taking_away,
)
from postbase_operator.railway import observe as observing
from postbase_operator.railway.archive_books import ArchiveBooks
from postbase_operator.railway.archiving import Archiving, Receiver
from postbase_operator.railway.backup_servers import BackupServers
from postbase_operator.railway.building import Builder, Restored
from postbase_operator.railway.client import Client
from postbase_operator.railway.cost import Prices
from postbase_operator.railway.filling import Filling, FillStep
from postbase_operator.railway.ground import SETTLES, Ground
from postbase_operator.railway.keyring import Keyring
from postbase_operator.railway.models import EnvironmentState, ServiceInstance
from postbase_operator.railway.reads import Place
from postbase_operator.railway.refusing import refuse
from postbase_operator.railway.restore_books import RestoreBooks
from postbase_operator.railway.restoring import Restoring
from postbase_operator.railway.servers import Servers, SqlStep
from postbase_operator.railway.sight import Sight
from postbase_operator.railway.support import check_support

logger = logging.getLogger(__name__)

ProcessStep = steps.ResizeProcess | steps.ReplaceProcess | steps.RestartProcess


class RailwayPlatform:
    """Implements platforms.Platform on one environment of Railway.

    `place` None: the one that a project's token is for. `region_of` answers the spec's or the
    Project's region; `image` is our own, for the receiver, as Railway pulls it; `settles` is as in
    ground.SETTLES, `clock` monotonic, in seconds. `servers`: who asks PostgreSQL, by default
    through its TCP proxy.
    """

    def __init__(  # noqa: PLR0913 - what it stands on, each by name
        self,
        client: Client,
        place: Place | None,
        keyring: Keyring,
        books: ArchiveBooks,
        region_of: Callable[[Database], str | None],
        cluster: str,
        now: Callable[[], datetime],
        *,
        schedule: BackupSchedule,
        archives: RestoreBooks,
        image: str,
        prices: Prices = costs.LISTED,
        settles: float = SETTLES,
        clock: Callable[[], float] = time.monotonic,
        servers: Servers | None = None,
    ) -> None:
        self._client = client
        self._place = place
        self._keyring = keyring
        self._region_of = region_of
        self._cluster = cluster
        self._now = now
        self._prices = prices
        self._settles = settles
        self._clock = clock
        self._servers = servers or Servers(keyring, now)
        self._books = books
        self._image = image
        self._archiving = Archiving(self._servers, books, image, now)
        self._filling = Filling(self._servers, books, archives, image, now)
        self._found: Ground | None = None
        self._finding = asyncio.Lock()
        self._schedule = schedule
        self.restoring = Restoring(self._ground, archives, region_of)
        self.backing_up = BackupServers(self._ground, self._servers)

    async def _ground(self) -> Ground:
        async with self._finding:
            if self._found is None:
                place = self._place or await reads.token_place(self._client)
                sight = Sight(self._client, place, self._clock)
                self._found = Ground(sight, self._cluster, self._now, self._settles)
            return self._found

    # -- observe ---------------------------------------------------------------------------

    async def observe(self, db: Database) -> Observed:
        check_support(db)
        ground = await self._ground()
        state, service = await ground.look(db)
        seen = Observed(
            wanted_revision=parameters.revision(db),
            synchronous_revision=parameters.revision(db, synchronous=True),
        )
        if service is None:
            observing.check_beginning(state, ground.name(db), db)
            return await self._filling.beginning(db, replace(seen, earlier=await self._earlier(db)))
        variables = await ground.sight.variables(service.service_id)
        if fill_service.role(variables) is VolumeRole.FILLING:
            return await self._filling.seen(ground, db, state, service, seen)
        return await self._seen(ground, db, state, service, seen)

    async def _earlier(self, db: Database) -> Earlier:
        """Asked once, before the first volume of a Database that is to begin empty."""
        if db.spec.bootstrap is not None or db.status.system_id:
            return NONE_EARLIER
        return await self._books.earlier(db)

    async def _seen(
        self,
        ground: Ground,
        db: Database,
        state: EnvironmentState,
        service: ServiceInstance,
        seen: Observed,
    ) -> Observed:
        variables = await ground.sight.variables(service.service_id)
        proxy, held = state.proxy_of(service.service_id), observing.one_volume(state, service)
        volume, limits, cost = None, None, None
        receiver = await self._archiving.receiver(ground, db)
        if held is not None:
            services.region(db, db.spec.region, (), held=held.region)
            volume = observing.volume(held, db, ground.name(db), variables)
            limits = await ground.sight.limits(service.service_id)
            also = receiver_service.AT_MOST if receiver.service is not None else None
            cost = costs.told(db, held.size_mb, self._prices, also)
        process = observing.process(service, proxy, volume.name if volume else "", db, limits)
        server, server_error = None, ""
        if process.state is ProcessState.RUNNING and proxy is not None:
            server, server_error = await self._servers.ask(ground, db, proxy)
        if process.state is ProcessState.RUNNING:
            waits = server is None or server.facts.synchronous
            self._archiving.commits_wait(db, waits=waits)
        secret = meta.names_of(db).credentials
        system_id = volume.system_id if volume is not None else ""
        answering = proxy if server is not None else None
        archive = await self._archiving.look(ground, db, receiver, system_id, answering)
        return replace(
            seen,
            archiving=ArchivingWish(
                receiver.config, synchronous=server is not None and server.facts.synchronous
            ),
            archive=archive,
            access=Access(secret, proxy.domain, proxy.proxy_port) if proxy is not None else None,
            volumes=(volume,) if volume is not None else (),
            process=replace(process, receiver_revision=told_revision(receiver)),
            source_backup=self._filling.awaited(db, server),
            server=server,
            server_error=server_error,
            unanswered_since=self._servers.unanswered_since(db),
            railway=observing.parts(ground.place, service, held, cost, receiver.service_id),
        )

    # -- execute ---------------------------------------------------------------------------

    async def execute(self, db: Database, plan: Plan[DatabaseStatus]) -> None:
        await self.carry_out(db, plan.steps)

    async def carry_out(self, db: Database, todo: Sequence[Step]) -> None:
        for step in todo:
            await self._take(db, step)
        for step in todo:  # last, so that trouble with the receiver holds up nothing else
            if isinstance(step, steps.ApplyWorkload):
                await self._archiving.apply(await self._ground(), db, step.archiving)

    async def _take_here(self, db: Database, step: Step) -> bool:
        """What is not done on Railway; False where it is."""
        match step:
            case steps.CreateBackup() | steps.ExpireBackup() | steps.CreateDatabase():
                await self._schedule.take(db, step)
            case steps.EnterCatalogue():
                await self._books.enter(db)
            case steps.BringStore() | steps.PokeReceiver():
                pass  # what the receiver is told goes with its service, as ApplyWorkload has it
            case steps.RestartReceiver(request):
                await self._archiving.restart(await self._ground(), db, request)
            case _:
                return False
        return True

    async def _take(self, db: Database, step: Step) -> None:
        if await self._take_here(db, step):
            return
        ground = await self._ground()
        builder = Builder(ground)
        match step:
            case steps.EnsureSecrets():
                await self._servers.ensure_secrets(ground, db)
            case steps.CreateVolume():
                await self._create(ground, db, step)
            case _ if isinstance(step, FillStep):
                await self._filling.take(ground, db, step)
            case steps.ApplyWorkload():
                password = await self._servers.superuser(ground, db)
                checkpoint = partial(self._servers.checkpoint, ground, db)
                await builder.apply(db, step, password, checkpoint)
            case steps.RecordOrigin() | steps.LabelVolume() | steps.GrowVolume():
                await self._take_volume(builder, db, step)
            case _ if isinstance(step, SqlStep):
                await self._servers.take(ground, db, step)
            case _ if isinstance(step, ProcessStep):
                await self._take_process(ground, db, step)
            case _:
                refuse(step)

    async def _create(self, ground: Ground, db: Database, step: steps.CreateVolume) -> None:
        password = await self._servers.superuser(ground, db)
        restored = Restored(step.restore, self._image) if step.restore else None
        await Builder(ground).create_volume(db, password, self._region_of(db), restored)

    async def _take_volume(
        self,
        builder: Builder,
        db: Database,
        step: steps.RecordOrigin | steps.LabelVolume | steps.GrowVolume,
    ) -> None:
        match step:
            case steps.RecordOrigin():
                await builder.record(db, step.system_id)
            case steps.LabelVolume(volume):
                await builder.name_volume(db, volume)
            case steps.GrowVolume(volume):
                await builder.grow(db, volume)

    async def _take_process(self, ground: Ground, db: Database, step: ProcessStep) -> None:
        builder = Builder(ground)
        match step:
            case steps.ResizeProcess():
                await builder.resize(db)
            case steps.ReplaceProcess():
                await builder.replace(db)
            case steps.RestartProcess(identity):
                # By a new deployment: the process anew would keep the old image and variables.
                service = await builder.current(db, identity)
                if service is not None:
                    await self._servers.checkpoint(ground, db)
                    await builder.deploy(service)

    # -- destroy ---------------------------------------------------------------------------

    async def destroy(self, db: Database, *, keep: bool = False) -> bool:
        """The proxy, the service, then what the policy, or `keep`, does not keep.

        What was never ours, or has another's marker, is left as it is.
        """
        ground = await self._ground()
        try:
            state, service = await ground.look(db, fresh=True)
        except InvalidSpec as error:
            extra = {"object": str(db.metadata.name), "error": str(error)}
            logger.warning("left alone on Railway", extra=extra)
            return True
        if service is not None:
            await self._servers.checkpoint(ground, db)
            await taking_away.delete_service(ground, db, service, state)
            return False
        taking_away.wait_for_service(ground, db)
        if not await self._archiving.is_gone(ground, db):
            return False
        if parts := observing.parts_of_volumes(state, ground.name(db)):
            await taking_away.delete_volumes(ground, parts)
            return False
        own = observing.own_volumes(state, ground.name(db))
        policy, stays = db.spec.deletion_policy, db.spec.retain_volume_for is not None
        backed_up = policy is DeletionPolicy.FINAL_BACKUP and not stays
        delete = (policy is DeletionPolicy.DELETE or backed_up) and not keep
        if own and delete:
            await taking_away.delete_volumes(ground, own)
            return False
        known = db.status.railway.volume_id if db.status.railway is not None else None
        known = None if known is not None and observing.is_gone(state, known) else known
        kept = [each.volume.name for each in own] or ([known] if known is not None else [])
        if kept and not delete:  # by the status, too: Railway may show a volume late
            await self._keyring.keep(db, kept)
        else:
            await self._keyring.let_go(db)
        if policy is DeletionPolicy.DELETE and not keep:
            await self._books.give_up(db)
        self._servers.forget(db)
        self._archiving.forget(db)
        return True


def told_revision(receiver: Receiver) -> str:
    """Of what the receiver was last told; "" where it never was told anything."""
    return "" if receiver.config == OFF else revision(receiver.config)
