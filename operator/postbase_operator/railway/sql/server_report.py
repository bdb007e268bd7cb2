"""A private Database's server as its Caretaker is told of it, and tells of it. PURE.

The wish is made of the spec and of the Secret, as the steps of a planner would make the server; the
report is read into what the planner knows of any server. What is of one login is held against the
Secret by its mark, so that a report which answers an earlier wish still says what is so.
"""

from __future__ import annotations

from datetime import datetime

from postbase_operator.api.database import Database
from postbase_operator.archive.lsn import Lsn
from postbase_operator.archive.server_wish import (
    ServerReport,
    ServerWish,
    ToldFacts,
    WantedExtension,
    WantedLogin,
    mark,
)
from postbase_operator.archive.wish import ArchivingWish
from postbase_operator.desired import names
from postbase_operator.planning.observed import Server, ServerFacts
from postbase_operator.postgres.credentials import Credentials, Login
from postbase_operator.postgres.replication import ReceiverSeen
from postbase_operator.railway import parameters


def wish(
    db: Database,
    superuser: str,
    replication: str,
    held: Credentials,
    archiving: ArchivingWish,
    now: datetime,
) -> ServerWish:
    """What is wanted now."""
    synchronous = archiving.synchronous
    return ServerWish(
        superuser=superuser,
        owner=names.OWNER,
        database=names.DATABASE,
        makes_database=not is_restored(db),
        logins=tuple(
            WantedLogin(user=login.user, password=login.password)
            for login in sorted(held.open(), key=lambda each: each.user)
        ),
        closed=held.closed(now),
        extensions=tuple(
            WantedExtension(name=each.name, version=each.version) for each in db.spec.extensions
        ),
        settings=parameters.wanted(db, synchronous=synchronous),
        settings_revision=parameters.revision(db, synchronous=synchronous),
        replication=replication,
        archives=archiving.receiver.enabled,
    )


def is_restored(db: Database) -> bool:
    """It began with what another one left, which has the application's database in it."""
    return db.spec.bootstrap is not None and db.spec.bootstrap.empty is None


def server(db: Database, report: ServerReport, superuser: str, held: Credentials) -> Server | None:
    """None while the present login is not known to work as wanted."""
    facts = report.facts
    if facts is None or not facts.access_right or not _works(facts, superuser, held.login):
        return None
    waits = held.pending is not None and not _works(facts, superuser, held.pending)
    return Server(
        _facts(facts),
        access_right=True,
        missing_extensions=tuple(
            each.name for each in db.spec.extensions if each.name not in facts.extensions
        ),
        login_pending=held.pending is not None,
        login_waits=waits,
        rotation=held.rotation,
        rotated_at=held.rotated_at,
        password_given=held.given is not None,
        password_waits=not held.is_as_given,
        used_bytes=facts.used_bytes,
    )


def _works(facts: ToldFacts, superuser: str, login: Login) -> bool:
    return mark(superuser, login.user, login.password) in facts.logins


def _facts(facts: ToldFacts) -> ServerFacts:
    """Without the databases that restores have made: none begins here (railway/support.py), and
    what one has left is taken away once there is a way in again."""
    return ServerFacts(
        system_id=facts.system_id,
        version=facts.version,
        started_at=facts.started_at,
        in_recovery=facts.in_recovery,
        loaded_revision=facts.loaded_revision,
        mounted_revision=facts.mounted_revision,
        pending_restart=facts.pending_restart,
        rejected=facts.rejected,
        synchronous=facts.synchronous,
        slot=facts.slot,
    )


def receiver_seen(report: ServerReport) -> ReceiverSeen | None:
    """What the server said of the receiver; None where it said nothing."""
    told = report.receiver
    if told is None:
        return None
    return ReceiverSeen(
        at=told.at,
        server=Lsn.parse(told.server),
        timeline=told.timeline,
        connected_at=told.connected_at,
        state=told.state,
        received=_position(told.received),
        durable=_position(told.durable),
        lag_seconds=told.lag_seconds,
        kept=_position(told.kept),
    )


def is_settled(report: ServerReport, wanted: ServerWish | None) -> bool:
    """Nothing is awaited of it: the next one is read when it is due."""
    facts = report.facts
    if wanted is None or facts is None or report.wish != wanted.revision:
        return False
    if report.trouble is not None:
        return True
    reads = report.receiver is not None and report.receiver.connected_at is not None
    loaded = facts.loaded_revision == wanted.settings_revision
    return loaded and facts.access_right and (reads or not wanted.archives)


def _position(text: str | None) -> Lsn | None:
    return None if text is None else Lsn.parse(text)
