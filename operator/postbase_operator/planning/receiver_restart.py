"""When a WAL receiver that is no sidecar is started anew: on request. PURE.

A sidecar is asked itself, by the gateway. Nobody has a way in to a receiver on Railway, so the
request is an annotation, which the operator serves by Railway's API.
"""

from __future__ import annotations

from postbase_operator.api.database import Database
from postbase_operator.api.database_spec import Provider
from postbase_operator.planning import plan as steps
from postbase_operator.planning.database_backups import LONGEST
from postbase_operator.planning.plan import Step

REQUEST = "postbase.sh/request-restart-receiver"
VERB = "restart-receiver"


def request(db: Database) -> str | None:
    """The value of the annotation where it has not been served yet."""
    asked = db.metadata.annotations.get(REQUEST, "")[:LONGEST]
    fresh = asked and asked != db.status.requests.get(VERB)
    return asked if fresh and db.spec.provider is Provider.RAILWAY else None


def receiver_restart(db: Database) -> list[Step]:
    """Served once the step is done: only then is the value noted."""
    asked = request(db)
    return [] if asked is None else [steps.RestartReceiver(asked)]
