"""How archiving does, told by the server itself and by the archive. PURE.

The receiver acknowledges to the server what the object store has, and nothing else; so the server
knows how far the archive is, and can be asked by SQL, which the operator does anyway. What it does
not know stands in the archive (what had come in all, the last commit, whether there is a hole) and,
where something is the matter, in the log of the receiver's service (what it is).

docs/decisions/0012-the-receiver-on-railway.md has what else was weighed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from postbase_operator.api.database_status import ReceiverState
from postbase_operator.api.policies import RecoveryPoint
from postbase_operator.archive.lsn import SEGMENT_SIZE, Lsn, Segment
from postbase_operator.archive.receiver import ReceiverConfig, ReceiverReport
from postbase_operator.archive.wal_index import Run
from postbase_operator.planning.archiving_health import LAGGING_FROM
from postbase_operator.planning.window import Log
from postbase_operator.postgres.replication import ReceiverSeen

STREAMS = {"streaming", "catchup"}
"""PostgreSQL's words for a connection on which the log flows."""
WRITER = "unknown"
"""The release of the receiver is not the server's to know."""


@dataclass(frozen=True, slots=True)
class Known:
    """What earlier looks at a server have left.

    `behind`: a position that the server had at `since` and the archive has not; None: it has all.
    """

    behind: Lsn | None = None
    since: datetime | None = None
    covered_until: datetime | None = None


def learnt(held: Known, seen: ReceiverSeen) -> Known:
    """With this look. All that there was at `seen.at` lies before `seen.server`: where the archive
    has that much, nothing newer than what it has existed at that moment."""
    durable = seen.durable
    if durable is not None and durable >= seen.server:
        return Known(covered_until=seen.at)
    if held.behind is not None and (durable is None or durable < held.behind):
        return held
    return Known(seen.server, seen.at, held.covered_until)


def report(seen: ReceiverSeen, known: Known, config: ReceiverConfig) -> ReceiverReport | None:
    """`known` with this look in it. None where nobody reads from the slot."""
    if seen.connected_at is None:
        return None
    lag = _lag_seconds(seen, known)
    streams = seen.state in STREAMS
    return ReceiverReport(
        state=ReceiverState.RUNNING if streams else ReceiverState.STARTING,
        started_at=seen.connected_at,
        writer=WRITER,
        timeline=seen.timeline,
        received_lsn=_text(seen.received),
        durable_lsn=_text(seen.durable),
        server_lsn=str(seen.server),
        lag_bytes=max(0, seen.server - seen.durable) if seen.durable is not None else 0,
        lag_seconds=lag,
        covered_until=known.covered_until,
        suspended=_suspended(config, lag),
    )


def _lag_seconds(seen: ReceiverSeen, known: Known) -> float:
    """At least: how long a position has been seen ahead of the archive. Where PostgreSQL has
    measured the way of a byte there and back, and it took longer, that."""
    if known.since is None:
        return 0.0
    waited = (seen.at - known.since).total_seconds()
    return round(max(0.0, waited, seen.lag_seconds or 0.0), 3)


def _suspended(config: ReceiverConfig, lag: float) -> bool:
    """Commits have waited for the archive for longer than they are to (`fallbackAfter`)."""
    limit = config.fallback_after_seconds
    return config.rpo is RecoveryPoint.ZERO and limit is not None and lag >= limit


def is_well(told: ReceiverReport | None) -> bool:
    """Nothing has to be explained."""
    return (
        told is not None and told.state is ReceiverState.RUNNING and told.lag_seconds < LAGGING_FROM
    )


def explained(
    told: ReceiverReport | None,
    said: ReceiverReport | None,
    seen: ReceiverSeen,
    known: Known,
    config: ReceiverConfig,
) -> ReceiverReport | None:
    """With the receiver's own last words of what is the matter (`said`); of how far it is the
    server's count. None where neither says anything.

    One that said that it runs, and has no connection, hangs or has died since: what it says of an
    error is of a better time, and it would be told as running for ever."""
    if is_well(told) or said is None:
        return told
    if told is not None:
        failing = said.store_failing_since
        return told.model_copy(
            update={"last_error": said.last_error, "store_failing_since": failing}
        )
    if said.last_error is None or said.state is ReceiverState.RUNNING:
        return None
    kept = seen.kept if said.durable_lsn is not None else None
    lag = _lag_seconds(seen, known)
    return said.model_copy(
        update={
            "timeline": seen.timeline,
            "received_lsn": None,
            "durable_lsn": _text(kept),
            "server_lsn": str(seen.server),
            "lag_bytes": max(0, seen.server - kept) if kept is not None else 0,
            "lag_seconds": lag,
            # Its own word is of the store alone; commits wait as long where it cannot come in.
            "suspended": said.suspended or _suspended(config, lag),
        }
    )


def completed(told: ReceiverReport | None, log: Log | None) -> ReceiverReport | None:
    """With what the archive tells, as of its last listing."""
    last = log.last() if log is not None else None
    if told is None or log is None or last is None:
        return told
    return told.model_copy(
        update={
            "last_commit_at": last.committed,
            "last_segment": _last_whole(told, last.run),
            "segments_archived": last.segments,
            "bytes_received": last.received,
            "slot_lost": len(log.of(last.run.timeline)) > 1,
        }
    )


def _last_whole(told: ReceiverReport, run: Run) -> str | None:
    """The segment before the one that is being written, where the archive has its beginning."""
    end = Lsn.parse(told.durable_lsn) if told.durable_lsn is not None else run.end
    number = end // SEGMENT_SIZE - 1
    if number < 0:
        return None
    whole = Segment(run.timeline, number)
    return whole.name if whole.start >= run.start else None


def _text(position: Lsn | None) -> str | None:
    return None if position is None else str(position)
