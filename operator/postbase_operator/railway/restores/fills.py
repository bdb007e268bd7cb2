"""How far a volume on Railway is that is made out of a backup.

Railway tells whether its process runs or has ended; the last word in the log of a run that has
ended, how; and once PostgreSQL has recovered, PostgreSQL does: nobody gets in before that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from postbase_operator.api.database import Database
from postbase_operator.archive.record import UnreadableRecord
from postbase_operator.archive.run import VARIABLE, FillRun, RecoveryTask
from postbase_operator.archive.staging import attempt_in, end_in
from postbase_operator.errors import Denied, NotReady, PostbaseError, Unavailable
from postbase_operator.planning.backup_observed import JobState, RunState
from postbase_operator.planning.observed import Fill
from postbase_operator.postgres import recovered
from postbase_operator.postgres.faults import POSTGRESQL
from postbase_operator.railway import fill_service
from postbase_operator.railway.fill_service import fills
from postbase_operator.railway.graphql import reads
from postbase_operator.railway.graphql.deployments import Deployment, Standing
from postbase_operator.railway.graphql.models import ServiceInstance, TcpProxy
from postbase_operator.railway.ground import Ground
from postbase_operator.railway.restores.restore_books import RestoreBooks
from postbase_operator.railway.sql.restore_door import RestoreDoor

LINES = 1000
"""Of a log, from the end."""
LONGEST = 500
FATAL = re.compile(r"\b(?:FATAL|PANIC):\s+(.*)")
EARLY = "recovery ended before configured recovery target was reached"
OF_CLIENTS = (
    "the database system is",
    "no pg_hba.conf entry",
    "connection requires a valid client certificate",
    "certificate authentication failed",
    "password authentication failed",
    "unsupported frontend protocol",
    "role ",
    "invalid length of startup packet",
)
"""What whoever knocks is told, of which an open port has many: nothing of it ends the server."""
UNKNOWN = "PostgreSQL does not know any more how far it has recovered: it was started again"
"""What cannot be held against the plan is not believed; the next attempt begins anew."""
READY = "database system is ready to accept connections"
RECOVERS = "PostgreSQL recovers the copy"
PATIENCE = timedelta(minutes=10)
"""With a server that says it is ready: its way in may be away for a while."""
ENDED = (Standing.FAILED, Standing.STOPPED)
ON_ITS_WAY = "Its deployment is on its way"


@dataclass(slots=True)
class Fills:
    """One for all Databases."""

    door: RestoreDoor
    archives: RestoreBooks
    now: Callable[[], datetime]
    _silent: dict[tuple[str, int], datetime] = field(default_factory=dict)
    """By deployment and attempt: when it was first seen to have ended, and had left no word."""
    _shut: dict[tuple[str, int], datetime] = field(default_factory=dict)
    """Since when PostgreSQL has refused us, or since its log was read about that."""
    _ended: dict[tuple[str, int], Fill] = field(default_factory=dict)
    """How one has failed never changes: its log is not read at each look for ever."""

    async def look(
        self,
        ground: Ground,
        db: Database,
        service: ServiceInstance,
        volume: str,
        proxy: TcpProxy | None,
    ) -> Fill | None:
        """None where no attempt was begun."""
        variables = await ground.sight.variables(service.service_id)
        attempt, latest = attempt_in(variables), service.latest_deployment
        if attempt == 0:
            return None
        since = (latest.status_updated_at if latest is not None else None) or self.now()
        state = JobState(attempt, RunState.RUNNING, since, message=ON_ITS_WAY)
        if latest is None or latest.image != service.image:
            return Fill(volume, state, recovers=not fills(service))
        run = _Run(volume, state, latest, variables)
        key, ended = run.key, latest.standing in ENDED
        if ended and (word := self._ended.get(key)) is not None:
            return word
        if fills(service):
            fill = await self._filled(ground, db, run)
        else:
            fill = await self._recovered(ground, db, run, proxy)
        if ended and fill.job.state is RunState.FAILED:
            self._ended[key] = fill
        return fill

    async def _filled(self, ground: Ground, db: Database, run: _Run) -> Fill:
        match run.deployment.standing:
            case Standing.COMING | Standing.GONE:
                return run.goes(ON_ITS_WAY)
            case Standing.RUNNING:
                return run.goes(await self._told(db, run))
        lines = await _log(ground, run.deployment)
        word = end_in(lines, run.state.attempt)
        if word is None:
            return self._without_a_word(ground, run, "RunLost", "its run left no word", lines)
        if word.reason:
            return run.failed(word.reason, word.message)
        return Fill(run.volume, run.state, staged=True)

    async def _told(self, db: Database, run: _Run) -> str:
        """How far it is; it only tells, and nothing fails by it."""
        task = run.task
        if task is None or task.recovery is None:
            return "The backup is being fetched"
        try:
            seen = await self.archives.progress(db, task.object_key, task.recovery.restore)
        except PostbaseError:
            return "The backup is being fetched"
        if seen is None or not seen.wal_files:
            return "The backup is being fetched"
        return f"The log is being fetched: {seen.wal_files} files of {task.recovery.wal_files}"

    async def _recovered(
        self, ground: Ground, db: Database, run: _Run, proxy: TcpProxy | None
    ) -> Fill:
        match run.deployment.standing:
            case Standing.COMING | Standing.GONE:
                return run.goes(ON_ITS_WAY, recovers=True)
            case Standing.FAILED | Standing.STOPPED:
                lines = await _log(ground, run.deployment)
                if not (said := last_fatal(lines)):
                    ended = "PostgreSQL ended"
                    return self._without_a_word(ground, run, "RecoveryFailed", ended, lines)
                return run.failed("RecoveryFailed", said)
        try:
            async with self.door.open(ground, db, proxy) as connection:
                found = await recovered.recovered(connection)
        except NotReady:
            return run.goes(RECOVERS, recovers=True)
        except (Unavailable, Denied) as error:
            if error.service != POSTGRESQL:
                raise
            return await self._shut_out(ground, run, " ".join(str(error).split())[:LONGEST])
        if found is None:
            return run.goes(RECOVERS, recovers=True)
        done = JobState(run.state.attempt, RunState.SUCCEEDED, run.state.since)
        task = run.task.recovery if run.task is not None else None
        last = found.last_commit.isoformat() if found.last_commit is not None else ""
        if task is not None and task.last_commit is not None and not (last or found.is_settled):
            return run.failed("RecoveryFailed", UNKNOWN)
        return Fill(run.volume, done, found.system_id, last, task)

    async def whole(
        self,
        ground: Ground,
        service: ServiceInstance,
        variables: Mapping[str, str],
        task: RecoveryTask | None,
    ) -> str:
        """WHOLE, where PostgreSQL has found no commit after the target of this very recovery, up to
        the end that was pinned: then all of that is what was asked for. Of another plan it says
        nothing: that one's log may have commits which are not to be restored."""
        wanted, before = fill_service.whole(task), task_in(variables)
        if not wanted or variables.get(fill_service.WHOLE) == wanted:
            return wanted
        same = before is not None and fill_service.whole(before.recovery) == wanted
        latest = service.latest_deployment
        if not same or latest is None or fills(service) or latest.image != service.image:
            return ""
        return wanted if last_fatal(await _log(ground, latest)) == EARLY else ""

    async def _shut_out(self, ground: Ground, run: _Run, why: str) -> Fill:
        """Nobody gets in before it is recovered; one that is, and still lets nobody in, has failed.
        Its log is read once in a while only, as there are looks every few seconds."""
        goes, key = run.goes(f"{RECOVERS}; {why}", recovers=True), run.key
        since = self._shut.setdefault(key, self.now())
        if self.now() - since < PATIENCE:
            return goes
        if not any(READY in line for line in await _log(ground, run.deployment)):
            self._shut[key] = self.now()
            return goes
        return run.failed("RecoveryFailed", f"PostgreSQL is recovered and lets nobody in: {why}")

    def _without_a_word(
        self, ground: Ground, run: _Run, reason: str, message: str, lines: list[str]
    ) -> Fill:
        """The log may come later than the end; and what has ended may be the attempt before. Where
        it is given up in place its service goes, and the log with it: so its end is told here."""
        key = run.key
        since = self._silent.setdefault(key, self.now())
        if self.now() - since < timedelta(seconds=ground.settles):
            return run.goes(ON_ITS_WAY)
        last = " ".join((lines[-1] if lines else "").split())[:LONGEST]
        told = f"the last line of its log: {last}" if last else "its log is empty"
        return run.failed(reason, f"{message}; {told}")


@dataclass(frozen=True, slots=True)
class _Run:
    """What is known of an attempt before its log is read."""

    volume: str
    state: JobState
    deployment: Deployment
    variables: Mapping[str, str]

    @property
    def key(self) -> tuple[str, int]:
        return self.deployment.id, self.state.attempt

    @property
    def task(self) -> FillRun | None:
        return task_in(self.variables)

    def goes(self, message: str, *, recovers: bool = False) -> Fill:
        said = JobState(self.state.attempt, RunState.RUNNING, self.state.since, message=message)
        return Fill(self.volume, said, recovers=recovers)

    def failed(self, reason: str, message: str) -> Fill:
        since = self.state.since
        said = JobState(self.state.attempt, RunState.FAILED, since, since, reason, message)
        return Fill(self.volume, said)


def task_in(variables: Mapping[str, str]) -> FillRun | None:
    """What is recovered; None where somebody has edited it."""
    try:
        return FillRun.from_bytes(variables.get(VARIABLE, "").encode())
    except UnreadableRecord:
        return None


async def _log(ground: Ground, deployment: Deployment) -> list[str]:
    lines = await reads.logs(ground.client, deployment.id, limit=LINES)
    return [line.message for line in lines]


def last_fatal(lines: list[str]) -> str:
    """Why PostgreSQL has ended; "" where its log does not say."""
    found = [fatal[1] for line in lines if (fatal := FATAL.search(line))]
    return next((each for each in reversed(found) if not each.startswith(OF_CLIENTS)), "")
