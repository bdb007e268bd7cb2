"""One run for one object: model, observe, plan, execute, status. The only control flow there is."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from postbase_operator import metrics
from postbase_operator.api.backup import Backup
from postbase_operator.api.conditions import ConditionType, is_true
from postbase_operator.api.database import Database, DatabasePhase, DatabaseStatus
from postbase_operator.api.pitr_restore import PitrRestore
from postbase_operator.api.project import Project
from postbase_operator.desired.names import FINALIZER
from postbase_operator.errors import Conflict, InvalidSpec, PostbaseError, Unavailable
from postbase_operator.handlers.accounts import Accounts
from postbase_operator.handlers.keys import Key, database_key, project_key
from postbase_operator.handlers.projects import Projects
from postbase_operator.handlers.restore_looks import RestoreLooks
from postbase_operator.handlers.siblings import elder
from postbase_operator.kube import objects
from postbase_operator.kube.backup_objects import APART
from postbase_operator.kube.backup_trouble import hindrance
from postbase_operator.kube.backups import Backups
from postbase_operator.kube.cache import Cache, place_of
from postbase_operator.kube.kinds import BACKUP, DATABASE, PITR_RESTORE, PROJECT, Body, Kind
from postbase_operator.kube.refusals import KUBERNETES, NamespaceGoing, Refused
from postbase_operator.kube.session import Session
from postbase_operator.kube.tenants import Tenants
from postbase_operator.planning.backup import plan_backup
from postbase_operator.planning.backup_observed import Limits
from postbase_operator.planning.backup_steps import BackupPlan
from postbase_operator.planning.database import Context, plan_database
from postbase_operator.planning.final_backup import Final, final
from postbase_operator.planning.judgement import reconciling, stalled
from postbase_operator.planning.next_look import AT_ONCE
from postbase_operator.planning.observed import Observed
from postbase_operator.planning.plan import Plan
from postbase_operator.planning.restore import hindered, plan_restore
from postbase_operator.planning.status import finish
from postbase_operator.platforms import Platform
from postbase_operator.settings import Settings

logger = logging.getLogger(__name__)

DELETION_AGAIN = 2.0
FINAL_AGAIN = 10.0
"""Seconds until the next look at a last backup; the end of it calls for one by itself."""
LOOKS = 3
"""How often one run looks at a server that does at once what it is told."""
NAMESPACE_AGAIN = 15.0
NAMESPACE_GOING = reconciling(
    "Deleting", "NamespaceTerminating", "The namespace is being deleted: nothing is made in it"
)
LONGEST_RUN = 90.0
RETRY_REFUSED = 30.0


def now() -> datetime:
    return datetime.now(UTC)


class Reconciler:
    """`run(key)` is what the queue calls; it answers when to look again."""

    def __init__(
        self, api: Session, cache: Cache, platform: Platform, settings: Settings, instance: str
    ) -> None:
        self._api = api
        self._cache = cache
        self._platform = platform
        self._settings = settings
        self._instance = instance
        self._backups = Backups(api, cache, settings, platform.backing_up, now)
        self._looks = RestoreLooks(cache, platform)
        self._projects = Projects(api, cache, self._backups.looks.usage, self._tell, now)
        self.wake: Callable[[Key], None] = lambda _: None
        """Asks for a look at another object; whoever has the queue sets it."""
        self._kinds: dict[str, Callable[[Key], Awaitable[float | None]]] = {
            DATABASE.kind: self._database,
            PROJECT.kind: self._project,
            BACKUP.kind: self._backup,
            PITR_RESTORE.kind: self._restore,
            "Account": Accounts(api, cache, Tenants(api, settings, now)).run,
        }

    async def run(self, key: Key) -> float | None:
        started = time.monotonic()
        try:
            # However a server or a network hangs, a worker comes free again.
            async with asyncio.timeout(LONGEST_RUN):
                return await self._kinds[key.kind](key)
        except Exception as error:
            metrics.RECONCILE_ERRORS.labels(key.kind, type(error).__name__).inc()
            raise
        finally:
            metrics.RECONCILE_SECONDS.labels(key.kind).observe(time.monotonic() - started)

    async def _database(self, key: Key) -> float | None:
        body = self._cache.get(DATABASE, key.namespace, key.name)
        if body is None:
            return None
        db = Database.model_validate(body)
        if db.metadata.is_deleting:
            return await self._delete(db, body)
        if FINALIZER not in db.metadata.finalizers:
            await objects.add_finalizer(self._api, self._cache, DATABASE, body, FINALIZER)
        plan = await self._make_true(db, body)
        await self._tell(DATABASE, body, plan)
        return plan.requeue_after if plan.requeue_after is not None else self._resync()

    async def _make_true(self, db: Database, body: Body) -> Plan[DatabaseStatus]:
        """Observes, plans and executes; what is in the way is the plan's verdict.

        Raises what is worth a repetition, after it has been told.
        """
        seen, phase = Observed(), db.status.phase or "Pending"
        plan: Plan[DatabaseStatus] | None = None
        looks = 0
        try:
            while True:
                seen = await self._platform.observe(db)
                plan = plan_database(db, seen, self._context(body))
                phase = plan.status.phase or phase
                await self._platform.execute(db, plan)
                looks += 1
                if plan.requeue_after != AT_ONCE or looks == LOOKS:
                    return plan  # else what was done shows already: no status in between
        except NamespaceGoing:
            return finish(db, seen, NAMESPACE_GOING, now(), requeue_after=NAMESPACE_AGAIN)
        except (InvalidSpec, Refused) as error:
            reason = error.reason if isinstance(error, InvalidSpec) else "Refused"
            verdict = stalled(reason, str(error))
            if db.status.phase is DatabasePhase.RUNNING:  # it serves on, as it was
                verdict = replace(verdict, phase=DatabasePhase.RUNNING.value)
            return finish(db, seen, verdict, now(), requeue_after=RETRY_REFUSED)
        except Conflict:
            raise  # somebody wrote in between: looked at again in a second, and no news to anybody
        except PostbaseError as error:
            if _is_no_news(error, db, plan):
                raise
            verdict = reconciling(phase, type(error).__name__, str(error))
            await self._tell(DATABASE, body, finish(db, seen, verdict, now()))
            raise

    def _context(self, body: Body) -> Context:
        key = project_key(body)
        held = self._cache.get(PROJECT, key.namespace, key.name)
        project = None if held is None else Project.model_validate(held)
        backups = self._backups.looks.of(body, project)
        restores = self._looks.of(*place_of(body))
        elders = elder(self._cache, body, project)
        return Context(project, self._settings, now(), backups, tuple(restores), elders)

    async def _delete(self, db: Database, body: Body) -> float | None:
        """Takes it away step by step; child events and a timer bring us back until nothing is."""
        if FINALIZER not in db.metadata.finalizers:
            return None
        try:
            last = await self._last_backup(db, body)
            gone = not last.waits and await self._platform.destroy(db, keep=last.keeps)
        except InvalidSpec as error:  # a person must change something: it waits, and says for what
            last, gone = Final(waits=True, reason=error.reason, message=str(error)), False
        if not gone:
            verdict = reconciling("Deleting", last.reason, last.message)
            await self._tell(DATABASE, body, finish(db, Observed(), verdict, now()))
            return FINAL_AGAIN if last.waits else DELETION_AGAIN
        await objects.remove_finalizer(self._api, self._cache, DATABASE, body, FINALIZER)
        return None

    async def _last_backup(self, db: Database, body: Body) -> Final:
        """How it stands with it; it is asked for here. In a namespace that is going there is none,
        and the volume stays."""
        context = self._context(body)
        found = final(db, context.backups.all, context.defaults, now())
        try:
            await self._platform.carry_out(db, found.todo)
        except NamespaceGoing:
            return Final(keeps=True)
        return found

    async def _project(self, key: Key) -> float | None:
        return self._resync() if await self._projects.run(key) else None

    async def _backup(self, key: Key) -> float | None:
        body = self._cache.get(BACKUP, key.namespace, key.name)
        if body is None:
            return None
        backup = Backup.model_validate(body)
        if FINALIZER not in backup.metadata.finalizers:
            if backup.metadata.is_deleting:
                return None
            await objects.add_finalizer(self._api, self._cache, BACKUP, body, FINALIZER)
        seen = await self._backups.looks.look(backup)
        limits = Limits(concurrent=self._settings.max_concurrent_backups)
        policies = self._backups.looks.policies(backup)
        plan = plan_backup(backup, seen, policies, limits, now())
        try:
            await self._backups.execute(backup, plan)
        except Conflict:
            raise  # somebody wrote in between: looked at again in a second
        except PostbaseError as error:
            if isinstance(error, Unavailable) and error.service == KUBERNETES:
                raise  # of that the log and the metrics tell
            seen = replace(seen, hindrance=hindrance(error))
            await self._tell(BACKUP, body, plan_backup(backup, seen, policies, limits, now()))
            raise
        await self._tell(BACKUP, body, plan)
        if plan.status.phase is not backup.status.phase:
            self.wake(database_key(body))  # it tells of it, and remembers what was done
            if (db := self._backups.looks.database(backup)) is not None:
                self.wake(Key(PROJECT.kind, key.namespace, db.spec.project_ref.name))
        return plan.requeue_after if plan.requeue_after is not None else self._resync()

    async def _restore(self, key: Key) -> float | None:
        body = self._cache.get(PITR_RESTORE, key.namespace, key.name)
        if body is None:
            return None
        restore = PitrRestore.model_validate(body)
        if restore.metadata.is_deleting or restore.is_done():
            return None
        try:
            known = await self._looks.look(restore, now())
        except PostbaseError as error:
            await self._tell_hindrance(restore, body, error)
            raise
        plan = plan_restore(restore, known, now())
        if known.db is not None and plan.steps:
            try:
                await self._platform.carry_out(known.db, plan.steps)
            except Conflict:
                raise
            except PostbaseError as error:
                await self._tell_hindrance(restore, body, error)
                raise
            # Our own writes come back as events that tell nothing new.
            self.wake(Key(DATABASE.kind, key.namespace, known.db.metadata.name))
        await self._tell(PITR_RESTORE, body, plan)
        if plan.status.phase is not restore.status.phase:
            self.wake(database_key(body))  # it remembers what was done
        return plan.requeue_after if plan.requeue_after is not None else self._resync()

    async def _tell_hindrance(self, restore: PitrRestore, body: Body, error: PostbaseError) -> None:
        """Of the Kubernetes API's own trouble the log and the metrics tell."""
        if not (isinstance(error, Unavailable) and error.service == KUBERNETES):
            await self._tell(PITR_RESTORE, body, hindered(restore, error, now()))

    async def _tell(self, kind: Kind, body: Body, plan: Plan[Any] | BackupPlan) -> None:
        """Status first, then the events: an event that is lost is a pity, a status a lie."""
        status = plan.status.to_wire()
        current = self._cache.get(kind, *place_of(body)) or body
        apart = APART if kind is BACKUP else ()
        if await objects.write_status(self._api, self._cache, kind, current, status, apart):
            for notice in plan.notices:
                await objects.post_event(self._api, kind, body, notice, self._instance)

    def _resync(self) -> float:
        """The slow look at everything, a fifth earlier or later so that a fleet spreads out."""
        return self._settings.resync_seconds * random.uniform(0.8, 1.2)  # noqa: S311 - no secret


def _is_no_news(error: PostbaseError, db: Database, plan: Plan[DatabaseStatus] | None) -> bool:
    """The Kubernetes API's own trouble, while the database serves as it should: of that it says
    nothing, and the log and the metrics tell of it."""
    status = db.status if plan is None else plan.status
    trouble = isinstance(error, Unavailable) and error.service == KUBERNETES
    return trouble and is_true(status.conditions, ConditionType.READY)
