"""The plan of one Database: from what is wanted and what is seen to steps and a status. PURE.

Level-triggered: the same function serves a first sight, a change, a child's event and a slow
resync. It asks for the whole workload each time; the platform leaves alone what is so already.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from postbase_operator.api.database import Database, DatabaseStatus
from postbase_operator.api.database_spec import Provider
from postbase_operator.api.project import Project, ProjectDefaults
from postbase_operator.api.quantity import whole_bytes
from postbase_operator.errors import InvalidSpec
from postbase_operator.planning import plan as steps
from postbase_operator.planning.judgement import (
    Exit,
    Outlook,
    Verdict,
    judge,
    reconciling,
    stalled,
)
from postbase_operator.planning.observed import Observed, ProcessState, Server, Volume
from postbase_operator.planning.plan import Plan, Step
from postbase_operator.planning.status import finish
from postbase_operator.settings import Settings

SECRETS_AGAIN = 60.0
"""Seconds between looks at the Secrets, which are read and not watched."""
SOON = 0.3
"""Seconds until a look at what a step on the server has done."""
AT_ONCE = 0.0
"""What these steps do is done when they return: the next look belongs to the same run."""


@dataclass(frozen=True, slots=True)
class Context:
    """What the planner is told beside the Database and what was seen of it."""

    project: Project | None
    settings: Settings
    now: datetime


def plan_database(db: Database, seen: Observed, context: Context) -> Plan[DatabaseStatus]:
    refused = refusal(db, seen, context)
    if refused is not None:
        if seen.process.state is ProcessState.RUNNING:  # it serves on, as it was
            refused = replace(refused, phase="Running")
        again = None if refused.outlook is Outlook.STALLED else SECRETS_AGAIN
        return finish(db, seen, refused, context.now, requeue_after=again)
    verdict = judge(seen, paused=db.spec.paused)
    todo = list(_steps(db, seen))
    return finish(
        db, seen, verdict, context.now, todo, requeue_after=_again(db, seen, todo, context.now)
    )


def _again(db: Database, seen: Observed, todo: list[Step], now: datetime) -> float:
    """Seconds until the next look, where no event will call for one."""
    facts = seen.server.facts if seen.server else None
    if facts and facts.rejected and facts.mounted_revision == seen.wanted_revision:
        return SECRETS_AGAIN  # a reload would be refused again, three times a second
    if any(isinstance(step, DONE_AT_ONCE) for step in todo):
        return AT_ONCE
    if any(isinstance(step, DONE_SOON) for step in todo):
        return SOON
    if not _is_on_its_way(seen, db):
        return SECRETS_AGAIN
    since = seen.process.since
    fresh = since is None or (now - since).total_seconds() < SECRETS_AGAIN
    return SOON if fresh else SECRETS_AGAIN / 6


DONE_AT_ONCE = (steps.SetUpAccess, steps.CreateExtensions, steps.RecordOrigin)
DONE_SOON = (steps.PokeConfig, steps.ReloadConfig)


def _is_on_its_way(seen: Observed, db: Database) -> bool:
    """PostgreSQL cannot be asked yet, or its files are still coming: no event will tell."""
    if db.spec.paused or seen.process.state is not ProcessState.RUNNING:
        return False
    return seen.server is None or seen.server.facts.mounted_revision != seen.wanted_revision


def refusal(db: Database, seen: Observed, context: Context) -> Verdict | None:
    """Why nothing may be made or changed for this Database; None where all is well."""
    if context.project is None and not seen.volumes:
        name = db.spec.project_ref.name
        return reconciling(
            "Pending", "ProjectNotFound", f"spec.projectRef: there is no Project {name!r} here"
        )
    try:
        check_spec(db, context)
    except InvalidSpec as error:
        return stalled(error.reason, str(error))
    if seen.foreign_volumes and not seen.volumes:
        kept = ", ".join(seen.foreign_volumes)
        return stalled(
            "VolumeExists",
            f"Volumes of an earlier Database of this name were kept: {kept}. Name one in "
            "spec.adoptVolume to take its data over, or delete them, or take another name",
        )
    if not seen.volumes and db.status.system_id:
        return stalled(
            "VolumeLost",
            f"The volume with the data of system {db.status.system_id} is gone, and no empty "
            "database is made in its place; delete this Database and apply it anew to begin empty",
        )
    if seen.volumes and seen.current is None:
        found = ", ".join(volume.name for volume in seen.volumes)
        return stalled(
            "NoCurrentVolume",
            f"None of the volumes {found} is marked current; set the annotation "
            "postbase.sh/role: current on the one that holds the data",
        )
    return None


def check_spec(db: Database, context: Context) -> None:
    """What the schema cannot know. Raises InvalidSpec naming field and remedy."""
    settings = context.settings
    defaults = context.project.spec.defaults if context.project else ProjectDefaults()
    if db.spec.provider is not Provider.KUBERNETES:
        raise InvalidSpec(
            "spec.provider",
            f"{db.spec.provider.value} is not served by this release; use Kubernetes",
            reason="NotImplemented",
        )
    if db.spec.image is None:
        settings.image_for(str(db.spec.postgres_version))
    region = db.region(defaults)
    if settings.regions and region and region not in settings.regions:
        known = ", ".join(settings.regions)
        raise InvalidSpec(
            "spec.region", f"{region!r} is not served here; served: {known}", reason="UnknownRegion"
        )


def _steps(db: Database, seen: Observed) -> list[Step]:
    todo: list[Step] = []
    current = seen.current
    if seen.server is None:
        todo.append(steps.EnsureSecrets(first=current is None))
    if current is None:
        generation = seen.highest_generation + 1
        return [
            *todo,
            steps.CreateVolume(generation),
            steps.ApplyWorkload(generation, system_id=""),
        ]
    if seen.server is not None:
        todo += _remember(seen.server, seen, current)
    todo.append(steps.ApplyWorkload(current.generation, current.system_id))
    if seen.server is not None and not db.spec.paused:
        todo += _server_steps(seen.server, seen)
    if _is_stuck(seen):
        todo.append(steps.ReplaceProcess())
    if whole_bytes(db.spec.storage.size) > current.requested_bytes:
        # Last: a storage class that cannot grow refuses, and must hold up nothing else.
        todo.append(steps.GrowVolume(current.generation))
    return todo


def _remember(server: Server, seen: Observed, current: Volume) -> list[Step]:
    """What the volume has to know of its own data before anything else is built on it."""
    system_id = "" if current.system_id else server.facts.system_id
    image = "" if current.image else seen.process.image_digest
    if not system_id and not image:
        return []
    return [steps.RecordOrigin(current.generation, system_id, image)]


def _server_steps(server: Server, seen: Observed) -> list[Step]:
    todo: list[Step] = []
    if not server.access_right:
        todo.append(steps.SetUpAccess())
    elif server.missing_extensions:
        todo.append(steps.CreateExtensions(server.missing_extensions))
    facts, wanted = server.facts, seen.wanted_revision
    if facts.mounted_revision != wanted:
        if seen.process.config_revision != wanted:
            todo.append(steps.PokeConfig(wanted))
    elif facts.loaded_revision != wanted or facts.certificate_renewed:
        todo.append(steps.ReloadConfig())
    return todo


def _is_stuck(seen: Observed) -> bool:
    """PostgreSQL does not run in it, and a new one would be another: nothing is lost by it.

    A StatefulSet that is updated on delete never does this by itself, and the kubelet waits up to
    five minutes between two attempts.
    """
    process = seen.process
    if process.state is ProcessState.WAITING:
        return process.outdated
    if process.state is not ProcessState.FAILED:
        return False
    refused = process.exit_code == Exit.PARAMETERS_REJECTED
    return process.outdated or (refused and seen.wanted_revision not in process.message)
