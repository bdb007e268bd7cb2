"""All of the double that is not HTTP: what is known, what runs, and the time."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from railway import postgres_ssl
from railway.boxes import Box, Machine
from railway.clock import Clock, stamp
from railway.errors import Refused, not_found
from railway.forwarder import Forwarder
from railway.images import Image
from railway.rates import HOUR, Budget
from railway.settings import PLANS, REGIONS, Plan, Settings
from railway.state import (
    Deployment,
    Instance,
    Project,
    Proxy,
    State,
    Token,
    VolumeInstance,
    Workflow,
)

NETWORKS = itertools.count(os.getpid() * 1009)
"""Far apart: a process beside this one has a number near its own, and makes doubles, too."""


@dataclass
class World:
    clock: Clock
    settings: Settings
    machine: Machine
    images: dict[str, Image]
    folder: Path
    state: State = field(default_factory=State)
    boxes: dict[str, Box] = field(default_factory=dict)
    """By deployment."""
    addresses: dict[str, str] = field(default_factory=dict)
    """Of boxes by deployment, and of private names by instance."""
    forwarders: dict[str, Forwarder] = field(default_factory=dict)
    """By the id of a proxy, or of an instance for its private name."""
    retired: dict[str, str] = field(default_factory=dict)
    """Regions and what replaces them."""
    crashes: Counter[str] = field(default_factory=Counter)
    """Starts of containers that are still to fail, by service; `*` is any."""
    rejections: list[str] = field(default_factory=list)
    """Why the next patches will not be applied."""
    not_found_for: list[float] = field(default_factory=list)
    """Seconds for which the instances of the next services are not found."""
    environments_made: dict[str, float] = field(default_factory=dict)
    """When each token made its last one."""
    budgets: dict[str, Budget] = field(default_factory=dict)
    """Of calls, by token."""
    usage_limit: bool = False
    random: random.Random = field(default_factory=lambda: random.Random(10))  # noqa: S311 - names
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self._network = next(NETWORKS) * 7 % 60_000 + 600

    # ---------- places

    def address(self, owner: str) -> str:
        """An address on loopback of the owner's own, whose port no stranger holds."""
        if owner not in self.addresses:
            while True:
                high, low = divmod(self._network, 256)
                self.addresses[owner] = f"127.{high}.{low}.{next(self._numbers)}"
                if _free(self.addresses[owner]):
                    break
        return self.addresses[owner]

    def volume_folder(self, instance: VolumeInstance) -> Path:
        return self.folder / f"v-{instance.id[:8]}"

    def region(self, name: str | None) -> str:
        """§3 Regions; [U] what Railway says of one that is retired."""
        if name is None:
            return next(iter(REGIONS))
        if name not in REGIONS:
            raise Refused(f"Invalid region {name}")
        if name in self.retired:
            raise Refused(f"Region {name} is deprecated, use {self.retired[name]}")
        return name

    # ---------- rates

    def budget(self, token: Token) -> Budget:
        """§2: of the plan. [U] what counts for an account: here the best plan of its workspaces."""
        if token.value not in self.budgets:
            if token.kind == "account":
                plans = [PLANS[w.plan] for w in self.state.workspaces.values()]
                plan = max(plans, key=lambda each: each.per_hour)
            else:
                plan = PLANS[self.state.workspaces[token.workspace_id].plan]
            self.budgets[token.value] = Budget(plan, self.clock.now())
        return self.budgets[token.value]

    def points(self, token: Token) -> dict[str, object]:
        budget = self.budget(token)
        return {"remainingPoints": budget.remaining, "resetsAt": stamp(budget.hour + HOUR)}

    # ---------- look-ups without rights

    def plan(self, project: Project) -> Plan:
        return PLANS[self.state.workspaces[project.workspace_id].plan]

    def plan_of(self, environment_id: str) -> Plan:
        environment = self.state.environments[environment_id]
        return self.plan(self.state.projects[environment.project_id])

    def instances_for(self, service_id: str, environment_id: str | None) -> list[Instance]:
        """§2 Environments: all that are no forks, unless the one given is a fork."""
        every = [i for i in self.state.instances.values() if i.service_id == service_id]
        every = [i for i in every if i.deleted_at is None]
        if environment_id is None:
            return [i for i in every if not self.is_fork(i.environment_id)]
        if self.is_fork(environment_id) or not self.settings.acts_on_all_environments:
            return [i for i in every if i.environment_id == environment_id]
        return [i for i in every if not self.is_fork(i.environment_id)]

    def is_fork(self, environment_id: str) -> bool:
        found = self.state.environments.get(environment_id)
        if found is None:
            raise not_found("Environment")
        return found.source_id is not None

    def dns_name(self, instance: Instance) -> str:
        """§3: `<service>.railway.internal`."""
        name = self.state.services[instance.service_id].name.lower()
        return re.sub(r"[^a-z0-9-]+", "-", name)

    def running(self, service_id: str, environment_id: str) -> Deployment | None:
        """The deployment whose container is there."""
        for each in self.state.deployments_of(service_id, environment_id):
            box = self.boxes.get(each.id)
            if box is not None and not box.ended:
                return each
        return None

    # ---------- what takes time

    def workflow(self, workflow_id: str, seconds: float, work: Callable[[], str | None]) -> str:
        """Work that is done later and may fail; read at once it is NotFound (§1 backups [C])."""
        lag = self.settings.delays.workflow_seen
        workflow = Workflow(workflow_id, self.clock.now() + lag)
        self.state.workflows[workflow_id] = workflow

        def end() -> None:
            live = self.state.workflows[workflow_id]
            live.error = work()
            live.status = "Error" if live.error else "Complete"

        self.clock.after(seconds, end)
        return workflow_id

    def new_volume_folder(self, instance: VolumeInstance) -> None:
        if self.machine.real:
            postgres_ssl.new_volume(self.volume_folder(instance))

    # ---------- what listens

    def listen(self, proxy: Proxy) -> None:
        """A TCP proxy's port; nobody chooses it (§4)."""

        def target() -> tuple[str, int] | None:
            if proxy.needs_deploy:
                return None
            running = self.running(proxy.service_id, proxy.environment_id)
            return (self.address(running.id), proxy.port) if running else None

        if self.machine.real:
            public = self.settings.public_address
            forwarder = Forwarder(target, self.settings.source_address, public)
            self.forwarders[proxy.id] = forwarder
            proxy.proxy_port = forwarder.port
        else:
            proxy.proxy_port = 20_000 + next(self._numbers)

    def listen_privately(self, instance: Instance) -> str:
        """The address behind a private name: of the service's port 5432."""
        if instance.id not in self.forwarders:

            def target() -> tuple[str, int] | None:
                running = self.running(instance.service_id, instance.environment_id)
                return (self.address(running.id), 5432) if running else None

            source, host = self.settings.source_address, self.address(instance.id)
            self.forwarders[instance.id] = Forwarder(target, source, host, 5432)
        return self.address(instance.id)

    def close_port(self, owner: str) -> None:
        forwarder = self.forwarders.pop(owner, None)
        if forwarder is not None:
            forwarder.close()

    def close(self) -> None:
        self.clock.close()
        self.machine.close()
        for owner in list(self.forwarders):
            self.close_port(owner)


def _free(address: str) -> bool:
    try:
        socket.create_server((address, 5432)).close()
    except OSError:
        return False
    return True


def as_json(value: object) -> str:
    return json.dumps(value, sort_keys=True)
