"""What this release does not do on Railway: refused with field and remedy, where it is asked for.

The planner refuses what a spec asks (planning/elsewhere.py); this is for what other objects ask.
"""

# ruff: noqa: ARG002 - the signatures are the Protocol's

from __future__ import annotations

from typing import NoReturn

from postbase_operator.api.database import Database
from postbase_operator.api.restore_status import RestorePlan
from postbase_operator.archive.run import RecoveryProgress
from postbase_operator.errors import InvalidSpec
from postbase_operator.planning import plan as steps
from postbase_operator.planning.archived import Offer, Stopped, Wish
from postbase_operator.planning.plan import Step
from postbase_operator.planning.restore_rehearsal import Rehearsal
from postbase_operator.planning.restore_seen import Rehearsed
from postbase_operator.railway.support import UNSUPPORTED

_RESTORE = (
    "names a Database on Railway, where nothing is restored by this release: name one with "
    "provider Kubernetes, or load a dump by the address in its credentials Secret"
)

REFUSED: dict[type, tuple[str, str]] = {
    steps.LoadBackup: ("spec.databaseRef", _RESTORE),
    steps.PinLog: ("spec.databaseRef", _RESTORE),
    steps.AdoptVolume: (
        "spec.adoptVolume",
        "a PersistentVolumeClaim cannot be brought to Railway: remove it",
    ),
    steps.BeginUpgrade: (
        "metadata.annotations[postbase.sh/request-upgrade]",
        "on Railway each new deployment runs the newest build of its tag: remove it, and ask by "
        "postbase.sh/request-restart",
    ),
}


def refuse(step: Step) -> NoReturn:
    field, why = REFUSED.get(
        type(step),
        (
            "spec.provider",
            f"{type(step).__name__} is not done on Railway by this release: use "
            "Kubernetes for what asks for it",
        ),
    )
    raise InvalidSpec(field, why, reason=UNSUPPORTED)


class RefusedRestoring:
    """Implements platforms.Restoring: there is no archive of a Database on Railway yet."""

    async def rehearse(self, wanted: Rehearsal) -> Rehearsed:
        raise InvalidSpec("spec.databaseRef", _RESTORE, reason=UNSUPPORTED)

    async def offer(self, db: Database, wish: Wish) -> Offer:
        raise InvalidSpec("spec.databaseRef", _RESTORE, reason=UNSUPPORTED)

    async def stopped(self, db: Database, plan: RestorePlan) -> Stopped | None:
        return None

    async def progress(
        self, db: Database, plan: RestorePlan, restore: str
    ) -> RecoveryProgress | None:
        return None
