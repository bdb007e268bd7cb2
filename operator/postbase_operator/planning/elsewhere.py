"""What a Database with provider Railway may ask for in this release. PURE.

All else is refused here, before anything of it is made, with the field and what to do. What Railway
itself cannot do is refused by its platform, which knows it (railway/support.py).
"""

from __future__ import annotations

from postbase_operator.api.database import Database
from postbase_operator.errors import InvalidSpec
from postbase_operator.settings import Settings

NOT_YET = "NotImplemented"
UNSERVED = (
    "Railway is not served here, as the operator has no token for it: set railway.tokenSecretRef "
    "of the chart (the operator's POSTBASE_RAILWAY_TOKEN)"
)


def check_elsewhere(db: Database, settings: Settings) -> None:
    """Raises InvalidSpec."""
    if not settings.railway_token:
        raise InvalidSpec(
            "spec.provider",
            f"{UNSERVED}, or use Kubernetes",
            reason=NOT_YET,
        )
    if db.spec.retain_volume_for is not None:
        _refuse("spec.retainVolumeFor", "a kept volume is not deleted later", "remove it")


def _refuse(field: str, what: str, remedy: str) -> None:
    why = f"with provider Railway {what} by this release: {remedy}, or use provider Kubernetes"
    raise InvalidSpec(field, why, reason=NOT_YET)
