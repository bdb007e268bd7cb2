"""The seam between what is decided and where it happens.

A planner knows Databases, volumes and servers; a platform knows how its own world makes them.
`kube` and `railway` implement this Protocol; the reconcile loop knows nothing else of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from postbase_operator.api.backup import Backup
from postbase_operator.api.database import Database, DatabaseStatus
from postbase_operator.api.policies import BackupMethod
from postbase_operator.api.restore_status import RestorePlan
from postbase_operator.archive.run import BackupRun, RecoveryProgress, ServerFacts
from postbase_operator.planning.archived import Offer, Stopped, Wish
from postbase_operator.planning.backup_observed import JobState
from postbase_operator.planning.observed import Load, Observed
from postbase_operator.planning.plan import (
    CreateBackup,
    CreateDatabase,
    ExpireBackup,
    LoadBackup,
    Plan,
    Step,
)
from postbase_operator.planning.restore_rehearsal import Rehearsal
from postbase_operator.planning.restore_seen import Rehearsed


class Restoring(Protocol):
    """What restores alone ask of a platform."""

    async def rehearse(self, wanted: Rehearsal) -> Rehearsed:
        """What it would say to these steps, of which it takes none."""
        ...

    async def offer(self, db: Database, wish: Wish) -> Offer:
        """What the Database's archive says to a wish. Raises what the store raises."""
        ...

    async def stopped(self, db: Database, plan: RestorePlan) -> Stopped | None:
        """Where the Database's log ends in the archive, now that it does not run."""
        ...

    async def progress(
        self, db: Database, plan: RestorePlan, restore: str
    ) -> RecoveryProgress | None:
        """How far the recovery is that this restore runs; None where nothing is told."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class JobServer:
    """A server that a Job of this cluster goes into, as the Job is told of it."""

    host: str
    port: int
    image: str
    """Its own, whose pg_dump and pg_restore fit it; by digest where that is known."""
    password_secret: str = ""
    """Of the Database's namespace, with the `password` that opens it: the superuser's for a dump,
    the receiver's role's for a physical backup; "": a certificate does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupServer(JobServer):
    """The one that a backup is taken of."""

    facts: ServerFacts


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt at a Backup that is there: the latest one."""

    state: JobState
    source_bytes: int | None = None
    """How much there is to read, as it was told; None where that is not known."""


@dataclass(frozen=True, slots=True)
class RunOrder:
    """An attempt that is to run. It ends by itself at `until`, also while no operator is there."""

    attempt: int
    until: datetime
    run: BackupRun


class BackupRuns(Protocol):
    """How an attempt at a Backup is run, and looked at. Each method may be killed anywhere and run
    again."""

    async def look(self, backup: Backup, db: Database | None) -> Attempt | None:
        """The latest one, also where the status does not know of it yet. `db` None: the Database is
        gone."""
        ...

    async def start(
        self, backup: Backup, db: Database, order: RunOrder, server: BackupServer
    ) -> None:
        """It runs, or will by itself, once this returns."""
        ...

    async def stop(self, backup: Backup, db: Database | None, attempt: int) -> None:
        """It is ended, also where it hangs. Later, perhaps: look."""
        ...


class BackingUp(Protocol):
    """What backups alone ask of a platform."""

    async def server(self, db: Database, method: BackupMethod) -> BackupServer:
        """Asked of it by SQL, and made ready for backups of this kind. Raises NotReady where there
        is no way in yet, Unavailable where it does not answer."""
        ...

    def runs(self, db: Database) -> BackupRuns | None:
        """Who runs the attempts; None: Jobs of this cluster, which can get into the server."""
        ...


class Loads(Protocol):
    """Runs that restore dumps into databases of their own: Jobs of this cluster, whoever runs the
    server. Each method may be killed anywhere and run again."""

    def look(self, db: Database) -> tuple[Load, ...]:
        """Every attempt that is there."""
        ...

    async def rehearse(self, db: Database, step: LoadBackup, server: JobServer) -> Rehearsed:
        """What the cluster would say to its Job."""
        ...

    async def start(self, db: Database, step: LoadBackup, server: JobServer) -> None:
        """The Job, and before it what it mounts. Leaves: each by itself."""
        ...

    async def stop(self, db: Database, databases: tuple[str, ...]) -> None:
        """Runs that fill what is to go; else they would make it anew."""
        ...


class BackupSchedule(Protocol):
    """Makes and ends Backup objects, and makes the Databases of restores: objects of the cluster,
    whoever runs the database."""

    async def take(
        self, db: Database, step: CreateBackup | ExpireBackup | CreateDatabase
    ) -> None: ...


class Platform(Protocol):
    """Each method may be killed anywhere and run again."""

    @property
    def restoring(self) -> Restoring:
        """For restores."""
        ...

    @property
    def backing_up(self) -> BackingUp:
        """For backups."""
        ...

    async def observe(self, db: Database) -> Observed:
        """What is there now. Raises Unavailable where it cannot be asked."""
        ...

    async def execute(self, db: Database, plan: Plan[DatabaseStatus]) -> None:
        """Takes the plan's steps in order. The first that fails ends the run."""
        ...

    async def carry_out(self, db: Database, steps: Sequence[Step]) -> None:
        """Takes steps that another object's plan asks for of this Database."""
        ...

    async def destroy(self, db: Database, *, keep: bool = False) -> bool:
        """Takes the Database away as its deletionPolicy says; True once nothing is left to do.

        `keep`: the volume stays whatever that says, as there is no last backup of it.
        """
        ...
