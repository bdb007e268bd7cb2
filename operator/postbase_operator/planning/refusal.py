"""Why nothing may be made or changed for a Database: what it waits for, or what a person must say.

A volume that is somebody else's is never taken over in silence, and a database that had data is
never begun empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from postbase_operator.api.database import Database
from postbase_operator.api.database_spec import Provider
from postbase_operator.api.pitr_restore import PitrRestore
from postbase_operator.api.project import Project, ProjectDefaults
from postbase_operator.errors import InvalidSpec
from postbase_operator.planning.database_backups import NO_BACKUPS, Backups
from postbase_operator.planning.elsewhere import check_elsewhere
from postbase_operator.planning.judgement import Verdict, reconciling, stalled
from postbase_operator.planning.observed import Observed, VolumeRole
from postbase_operator.settings import Settings

UNKNOWN = (
    "Whether the object store has an archive of an earlier Database of this name cannot be asked; "
    "set spec.bootstrap to {empty: {}} to begin empty without asking"
)


@dataclass(frozen=True, slots=True)
class Context:
    """What the planner is told beside the Database and what was seen of it."""

    project: Project | None
    settings: Settings
    now: datetime
    backups: Backups = NO_BACKUPS
    restores: tuple[PitrRestore, ...] = ()
    elder: int = 0
    """Databases of the Project that were there before this one."""

    @property
    def defaults(self) -> ProjectDefaults:
        return self.project.spec.defaults if self.project is not None else ProjectDefaults()


def refusal(db: Database, seen: Observed, context: Context) -> Verdict | None:
    """The first reason that there is; None where all is well."""
    if context.project is None and not seen.volumes:
        name = db.spec.project_ref.name
        return reconciling(
            "Pending", "ProjectNotFound", f"spec.projectRef: there is no Project {name!r} here"
        )
    if not seen.volumes and (limit := over_quota(context)):
        return reconciling("Pending", "PlanLimitExceeded", limit)
    try:
        check_spec(db, context)
        if not seen.volumes:
            check_beginning(db, seen)
    except InvalidSpec as error:
        return stalled(error.reason, str(error))
    if not seen.volumes and seen.earlier.unknown:
        return reconciling("Pending", "ArchiveUnknown", f"{UNKNOWN}: {seen.earlier.unknown}")
    if seen.volumes and seen.current is None and not _is_beginning(db, seen):
        found = ", ".join(volume.name for volume in seen.volumes)
        remedy = (
            "set the annotation postbase.sh/role: current on the one that holds the data"
            if db.spec.provider is Provider.KUBERNETES
            else "make a PitrRestore with source.previous, and target.inPlace, to go back to the "
            "one that was replaced"
        )
        return stalled(
            "NoCurrentVolume", f"None of the volumes {found} is marked current; {remedy}"
        )
    return None


def over_quota(context: Context) -> str:
    """Why this one waits until an elder has gone; "" where it need not. One that has a volume runs
    on, whatever its Project says later."""
    most = context.project.spec.quota.databases if context.project is not None else None
    if context.project is None or most is None or context.elder < most:
        return ""
    return (
        f"The Project {context.project.metadata.name!r} has {context.elder} databases before this "
        f"one, and spec.quota.databases allows {most}"
    )


def _is_beginning(db: Database, seen: Observed) -> bool:
    """Its first volume is being filled. One that a PitrRestore fills is no beginning: where the
    volume that served is deleted meanwhile, an empty one would be made in its place."""
    return seen.filling is not None and seen.filling.restore == db.metadata.uid


def check_spec(db: Database, context: Context) -> None:
    """What the schema cannot know. Raises InvalidSpec naming field and remedy."""
    settings = context.settings
    if db.spec.provider is Provider.RAILWAY:  # whose images and regions are no matter of ours
        check_elsewhere(db, settings)
        return
    if db.spec.image is None:
        settings.image_for(str(db.spec.postgres_version))
    region = db.region(context.defaults)
    if settings.regions and region and region not in settings.regions:
        known = ", ".join(settings.regions)
        raise InvalidSpec(
            "spec.region", f"{region!r} is not served here; served: {known}", reason="UnknownRegion"
        )


def check_beginning(db: Database, seen: Observed) -> None:
    """Whether a Database without a volume may begin. Raises InvalidSpec.

    An application that finds an empty database where its data should be fills it anew: worse than
    one that finds none.
    """
    if db.spec.adopt_volume is not None:
        check_adoption(db, seen)
        return
    if seen.foreign_volumes:
        raise InvalidSpec(
            "spec.adoptVolume",
            "volumes of an earlier Database of this name were kept: "
            f"{', '.join(seen.foreign_volumes)}. Name one here to take its data over, or delete "
            "them, or take another name",
            reason="VolumeExists",
        )
    if seen.earlier.archives:
        raise InvalidSpec(
            "spec.bootstrap",
            "the object store has the archive of an earlier Database of this name, with the UID "
            f"{', '.join(seen.earlier.archives)}. To begin empty set this to {{empty: {{}}}}; to "
            "begin with what it has, to {latest: {}}, or restore it under another name",
            reason="ArchiveExists",
        )
    if db.status.system_id:
        raise InvalidSpec(
            "status.systemId",
            f"the volume with the data of system {db.status.system_id} is gone, and no empty "
            "database is made in its place; delete this Database and apply it anew to begin empty",
            reason="VolumeLost",
        )


def check_adoption(db: Database, seen: Observed) -> None:
    """Whether the volume that the spec names may be taken over. Raises InvalidSpec."""
    name, volume = db.spec.adopt_volume, seen.adoptable
    if volume is None:
        why = f"there is no PersistentVolumeClaim {name!r} in this namespace"
        raise InvalidSpec("spec.adoptVolume", why, reason="VolumeNotFound")
    if volume.deleting:
        why = f"{name!r} is being deleted"
    elif not volume.database_uid:
        why = f"{name!r} was not made by this operator: it lacks postbase.sh/database-uid"
    elif seen.adoptable_owner:
        why = f"{name!r} belongs to the Database {seen.adoptable_owner!r}; delete that one first"
    elif not volume.system_id:
        why = f"{name!r} never held a finished database: it lacks postbase.sh/system-id"
    elif volume.role not in (VolumeRole.CURRENT, VolumeRole.PREVIOUS):
        why = f"{name!r} is marked postbase.sh/role: {volume.role}, which is no finished database"
    else:
        return
    raise InvalidSpec("spec.adoptVolume", why, reason="VolumeNotAdoptable")
