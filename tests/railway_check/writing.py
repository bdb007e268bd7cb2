"""Checks that make a service with a volume and a proxy, and take them away: some cents of a bill.

What the operator relies on, each by the same request that the operator sends; and what it had to
leave open: how late things show, what a GB of memory is, whether a commit deploys, how a sealed
variable is read, how soon a log tells.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from postbase_operator.errors import NotReady, Unavailable
from postbase_operator.postgres.connect import password_session
from postbase_operator.railway import operations, services
from postbase_operator.railway.graphql import answers, changes, patches, reads
from postbase_operator.railway.graphql.client import Client
from postbase_operator.railway.graphql.deployments import Standing
from postbase_operator.railway.graphql.faults import NotFound
from postbase_operator.railway.graphql.models import EnvironmentState, ServiceInstance, TcpProxy
from postbase_operator.railway.graphql.reads import Place
from postbase_operator.railway.plans import GB
from railway_check.telling import Telling

PATIENCE = 300.0
AGAIN = 1.0
VERSION = "17"
MARK = "postbase-check"
SEALED, BESIDE = "POSTBASE_CHECK_SEALED", "POSTBASE_CHECK_BESIDE"
READY_LINE = "ready to accept connections"
Seen = TypeVar("Seen")


@dataclass
class Writer:
    telling: Telling
    client: Client
    place: Place
    region: str
    service_id: str = ""
    volume_ids: list[str] = field(default_factory=list)
    password: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    sealed: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    async def all(self) -> None:
        try:
            with self.telling.about("a database is made"):
                await self._make()
        finally:
            with self.telling.about("all of it is taken away"):
                await self._take_away()

    async def _state(self) -> EnvironmentState:
        asked = [self.service_id] if self.service_id else []
        return await reads.environment(self.client, self.place, asked)

    async def _until(self, what: str, look: Callable[[], Awaitable[Seen | None]]) -> Seen:
        """What `look` sees at last, with how long it took."""
        began = time.monotonic()
        while True:
            found = await look()
            if found is not None:
                self.telling.held(f"{what}, after {time.monotonic() - began:.1f} s")
                return found
            if time.monotonic() - began > PATIENCE:
                raise NotReady(f"{what}: not within {PATIENCE:.0f} s")
            await asyncio.sleep(AGAIN)

    async def _make(self) -> None:
        name = f"{MARK}-{secrets.token_hex(4)}"
        made = await changes.create_service(self.client, self.place, name, self._variables())
        self.service_id = made.id
        self.telling.held(f"a service is made without an image: {name}")
        held = await self._until("it is shown", self._service)
        self.telling.whether(held.latest_deployment is None, "nothing was deployed yet")
        await self._until("its instance is found", self._configured)
        volume = await changes.create_volume(
            self.client, self.place, self.service_id, services.MOUNT, self.region
        )
        self.volume_ids.append(volume.id)
        size = await self._until("its volume is shown", self._volume)
        self.telling.seen(f"a new volume has {size} MB")
        await self._limits()
        await self._proxy()
        with self.telling.about("a variable is sealed"):
            await self._sealing()
        await self._sql()
        with self.telling.about("the log of a deployment is read"):
            await self._until("the log of the deployment tells of its start", self._log)

    def _variables(self) -> dict[str, str]:
        return {
            services.MARKER: MARK,
            "PGDATA": services.PGDATA,
            "POSTGRES_USER": "postgres",
            "POSTGRES_DB": "postgres",
            services.PASSWORD: self.password,
            "POSTGRES_HOST_AUTH_METHOD": "scram-sha-256\n"
            f"hostssl replication {services.RECEIVER} all scram-sha-256",
        }

    async def _service(self) -> ServiceInstance | None:
        return (await self._state()).service(self.service_id)

    async def _configured(self) -> bool | None:
        wanted = {
            "source": {"image": f"{services.IMAGE}:{VERSION}"},
            "multiRegionConfig": services.one_region(self.region),
            "restartPolicyType": "ALWAYS",
            "drainingSeconds": services.DRAINING_SECONDS,
            "sleepApplication": False,
        }
        try:
            await changes.update_instance(
                self.client, self.place, self.service_id, wanted, young=True
            )
        except NotReady:
            return None
        return True

    async def _volume(self) -> int | None:
        held = (await self._state()).volumes_of(self.service_id)
        return held[0].size_mb if held else None

    async def _limits(self) -> None:
        await changes.set_limits(self.client, self.place, self.service_id, 0.5, 0.5)
        read = await reads.limits(self.client, self.place, self.service_id)
        held = read.containers.memory_bytes if read and read.containers else None
        units = {GB / 2: "1000³", 1024**3 / 2: "1024³"}
        self.telling.whether(held in units, "limits are read as they were set", str(read))
        if held is not None:
            self.telling.seen(
                f"a GB of memory is {units.get(held, 'neither 1000³ nor 1024³')} bytes"
            )

    async def _proxy(self) -> None:
        message = f"{MARK}: a TCP proxy for {self.service_id}"
        variables = {SEALED: {"value": self.sealed, "isSealed": True}, BESIDE: {"value": MARK}}
        patch = patches.merged(
            patches.public_port(self.service_id, open_=True),
            {"services": {self.service_id: {"variables": variables}}},
        )
        answer = await changes.commit(self.client, self.place, patch, message)
        workflow = patches.workflow_of(self.place.environment_id, answer)
        self.telling.seen(f"a commit answers {answer!r}; is it {workflow!r} of a workflow?")

        async def applied() -> bool | None:
            found = await reads.recent_patches(self.client, self.place.environment_id)
            verdict = patches.verdict(found, message)
            if isinstance(verdict, NotReady):
                return None
            if verdict is not None:
                raise verdict
            return True

        await self._until("the commit is found by its message, and applied", applied)
        proxy = await self._until("its proxy is ACTIVE", self._way_in)
        self.telling.seen(f"the proxy is {proxy.domain}:{proxy.proxy_port}")
        await self._until("the commit has deployed the service", self._running)
        service = await self._service()
        count = len(service.active_deployments) if service is not None else 0
        self.telling.whether(count == 1, "one deployment is active", str(count))

    async def _way_in(self) -> TcpProxy | None:
        proxy = (await self._state()).proxy_of(self.service_id)
        return proxy if proxy is not None and proxy.ready else None

    async def _running(self) -> bool | None:
        service = await self._service()
        latest = service.latest_deployment if service is not None else None
        return True if latest is not None and latest.standing is Standing.RUNNING else None

    async def _sealing(self) -> None:
        """As the receiver's keys are: with a value that is shown beside it, in the same commit."""
        asked = {
            "projectId": self.place.project_id,
            "environmentId": self.place.environment_id,
            "serviceId": self.service_id,
        }
        read = await self.client.ask(operations.READ_VARIABLES, answers.Variables, asked)
        shown = read.variables
        self.telling.whether(shown.get(BESIDE) == MARK, "what is not sealed is shown beside it")
        hidden = not any(self.sealed in (value or "") for value in shown.values())
        self.telling.whether(hidden, "a sealed variable is shown to nobody")
        if hidden:
            how = f"as {shown[SEALED]!r}" if SEALED in shown else "not at all"
            self.telling.seen(f"a sealed variable is read {how}")

    async def _log(self) -> bool | None:
        service = await self._service()
        latest = service.latest_deployment if service is not None else None
        if latest is None:
            return None
        lines = await reads.logs(self.client, latest.id)
        return True if any(READY_LINE in line.message for line in lines) else None

    async def _sql(self) -> None:
        proxy = await self._way_in()
        if proxy is None:
            raise NotReady("the proxy is gone again")

        async def rules() -> list[tuple[str, ...]] | None:
            try:
                async with password_session(
                    proxy.domain, proxy.proxy_port, self.password
                ) as connection:
                    cursor = await connection.execute(
                        "SELECT type, array_to_string(user_name, ',') FROM pg_hba_file_rules "
                        "WHERE database = '{replication}'"
                    )
                    return [tuple(map(str, row)) for row in await cursor.fetchall()]
            except Unavailable:
                return None

        found = await self._until("PostgreSQL answers through it, bound to the channel", rules)
        ours = ("hostssl", services.RECEIVER)
        self.telling.whether(ours in found, "pg_hba has the receiver's line", str(found))
        reaches = await self._in_its_process(proxy)
        self.telling.whether(reaches, "a sealed variable reaches the process")

    async def _in_its_process(self, proxy: TcpProxy) -> bool:
        """Whether PostgreSQL was started with it. Its hash is told, and not the value."""
        async with password_session(proxy.domain, proxy.proxy_port, self.password) as connection:
            await connection.execute("CREATE TEMPORARY TABLE seen (line text)")
            await connection.execute(f"COPY seen FROM PROGRAM 'printenv {SEALED} | sha256sum'")
            cursor = await connection.execute("SELECT line FROM seen")
            told = str(await cursor.fetchone())
        return hashlib.sha256(f"{self.sealed}\n".encode()).hexdigest() in told

    async def _take_away(self) -> None:
        if not self.service_id:
            return
        state = await self._state()
        proxy = state.proxy_of(self.service_id)
        if proxy is not None:
            await changes.delete_tcp_proxy(self.client, proxy.id)
        volumes = {each.volume_id for each in state.volumes_of(self.service_id)}
        await changes.delete_service(self.client, self.place, self.service_id)
        await self._until("the service is gone", self._gone)
        kept = {each.volume_id for each in (await self._state()).volumes if not each.gone}
        self.telling.whether(volumes <= kept, "its volume has outlived it")
        for each in volumes.union(self.volume_ids):
            await changes.delete_volume(self.client, each)
            left = [v for v in (await self._state()).volumes if v.volume_id == each]
            self.telling.whether(all(v.gone for v in left), "the deleted volume counts as gone")
            self.telling.seen(f"it is shown as {[(v.state, v.is_pending_deletion) for v in left]}")

    async def _gone(self) -> bool | None:
        try:
            return True if await self._service() is None else None
        except NotFound:
            return True
