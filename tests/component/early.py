"""A receiver that does what ours must never do: it acknowledges what it has only received."""

from __future__ import annotations

from postbase_operator.wal.lsn import Lsn
from postbase_operator.wal.receiver import Receiver
from postbase_operator.wal.streaming import Streaming


class EarlyStreaming(Streaming):
    @property
    def acknowledged(self) -> Lsn:
        return self._cutter.position


class EarlyReceiver(Receiver):
    streaming = EarlyStreaming
