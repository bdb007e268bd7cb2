"""What this release does not do on Railway: refused with field and remedy, where it is asked for.

The planner refuses what a spec asks (planning/elsewhere.py); this is for what other objects ask.
"""

from __future__ import annotations

from typing import NoReturn

from postbase_operator.errors import InvalidSpec
from postbase_operator.planning import plan as steps
from postbase_operator.planning.plan import Step
from postbase_operator.railway.support import UNSUPPORTED

LATEST = (
    "spec.source.latest: in place, that nothing is lost at the very end cannot be promised on "
    "Railway by this release: give a targetTime, or set spec.target.newDatabase"
)

REFUSED: dict[type, tuple[str, str]] = {
    steps.PinLog: ("spec.databaseRef", LATEST),
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
