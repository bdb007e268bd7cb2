"""What a Database's archiving is to be: what the sidecar is told, what the server waits for. PURE.

Switching it on or off, or changing anything of it, reaches the running pod as a file and the server
as a reload: PostgreSQL is never restarted for it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from postbase_operator.api.database import Database
from postbase_operator.api.database_status import ArchiveStatus, ReceiverState
from postbase_operator.api.ids import public_id
from postbase_operator.api.policies import PitrPolicy, RecoveryPoint
from postbase_operator.archive.keys import Archive
from postbase_operator.archive.receiver import ArchiveOwner, ReceiverConfig
from postbase_operator.archive.wish import ArchivingWish
from postbase_operator.planning import plan as steps
from postbase_operator.planning.observed import Observed, ProcessState, ServerFacts
from postbase_operator.planning.plan import Step
from postbase_operator.planning.refusal import Context

LOST = "lost"
"""What the server says of a slot whose log it has removed."""


def incarnation(db: Database, system_id: str = "") -> str:
    """Which life of the Database is archived: `<system id>-<counter>`.

    Another initdb is another system, and who adopts or restores into a new Database has another
    UID, under which the archive lies. A restore in place goes on in the same life, as a timeline of
    its own. The counter is what the status holds, else 1.
    """
    system = system_id or db.status.system_id or "0"
    held = db.status.archive.incarnation if db.status.archive is not None else None
    return held if held and held.startswith(f"{system}-") else f"{system}-1"


def archive_of(db: Database, system_id: str = "") -> Archive:
    """The folder of what is archived now."""
    return Archive(db.metadata.uid, incarnation(db, system_id))


def archive_status(db: Database, seen: Observed) -> ArchiveStatus | None:
    """Where the archive lies; None where there is none, or nothing has gone there yet."""
    place, system_id = seen.archive, _system_id(seen)
    if place is None or not system_id or not place.is_entered:
        return db.status.archive
    life = archive_of(db, system_id)
    prefix = f"{place.folder}/{life}" if place.folder else str(life)
    return ArchiveStatus(bucket=place.bucket, prefix=prefix, incarnation=life.incarnation)


def wish(db: Database, seen: Observed, context: Context, policy: PitrPolicy) -> ArchivingWish:
    """What sidecar and server are told. Without its Project, what they were told last: that one
    may be back in a moment, and says whether there is archiving and where to."""
    system_id, project = _system_id(seen), context.project
    if project is None:
        return seen.archiving
    if not policy.enabled or seen.archive is None or not system_id:
        return ArchivingWish()
    fallback = policy.fallback_after
    config = ReceiverConfig(
        enabled=True,
        rpo=policy.rpo,
        fallback_after_seconds=max(1, int(fallback.total_seconds())) if fallback else None,
        owner=ArchiveOwner(
            database_uid=db.metadata.uid,
            system_id=system_id,
            incarnation=incarnation(db, system_id),
            cluster=context.settings.cluster_name,
            namespace=db.metadata.namespace,
            name=db.metadata.name,
        ),
        project=public_id("Project", project.metadata.uid),
    )
    return ArchivingWish(config, _waits_for_it(seen, policy, context.now))


def _waits_for_it(seen: Observed, policy: PitrPolicy, now: datetime) -> bool:
    """Whether commits wait for the receiver: once it streams, and until it says that it cannot.

    Silence alone changes nothing: a receiver that starts anew is no reason to break the promise.
    """
    if policy.rpo is not RecoveryPoint.ZERO or seen.archive is None:
        return False
    report, silence = seen.archive.report, seen.archive.silence
    if report is not None:
        streams = report.state is ReceiverState.RUNNING and report.durable_lsn is not None
        return not report.suspended and (seen.archiving.synchronous or streams)
    if silence is not None and policy.fallback_after is not None:
        return seen.archiving.synchronous and now - silence.since < policy.fallback_after
    return seen.archiving.synchronous


def revision(config: ReceiverConfig) -> str:
    """Which configuration this is, in 16 characters."""
    return hashlib.sha256(config.to_bytes()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Around:
    """Steps before the workload is applied, and after."""

    before: tuple[Step, ...] = ()
    after: tuple[Step, ...] = ()


def around(seen: Observed, wanted: ArchivingWish, policy: PitrPolicy, *, sure: bool) -> Around:
    """The Secret first, by which the sidecar reaches the store; then its files at once.

    `sure`: the Project is there, so that archiving which is off is meant to be.
    """
    on = wanted.receiver.enabled
    running = seen.process.state is ProcessState.RUNNING
    told = revision(wanted.receiver)
    # One that was never told anything has nothing to forget.
    news = running and seen.process.receiver_revision != told
    poke = news and (on or bool(seen.process.receiver_revision))
    after: list[Step] = [steps.PokeReceiver(told)] if poke else []
    if running and seen.server is not None and sure:
        after += _slot(seen.server.facts, policy)
    return Around((steps.BringStore(),) if on else (), tuple(after))


def _slot(facts: ServerFacts, policy: PitrPolicy) -> list[Step]:
    """Without archiving nobody reads our slot, and it would keep log until the volume's share is
    used up. First of all no commit may wait for it. One whose log is lost is made anew by the
    receiver, once it is gone."""
    useless = not policy.enabled and not facts.synchronous
    if facts.slot and (useless or facts.slot == LOST):
        return [steps.DropSlot()]
    return []


def _system_id(seen: Observed) -> str:
    return seen.current.system_id if seen.current is not None else ""
