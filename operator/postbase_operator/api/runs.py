"""What Backup and PitrRestore share: they run once, and end for good."""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum

from postbase_operator.api.base import Model


class RunPhase(StrEnum):
    """The state of something that runs once."""

    PENDING = "Pending"
    RUNNING = "Running"
    COMPLETED = "Completed"
    FAILED = "Failed"

    @property
    def is_final(self) -> bool:
        return self in (RunPhase.COMPLETED, RunPhase.FAILED)


def spec_hash(spec: Model) -> str:
    """Marks on the target what has been done, so that a run that Git brings back is not redone."""
    text = json.dumps(spec.to_wire(), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
