"""When the application's password is changed: on request, and as often as the spec says. PURE."""

from __future__ import annotations

from datetime import datetime

from postbase_operator.api.database import Database
from postbase_operator.planning import plan as steps
from postbase_operator.planning.observed import Server
from postbase_operator.planning.plan import Step

REQUEST = "postbase.sh/request-rotate"
VERB = "rotate"
GIVEN = "spec.credentials.secretRef"
"""What is noted where the user has changed the password in a Secret of his own."""


def rotation(db: Database, server: Server, now: datetime) -> list[Step]:
    """The next step of a rotation; none where none is due or one waits for the server."""
    if server.login_pending:
        works = server.access_right and not server.login_waits
        return [steps.FinishRotation()] if works else []
    if not server.access_right:
        return []
    if server.password_given:
        return [steps.BeginRotation(GIVEN)] if server.password_waits else []
    asked = db.metadata.annotations.get(REQUEST)
    if asked and asked not in (server.rotation, db.status.requests.get(VERB)):
        return [steps.BeginRotation(asked)]
    every = db.spec.credentials.rotate_every
    made = server.rotated_at or db.metadata.creation_timestamp
    if every is not None and made is not None and now - made >= every:
        return [steps.BeginRotation(f"due {now:%Y-%m-%dT%H:%M:%SZ}")]
    return []


def served(db: Database, server: Server | None) -> str | None:
    """The request that has been served and is not told yet."""
    asked = db.metadata.annotations.get(REQUEST)
    if server is None or server.login_pending or not asked or asked != server.rotation:
        return None
    return asked if db.status.requests.get(VERB) != asked else None
