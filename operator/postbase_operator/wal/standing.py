"""Where the receiver stands: written by its loop, read by whoever asks for the report."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from postbase_operator.api.database_status import ReceiverState
from postbase_operator.api.policies import RecoveryPoint
from postbase_operator.archive.receiver import ReceiverConfig, ReceiverReport
from postbase_operator.archive.wal_object import Totals
from postbase_operator.wal.health import Health
from postbase_operator.wal.lsn import Lsn, Segment


@dataclass
class Standing:
    """Figures of one moment each; they need not be of the same one."""

    writer: str
    health: Health = field(default_factory=Health)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    state: ReceiverState = ReceiverState.STARTING
    timeline: int | None = None
    received: Lsn | None = None
    durable: Lsn | None = None
    server: Lsn | None = None
    since: float | None = None
    """When the oldest byte came that is not durable, by the monotonic clock."""
    last_commit_at: datetime | None = None
    covered_until: datetime | None = None
    last_segment: str | None = None
    totals: Totals = field(default_factory=Totals)
    slot_lost: bool = False
    stopping: bool = False

    def archived(self, segment: Segment) -> None:
        """It is whole in the archive. Two that are written at a time may get there in any order."""
        self.last_segment = max(self.last_segment or "", segment.name)

    def report(self, config: ReceiverConfig) -> ReceiverReport:
        now, health = time.monotonic(), self.health
        durable, server, since = self.durable, self.server, self.since
        return ReceiverReport(
            state=self.state,
            started_at=self.started_at,
            writer=self.writer,
            timeline=self.timeline,
            received_lsn=_text(self.received),
            durable_lsn=_text(durable),
            server_lsn=_text(server),
            lag_bytes=max(0, server - durable) if durable is not None and server else 0,
            lag_seconds=round(max(0.0, now - since), 3) if since is not None else 0.0,
            last_commit_at=self.last_commit_at,
            covered_until=self.covered_until,
            last_segment=self.last_segment,
            segments_archived=self.totals.segments,
            bytes_received=self.totals.received,
            errors=health.errors,
            last_error=health.last,
            store_failing_since=health.store_failing_since,
            suspended=self.is_suspended(config, now),
            slot_lost=self.slot_lost,
            stopping=self.stopping,
        )

    def is_suspended(self, config: ReceiverConfig, now: float) -> bool:
        """Whether commits should no longer wait for a store that has been away for so long."""
        limit = config.fallback_after_seconds
        if config.rpo is not RecoveryPoint.ZERO or limit is None:
            return False
        return self.health.store_failing_for(now) >= limit


def _text(position: Lsn | None) -> str | None:
    return None if position is None else str(position)
