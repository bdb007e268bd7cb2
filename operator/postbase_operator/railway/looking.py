"""All that is seen of a Database on Railway: its services and volumes, its server, its archive."""

from __future__ import annotations

from dataclasses import dataclass, replace

from postbase_operator.api.database import Database
from postbase_operator.archive.wish import OFF, ArchivingWish
from postbase_operator.desired import meta
from postbase_operator.planning.archive_observed import NONE_EARLIER, Earlier
from postbase_operator.planning.archiving import revision
from postbase_operator.planning.observed import Access, Observed, ProcessState, VolumeRole
from postbase_operator.railway import cost as costs
from postbase_operator.railway import observe as observing
from postbase_operator.railway import parameters, receiver_service, services
from postbase_operator.railway.cost import Prices
from postbase_operator.railway.generations import Family, Part
from postbase_operator.railway.graphql.models import EnvironmentState, TcpProxy
from postbase_operator.railway.ground import Ground
from postbase_operator.railway.receiver_service import PORT, private_host
from postbase_operator.railway.restores.filling import Filling
from postbase_operator.railway.restores.loading import Loading
from postbase_operator.railway.sql.servers import Servers
from postbase_operator.railway.support import check_memory, check_private_beginning, is_private
from postbase_operator.railway.wal.archive_books import ArchiveBooks
from postbase_operator.railway.wal.archiving import Archiving
from postbase_operator.railway.wal.hearing import Receiver, WayIn


@dataclass(slots=True)
class Looking:
    """One for all Databases of the platform."""

    servers: Servers
    books: ArchiveBooks
    archiving: Archiving
    filling: Filling
    loading: Loading
    prices: Prices

    async def observe(self, ground: Ground, db: Database) -> Observed:
        state, family = await ground.family(db)
        front = family.front
        seen = Observed(
            wanted_revision=parameters.revision(db),
            synchronous_revision=parameters.revision(db, synchronous=True),
        )
        if not family.parts:
            check_private_beginning(db)
            check_memory(db)
            observing.check_beginning(state, ground.name(db), db)
            earlier = await self._earlier(db)
            return await self.filling.beginning(db, replace(seen, earlier=earlier))
        if front is not None and front.role is VolumeRole.FILLING:
            check_private_beginning(db)
            return await self.filling.seen(ground, db, state, front.service, seen)
        if family.filling is not None:
            seen = replace(seen, fill=await self.filling.beside(ground, db, state, family))
        volumes = observing.volumes(state, family, db, ground.name(db))
        seen = replace(seen, volumes=volumes)
        if front is None:  # what served is gone, and what it had replaced may be there
            return seen
        return await self._serving(ground, db, state, family, front, seen)

    async def _earlier(self, db: Database) -> Earlier:
        """Asked once, before the first volume of a Database that is to begin empty."""
        if db.spec.bootstrap is not None or db.status.system_id:
            return NONE_EARLIER
        return await self.books.earlier(db)

    async def _serving(
        self,
        ground: Ground,
        db: Database,
        state: EnvironmentState,
        family: Family,
        front: Part,
        seen: Observed,
    ) -> Observed:
        service, service_id = front.service, front.service_id
        proxy, held = state.proxy_of(service_id), observing.one_volume(state, service)
        volume, limits, cost = None, None, None
        receiver = await self.archiving.hearing.receiver(ground, db)
        if held is not None:
            services.region(db, db.spec.region, (), held=held.region)
            volume = observing.volume(held, db, ground.name(db), front.variables)
            limits = await ground.sight.limits(service_id)
            also = receiver_service.at_most(db) if receiver.service is not None else None
            cost = costs.told(db, _megabytes(state, family), self.prices, also)
        private = private_host(service.service_name) if is_private(db) else ""
        claim = volume.name if volume else ""
        process = observing.process(service, proxy, claim, db, limits, private)
        server, server_error = None, ""
        if process.state is ProcessState.RUNNING and (private or proxy is not None):
            server, server_error = await self.servers.ask(ground, db, proxy)
        written = (seen.wanted_revision, seen.synchronous_revision)
        if server is not None and server.facts.mounted_revision not in written:
            check_memory(db)
        if process.state is ProcessState.RUNNING:
            waits = server is None or server.facts.synchronous
            self.archiving.commits_wait(db, waits=waits)
        secret = meta.names_of(db).credentials
        system_id = volume.system_id if volume is not None else ""
        answering = _way_in(service_id, proxy, private) if server is not None else None
        archive = await self.archiving.hearing.look(ground, db, receiver, system_id, answering)
        return replace(
            seen,
            archiving=ArchivingWish(
                receiver.config, synchronous=server is not None and server.facts.synchronous
            ),
            archive=archive,
            access=_access(secret, proxy, private),
            process=replace(process, receiver_revision=told_revision(receiver)),
            loads=self.loading.look(db),
            source_backup=self.filling.awaited(db, server),
            server=server,
            server_error=server_error,
            unanswered_since=self.servers.unanswered_since(db),
            railway=observing.parts(ground.place, service, held, cost, receiver.service_id),
        )


def _way_in(service_id: str, proxy: TcpProxy | None, private: str) -> WayIn:
    return WayIn(service_id) if private or proxy is None else WayIn(proxy.id, proxy)


def _access(secret: str, proxy: TcpProxy | None, private: str) -> Access | None:
    if private:
        return Access(secret, private, PORT)
    return Access(secret, proxy.domain, proxy.proxy_port) if proxy is not None else None


def _megabytes(state: EnvironmentState, family: Family) -> int:
    """Of all its volumes: what is kept for an undo is billed as well."""
    held = [each for part in family.parts for each in state.volumes_of(part.service_id)]
    return sum(each.size_mb for each in held)


def told_revision(receiver: Receiver) -> str:
    """Of what the receiver was last told; "" where it never was told anything."""
    return "" if receiver.config == OFF else revision(receiver.config)
