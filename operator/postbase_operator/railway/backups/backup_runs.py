"""Attempts at backups of private Databases on Railway: platforms.BackupRuns.

No Job of the cluster gets into such a server. The service that receives its log does, and takes the
backup where a variable says so (archive/backup_order.py). That variable is no part of what else the
service is told (receiver_service.py): it is written by a commit of its own, and another description
of the service leaves it. Each change of it is a deployment, so it is changed when an attempt begins
or is ended, and never just because one has ended by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from postbase_operator.api.backup import Backup
from postbase_operator.api.database import Database
from postbase_operator.api.runs import RunPhase
from postbase_operator.archive.backup_order import (
    KEYS,
    ORDER,
    BackupKeys,
    BackupOrder,
    BackupWord,
    order_in,
    word_in,
)
from postbase_operator.archive.receiver_environment import one_line
from postbase_operator.errors import NotReady, PostbaseError
from postbase_operator.platforms import Attempt, BackupServer, RunOrder
from postbase_operator.railway.backups import backup_state
from postbase_operator.railway.graphql import patches, reads
from postbase_operator.railway.graphql.deployments import Deployment, Standing
from postbase_operator.railway.graphql.models import ServiceInstance
from postbase_operator.railway.graphql.values import NULL
from postbase_operator.railway.ground import Ground
from postbase_operator.railway.lifecycle.making import DEPLOYMENT
from postbase_operator.railway.plans import GB

logger = logging.getLogger(__name__)
SAID_EVERY = 30.0
"""Seconds for which the log counts as read, and longer where others send with the token: each
reading is a request to Railway, of which an hour has a thousand."""
LINES = 500
"""Of the log, from the end."""
ROOM = {"limitOverride": {"containers": {"cpu": 2.0, "memoryBytes": GB}}}
"""It takes some 210 MB beside what the receiver has. It bounds the bill, and stays until the
service is described anew."""
LONG_OVER = timedelta(days=7)
Key = tuple[str, int]
"""Of an attempt: the Backup's id, and its number."""


@dataclass(slots=True)
class BackupRuns:
    """One for all Databases of the platform. `ground` is found once it is needed; `keys`: what
    opens a Database's server and its store."""

    ground: Callable[[], Awaitable[Ground]]
    keys: Callable[[Ground, Database], Awaitable[BackupKeys]]
    now: Callable[[], datetime]
    _said: dict[Key, tuple[str, float, BackupWord | None]] = field(default_factory=dict)
    """The last word: of which deployment, when it was read (monotonic). An end is final."""
    _unread: dict[Key, PostbaseError] = field(default_factory=dict)
    """Why the log could not be read the last time, where nothing of it is known."""
    _taken_out: dict[str, tuple[str, int, datetime]] = field(default_factory=dict)
    """By Backup: the deployment that had the order which was taken out, the attempt, and since
    when that deployment is on its way out."""

    _unseen: dict[Key, float] = field(default_factory=dict)
    """Since when (monotonic) an order that was given is not seen."""

    async def look(self, backup: Backup, db: Database | None) -> Attempt | None:
        """Of what is known of the service anyway, and of its log while an attempt runs."""
        if backup.is_done():
            self._forget(backup)
        if db is None or _is_long_over(backup, self.now()):
            return None
        ground = await self.ground()
        _, service = await ground.look_receiver(db)
        if service is None:
            return None
        held = await self._order(ground, backup, service)
        if held is None:
            if backup.id in self._taken_out:
                return self._leaving(backup, service)
            return await self._on_its_way(ground, backup, service)
        if backup.is_done() or backup.metadata.is_deleting:
            counts = backup_state.counts(held, backup, self.now())
            left = backup_state.of_ended(held, backup) if counts else None
            return Attempt(left) if left is not None else None
        deployment = service.latest_deployment
        word = await self._word(ground, held, deployment)
        state = backup_state.of_order(held, deployment, word)
        return Attempt(state, held.run.server.source_bytes)

    def _forget(self, backup: Backup) -> None:
        for held in (self._said, self._unseen, self._unread):
            for key in [each for each in held if each[0] == backup.id]:
                del held[key]
        self._taken_out.pop(backup.id, None)

    async def _order(
        self, ground: Ground, backup: Backup, service: ServiceInstance
    ) -> BackupOrder | None:
        """The Backup's latest. One that was begun must be there: it is looked at anew."""
        for fresh in (False, True) if _is_begun(backup) else (False,):
            variables = await ground.sight.variables(service.service_id, fresh=fresh)
            held = order_in(variables)
            is_ours = held is not None and held.is_of(backup.id)
            if held is not None and is_ours and held.attempt >= backup.status.attempts:
                return held
        return None

    async def _on_its_way(
        self, ground: Ground, backup: Backup, service: ServiceInstance
    ) -> Attempt | None:
        """The order was given, and Railway does not show it yet, or has rejected it."""
        if not _is_begun(backup):
            return None
        key = (backup.id, backup.status.attempts)
        found = await reads.recent_patches(ground.client, ground.place.environment_id)
        message = _message(service, "takes", key)
        is_known = any(each.message == message for each in found)
        verdict = patches.verdict(found, message) if is_known else None
        clock = ground.sight.clock()
        since = self._unseen.setdefault(key, clock)
        if isinstance(verdict, NotReady) or (verdict is None and clock - since < ground.settles):
            return Attempt(backup_state.on_its_way(key[1], self.now()))
        if verdict is not None:
            return Attempt(backup_state.rejected(key[1], self.now(), str(verdict)))
        return None

    def _leaving(self, backup: Backup, service: ServiceInstance) -> Attempt | None:
        """The process that had the order is there until another one has taken its place."""
        deployment, attempt, since = self._taken_out[backup.id]
        latest = service.latest_deployment
        if latest is None or latest.standing is Standing.STOPPED:
            return None
        if latest.id == deployment or latest.standing is Standing.COMING:
            return Attempt(backup_state.stopping(attempt, since))
        return None

    async def _word(
        self, ground: Ground, order: BackupOrder, deployment: Deployment | None
    ) -> BackupWord | None:
        """Where the log cannot be read nothing new is known: a passing trouble ends no attempt.
        Raises it where nothing is known at all: an attempt may have run for hours, and is not to be
        taken for one that has not begun."""
        key, clock = (order.run.id, order.attempt), ground.sight.clock()
        of, at, word = self._said.get(key, ("", 0.0, None))
        if word is not None and word.ended:
            return word
        if deployment is None or deployment.standing in (Standing.COMING, Standing.GONE):
            return None
        fresh = clock - at < SAID_EVERY * ground.client.budget.crowd
        if of != deployment.id or not fresh:
            word = word if of == deployment.id else None
            self._unread.pop(key, None)
            try:
                lines = await reads.logs(ground.client, deployment.id, limit=LINES)
            except PostbaseError as error:
                logger.info("the receiver's log was not read", extra={"error": str(error)})
                self._unread[key] = error
            else:
                word = word_in([line.message for line in lines], order) or word
            self._said[key] = (deployment.id, clock, word)
        if word is None and key in self._unread:
            raise self._unread[key]
        return word

    async def start(
        self,
        backup: Backup,
        db: Database,
        order: RunOrder,
        server: BackupServer,  # noqa: ARG002 - the order has what is needed of it
    ) -> None:
        """Railway applies the order later; the next look finds it on its way, whoever looks."""
        ground = await self.ground()
        service = await _service(ground, db)
        held = order_in(await ground.sight.variables(service.service_id, fresh=True))
        if held is not None and held.is_of(backup.id) and held.attempt == order.attempt:
            return
        self._taken_out.pop(backup.id, None)
        told = BackupOrder(
            attempt=order.attempt, made_at=self.now(), until=order.until, run=order.run
        )
        message = _message(service, "takes", (backup.id, order.attempt))
        keys = await self.keys(ground, db)
        variables = {
            ORDER: {"value": one_line(told)},
            KEYS: {"value": one_line(keys), "isSealed": True},
        }
        await self._commit(ground, service, {"variables": variables, "deploy": ROOM}, message)

    async def stop(self, backup: Backup, db: Database | None, attempt: int) -> None:
        """Another process takes the place of the one that has it. What is under way is not waited
        for: an order that stays nevertheless is void by its deadline."""
        if db is None:
            return
        ground = await self.ground()
        _, service = await ground.look_receiver(db)
        if service is None:
            return
        held = order_in(await ground.sight.variables(service.service_id, fresh=True))
        if held is None or not held.is_of(backup.id):
            return
        latest = service.latest_deployment
        if latest is not None:
            self._taken_out[backup.id] = (latest.id, attempt, self.now())
        message = _message(service, "ends", (backup.id, held.attempt))
        gone = {"variables": {ORDER: NULL, KEYS: NULL}}
        await self._commit(ground, service, gone, message)

    async def _commit(
        self, ground: Ground, service: ServiceInstance, told: dict[str, Any], message: str
    ) -> None:
        """Returns once Railway has it. It deploys it: a deployment of our own would be a second
        one. Raises why it was rejected."""
        ground.asked(DEPLOYMENT, service.service_id)
        ground.sight.changed(service.service_id)
        patch = {"services": {service.service_id: told}}
        try:
            await ground.commits.make(patch, message)
        except NotReady as error:
            logger.info("asked of Railway", extra={"object": message, "why": str(error)})


def _message(service: ServiceInstance, what: str, key: Key) -> str:
    """By which the commit is found again."""
    return f"postbase: {service.service_name} {what} {key[0]}, attempt {key[1]}"


def _is_begun(backup: Backup) -> bool:
    return backup.status.phase is RunPhase.RUNNING and backup.status.attempts > 0


def _is_long_over(backup: Backup, now: datetime) -> bool:
    """Of those nothing is asked: any order of it is void."""
    ended = backup.status.completed_at
    return backup.is_done() and ended is not None and now - ended > LONG_OVER


async def _service(ground: Ground, db: Database) -> ServiceInstance:
    """Raises NotReady where it is not there."""
    _, service = await ground.look_receiver(db)
    if service is None:
        raise NotReady(
            f"the service {ground.receiver_name(db)} on Railway, which takes backups of a private "
            "database, is not there yet",
            5.0,
        )
    return service
