"""What is told of a Backup's step, or of a look at its run, that could not be done."""

from __future__ import annotations

from postbase_operator.errors import Denied, InvalidSpec, PostbaseError
from postbase_operator.kube.refusals import QuotaExceeded, Refused
from postbase_operator.objectstore.store import StoreUnavailable
from postbase_operator.planning.backup_observed import Trouble


def hindrance(error: PostbaseError) -> Trouble:
    match error:
        case InvalidSpec():
            reason = error.reason
        case StoreUnavailable():
            reason = error.reason.value
        case QuotaExceeded():
            reason = "QuotaExceeded"
        case Denied():
            reason = "Denied"
        case Refused():
            reason = "Refused"
        case _:  # PostgreSQL does not answer, or has no address yet
            reason = "DatabaseNotReady"
    return Trouble(reason, str(error))
