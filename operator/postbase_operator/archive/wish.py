"""What is wanted of a Database's archiving: by the sidecar, and by its server. PURE."""

from __future__ import annotations

from dataclasses import dataclass

from postbase_operator.archive.receiver import ReceiverConfig

OFF = ReceiverConfig()


@dataclass(frozen=True, slots=True)
class ArchivingWish:
    """`synchronous`: each commit waits until the receiver has it in the archive."""

    receiver: ReceiverConfig = OFF
    synchronous: bool = False


NOTHING = ArchivingWish()
