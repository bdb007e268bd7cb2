"""Railway as a platform: observes a Database's service, carries out plans, takes it away."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from postbase_operator.api.database import Database, DatabaseStatus
from postbase_operator.planning import plan as steps
from postbase_operator.planning.observed import Observed
from postbase_operator.planning.plan import Plan, Step
from postbase_operator.platforms import BackupSchedule, Loads
from postbase_operator.railway import cost as costs
from postbase_operator.railway.backups.backup_servers import BackupServers
from postbase_operator.railway.cost import Prices
from postbase_operator.railway.graphql import reads
from postbase_operator.railway.graphql.client import Client
from postbase_operator.railway.graphql.reads import Place
from postbase_operator.railway.graphql.sight import Sight
from postbase_operator.railway.ground import SETTLES, Ground
from postbase_operator.railway.keyring import Keyring
from postbase_operator.railway.leaving import Leaving
from postbase_operator.railway.lifecycle import taking_away
from postbase_operator.railway.lifecycle.building import Builder
from postbase_operator.railway.lifecycle.volumes import Volumes
from postbase_operator.railway.looking import Looking
from postbase_operator.railway.restores.filling import Filling, FillStep
from postbase_operator.railway.restores.loading import Loading, LoadStep
from postbase_operator.railway.restores.refusing import refuse
from postbase_operator.railway.restores.restore_books import RestoreBooks
from postbase_operator.railway.restores.restoring import Restoring
from postbase_operator.railway.sql.either_servers import EitherServers
from postbase_operator.railway.sql.servers import Servers, SqlStep
from postbase_operator.railway.support import check_private_step, check_support, is_private
from postbase_operator.railway.wal.archive_books import ArchiveBooks
from postbase_operator.railway.wal.archiving import Archiving
from postbase_operator.railway.wal.hearing import Hearing

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
        loads: Loads,
        image: str,
        prices: Prices = costs.LISTED,
        settles: float = SETTLES,
        clock: Callable[[], float] = time.monotonic,
        servers: Servers | None = None,
    ) -> None:
        self._client = client
        self._place = place
        self._cluster = cluster
        self._now = now
        self._settles = settles
        self._clock = clock
        self._servers = servers or EitherServers(keyring, now)
        self._books = books
        self._archiving = Archiving(Hearing(self._servers, books, now), image)
        self._filling = Filling(self._servers, books, archives, image, region_of, now)
        self._loading = Loading(self._servers, loads)
        self._looking = Looking(
            self._servers, books, self._archiving, self._filling, self._loading, prices
        )
        self._leaving = Leaving(self._servers, keyring, books, self._archiving)
        self._found: Ground | None = None
        self._finding = asyncio.Lock()
        self._schedule = schedule
        self.restoring = Restoring(self._ground, archives, self._loading, region_of)
        self.backing_up = BackupServers(self._ground, self._servers, books, now)

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
        return await self._looking.observe(await self._ground(), db)

    # -- execute ---------------------------------------------------------------------------

    async def execute(self, db: Database, plan: Plan[DatabaseStatus]) -> None:
        await self.carry_out(db, plan.steps)

    async def carry_out(self, db: Database, todo: Sequence[Step]) -> None:
        for step in todo:
            await self._take(db, step)
        for step in todo:  # last, so that trouble with the receiver holds up nothing else
            if isinstance(step, steps.ApplyWorkload):
                ground = await self._ground()
                if not is_private(db):
                    await self._archiving.apply(ground, db, step.archiving)
                await self._filling.switching.keep_up(ground, db)

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
        check_private_step(db, step)
        if await self._take_here(db, step):
            return
        ground = await self._ground()
        match step:
            case steps.EnsureSecrets():
                await self._servers.ensure_secrets(ground, db)
            case steps.CreateVolume():
                await self._filling.create(ground, db, step)
            case _ if isinstance(step, FillStep):
                await self._filling.take(ground, db, step)
            case steps.ApplyWorkload():
                await self._apply(ground, db, step)
            case steps.RecordOrigin() | steps.LabelVolume() | steps.GrowVolume():
                await self._take_volume(ground, db, step)
            case _ if isinstance(step, LoadStep):
                await self._loading.take(ground, db, step)
            case _ if isinstance(step, SqlStep):
                await self._servers.take(ground, db, step)
            case _ if isinstance(step, ProcessStep):
                await self._take_process(ground, db, step)
            case _:
                refuse(step)

    async def _apply(self, ground: Ground, db: Database, step: steps.ApplyWorkload) -> None:
        """Of what is leaving nothing is made right any more, and what takes its place is left to
        the switch."""
        _, family = await ground.family(db)
        if family.is_switching:
            return
        password = await self._servers.superuser(ground, db)
        checkpoint = partial(self._servers.checkpoint, ground, db)
        await Builder(ground).apply(db, step, password, checkpoint)
        if is_private(db):  # before all that waits for the server: who takes care of it is there
            await self._archiving.apply(ground, db, step.archiving)
            state, service = await ground.look(db)
            proxy = state.proxy_of(service.service_id) if service is not None else None
            if service is not None and proxy is not None and self._servers.may_close(db):
                await taking_away.close(ground, service, proxy)

    async def _take_volume(
        self,
        ground: Ground,
        db: Database,
        step: steps.RecordOrigin | steps.LabelVolume | steps.GrowVolume,
    ) -> None:
        match step:
            case steps.RecordOrigin():
                await Builder(ground).record(db, step.system_id)
            case steps.LabelVolume(volume):
                await Volumes(ground).name(db, volume)
            case steps.GrowVolume(volume):
                await Volumes(ground).grow(db, volume)

    async def _take_process(self, ground: Ground, db: Database, step: ProcessStep) -> None:
        builder = Builder(ground)
        _, family = await ground.family(db)
        if family.is_switching:
            return  # the switch stops it
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
        gone = await self._leaving.take_away(await self._ground(), db, keep=keep)
        if gone:
            self._filling.switching.forget(db)
        return gone
