"""Which start command a Database's service has: none, or the one that leaves its settings out."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import timedelta

from postbase_operator.api.conditions import find_condition
from postbase_operator.api.database import Database
from postbase_operator.errors import PostbaseError
from postbase_operator.railway import parameters, safe_settings, services
from postbase_operator.railway.graphql import reads
from postbase_operator.railway.graphql.deployments import Deployment, Standing
from postbase_operator.railway.graphql.models import ServiceInstance
from postbase_operator.railway.ground import Ground
from postbase_operator.railway.lifecycle.making import DEPLOYMENT
from postbase_operator.railway.sql.servers import Servers

logger = logging.getLogger(__name__)
READ_EVERY = 30.0
"""Seconds between two readings of the log of a server that does not answer."""
LINES = 300
AGAIN = timedelta(minutes=5)
"""After which a server that does not start with these either is deployed once more: an operator may
have been killed after it had set the command."""


@dataclass(frozen=True, slots=True)
class Start:
    """`command`: "" for the image's own. `deploys`: it is to count at once."""

    command: str = ""
    deploys: bool = False


@dataclass(slots=True)
class SafeStart:
    """One for all Databases of the platform.

    Suspected are settings that waited for a restart when the server was last seen, by what it says
    of its start: one that is down for another reason is left as it is. What is corrected takes
    effect with the restart that the planner makes for it; until then the command stays.
    """

    servers: Servers
    _read: dict[str, tuple[str, float, str]] = field(default_factory=dict)
    """By service: of which deployment, when (monotonic), why it did not start."""

    async def wanted(self, ground: Ground, db: Database) -> Start:
        """Raises NotReady while a deployment that was asked for may still show."""
        _, service = await ground.look(db)
        if service is None:
            return Start()
        revision = parameters.revision(db)
        held = safe_settings.tried(service.start_command)
        command = safe_settings.command(services.major(db), revision)
        latest = service.latest_deployment
        if latest is None or not await self._suspects(ground, db, service, latest):
            return Start((service.start_command or "") if held else "")
        if held == revision:
            since = latest.status_updated_at
            return Start(command, since is not None and ground.now() - since > AGAIN)
        ground.wait_for(DEPLOYMENT, service.service_id)
        return Start(command, deploys=True)

    async def _suspects(
        self, ground: Ground, db: Database, service: ServiceInstance, latest: Deployment
    ) -> bool:
        waited = find_condition(db.status.conditions, "RestartPending") is not None
        silent = self.servers.unanswered_since(db) is not None
        down = latest.standing is Standing.FAILED or (
            latest.standing is Standing.RUNNING and silent
        )
        since = latest.status_updated_at
        settled = since is not None and (ground.now() - since).total_seconds() > ground.settles
        if not (waited and down and settled):
            self._read.pop(service.service_id, None)
            return False
        return bool(await self._why(ground, service, latest))

    async def _why(self, ground: Ground, service: ServiceInstance, latest: Deployment) -> str:
        """The log is read seldom, as each reading is a request to Railway."""
        of, at, why = self._read.get(service.service_id, ("", 0.0, ""))
        clock = ground.sight.clock()
        if of == latest.id and clock - at < READ_EVERY:
            return why
        try:
            lines = await reads.logs(ground.client, latest.id, limit=LINES)
        except PostbaseError as error:
            logger.info("a server's log was not read", extra={"error": str(error)})
            return why if of == latest.id else ""
        why = safe_settings.why_not_started(line.message for line in lines)
        if why:
            logger.warning(
                "PostgreSQL does not start with its settings",
                extra={"object": service.service_name, "why": why},
            )
        self._read[service.service_id] = (latest.id, clock, why)
        return why
