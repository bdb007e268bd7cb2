"""What a Database with provider Railway may ask for in this release. PURE.

All else is refused here, before anything of it is made, with the field and what to do: a database
whose archive is silently not kept is worse than none. What Railway itself cannot do is refused by
its platform, which knows it (railway/support.py).
"""

from __future__ import annotations

from postbase_operator.api.backup import Backup
from postbase_operator.api.database import Database
from postbase_operator.api.database_spec import Provider
from postbase_operator.api.policies import BackupMethod
from postbase_operator.api.project import ProjectDefaults
from postbase_operator.errors import InvalidSpec
from postbase_operator.planning.backup_observed import Trouble
from postbase_operator.settings import Settings

NOT_YET = "NotImplemented"
NO_PHYSICAL = "no Physical backup is taken"
UNSERVED = (
    "Railway is not served here, as the operator has no token for it: set railway.tokenSecretRef "
    "of the chart (the operator's POSTBASE_RAILWAY_TOKEN)"
)


def check_elsewhere(db: Database, defaults: ProjectDefaults, settings: Settings) -> None:
    """Raises InvalidSpec."""
    if not settings.railway_token:
        raise InvalidSpec(
            "spec.provider",
            f"{UNSERVED}, or use Kubernetes",
            reason=NOT_YET,
        )
    if db.pitr_policy(defaults).enabled:
        _refuse("spec.pitr.enabled", "changes are not archived", "set it to false")
    # Of a schedule that is suspended too: it is the method of backups by request, and of the last.
    if db.backup_policy(defaults).method is BackupMethod.PHYSICAL:
        _refuse("spec.backup.method", NO_PHYSICAL, "set it to Logical")
    if db.spec.retain_volume_for is not None:
        _refuse("spec.retainVolumeFor", "a kept volume is not deleted later", "remove it")
    if db.spec.bootstrap is not None and db.spec.bootstrap.empty is None:
        _refuse("spec.bootstrap", "nothing is restored", "set {empty: {}} and load a dump yourself")


def refused_backup(backup: Backup, db: Database) -> Trouble | None:
    """Why this Backup is not taken of this Database, however long one waits."""
    if db.spec.provider is not Provider.RAILWAY or backup.spec.method is BackupMethod.LOGICAL:
        return None
    why = _told(NO_PHYSICAL, "make another Backup with method Logical, the default")
    return Trouble(NOT_YET, f"spec.method: {why}")


def _refuse(field: str, what: str, remedy: str) -> None:
    raise InvalidSpec(field, _told(what, remedy), reason=NOT_YET)


def _told(what: str, remedy: str) -> str:
    return f"with provider Railway {what} by this release: {remedy}, or use provider Kubernetes"
