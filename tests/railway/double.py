"""The double of Railway as tests use it.

with RailwayDouble() as railway:
    railway.next("volumeCreate", Gateway(504))   # done, and the answer is lost
    ...  # POST to railway.url with a token of railway.token(), or of its own kind
    assert not railway.left_behind()
"""

from __future__ import annotations

import asyncio
import secrets
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from railway import deployments, left, postgres_ssl
from railway.boxes import Machine, Nothing, Processes
from railway.calls import Call
from railway.clock import Clock, RealClock, VirtualClock
from railway.faults import Fault, Rule
from railway.images import Image, OperatorImage
from railway.server import application
from railway.settings import Settings
from railway.state import Deployment, State, Token, Workspace, new_id
from railway.world import World


@dataclass
class RailwayDouble:
    settings: Settings = field(default_factory=Settings)
    clock: Clock = field(default_factory=RealClock)
    processes: bool = True
    """Really runs what is deployed; else only the calls are of interest."""
    plan: str = "PRO"
    calls: list[Call] = field(default_factory=list)
    old_state: tuple[State, float] | None = None
    """What queries see until then."""
    port: int = 0
    _rules: list[Rule] = field(default_factory=list)

    def __enter__(self) -> RailwayDouble:
        self._folder = tempfile.TemporaryDirectory(prefix="rw-", ignore_cleanup_errors=True)
        folder = Path(self._folder.name)
        folder.chmod(0o755)
        machine: Machine = Processes(folder) if self.processes else Nothing()
        images: dict[str, Image] = {
            postgres_ssl.NAME: postgres_ssl.PostgresSsl(self.settings.sigterm_reaches_postgres),
            self.settings.operator_image: OperatorImage(),
        }
        self.world = World(self.clock, self.settings, machine, images, folder)
        self.workspace_id = self.add_workspace("acme", self.plan)
        self._serve()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(60)
        self._loop.close()
        self.world.close()
        self._folder.cleanup()
        if isinstance(self.clock, RealClock) and self.clock.failures:
            raise self.clock.failures[0]

    def _serve(self) -> None:
        ready = threading.Event()
        self._stop, self._loop = asyncio.Event(), asyncio.new_event_loop()

        async def serve() -> None:
            runner = web.AppRunner(application(self), access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, self.settings.public_address, self.port).start()
            self.port = int(runner.addresses[0][1])
            ready.set()
            await self._stop.wait()
            await runner.cleanup()
            await self._loop.shutdown_default_executor()

        run = self._loop.run_until_complete
        self._thread = threading.Thread(target=run, args=(serve(),), daemon=True)
        self._thread.start()
        assert ready.wait(60)

    @property
    def url(self) -> str:
        return f"http://{self.settings.public_address}:{self.port}/graphql/v2"

    # ---------- who calls

    def add_workspace(self, name: str, plan: str) -> str:
        made = Workspace(new_id(), name, plan)
        self.world.state.workspaces[made.id] = made
        return made.id

    def token(self, kind: str = "workspace", workspace_id: str = "") -> str:
        """Of an account or of a workspace: `Authorization: Bearer`."""
        assert kind in ("account", "workspace")
        return self._keep(Token(secrets.token_hex(16), kind, workspace_id or self.workspace_id))

    def project_token(self, environment_id: str) -> str:
        """`Project-Access-Token`."""
        environment = self.world.state.environments[environment_id]
        project = self.world.state.projects[environment.project_id]
        value = secrets.token_hex(16)
        made = Token(value, "project", project.workspace_id, project.id, environment_id)
        return self._keep(made)

    def _keep(self, token: Token) -> str:
        with self.clock.lock:
            self.world.state.tokens[token.value] = token
        return token.value

    def revoke(self, token: str) -> None:
        with self.clock.lock:
            self.world.state.tokens[token].revoked = True

    # ---------- what goes wrong

    def next(self, operation: str, fault: Fault, times: int = 1) -> None:
        """Does it to the next calls of a root field (`serviceCreate`), of a document
        (`CreateService`), or of anything (`*`)."""
        with self.clock.lock:
            self._rules.append(Rule(operation, fault, times))

    def fault_for(self, name: str, fields: list[str]) -> Fault | None:
        for rule in self._rules:
            if rule.used < rule.times and rule.operation in (name, "*", *fields):
                rule.used += 1
                return rule.fault
        return None

    def retire_region(self, name: str, replacement: str) -> None:
        """§3 Regions."""
        self.world.retired[name] = replacement

    def crash_next(self, service_id: str, starts: int = 1) -> None:
        self.world.crashes[service_id] += starts

    def kill_container(self, service_id: str, environment_id: str) -> None:
        """As if the kernel had run out of memory: the restart policy does what it does."""
        with self.clock.lock:
            running = self.world.running(service_id, environment_id)
            assert running is not None
            box = self.world.boxes[running.id]
            box.kill()
            deployments.box_ended(self.world, running, box, 137)

    def migrate_host(self, service_id: str, environment_id: str) -> Deployment:
        """§3: Railway redeploys on its own: a deployment that nobody asked for."""
        with self.clock.lock:
            instance = self.world.state.instance(service_id, environment_id)
            assert instance is not None
            return deployments.deploy(self.world, instance, "migration")

    def reach_usage_limit(self) -> None:
        """§5: stops all workloads, databases included."""
        with self.clock.lock:
            self.world.usage_limit = True
            for each in self.world.state.deployments.values():
                if each.id in self.world.boxes:
                    deployments.stop(self.world, each)

    # ---------- time, and what a test may ask

    def advance(self, seconds: float) -> None:
        assert isinstance(self.clock, VirtualClock)
        self.clock.advance(seconds)

    def counted(self, since: float = 0.0, until: float = float("inf")) -> Counter[str]:
        """Calls by root field."""
        mine = [call for call in self.calls if since <= call.at < until]
        return Counter(name for call in mine for name in call.fields)

    def left_behind(self) -> list[str]:
        """What costs money or lies in the way, in projects that are not deleted themselves."""
        with self.clock.lock:
            return left.behind(self.world)
