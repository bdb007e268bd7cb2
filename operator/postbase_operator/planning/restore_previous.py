"""Which volume an undo brings back: the one that was replaced last. PURE."""

from __future__ import annotations

import math
from collections.abc import Sequence

from postbase_operator.api.pitr_restore import PitrRestore
from postbase_operator.planning.observed import Observed, Volume, VolumeRole


def previous(restore: PitrRestore, seen: Observed, others: Sequence[PitrRestore]) -> Volume | None:
    """The one that this undo has taken already, else the one that was replaced last.

    One that never held a finished database is none: it would begin empty. Where the last one's
    time is over no older one takes its place: that would be another state than was asked for.
    """
    there = [each for each in seen.volumes if not each.deleting and each.system_id]
    mine = [each for each in there if each.restore == restore.metadata.uid]
    if mine:
        return mine[0]
    left = [each for each in there if each.role is VolumeRole.PREVIOUS]
    told = _replaced_by(seen.current, others)
    if told:
        return next((each for each in left if each.name == told), None)
    return max(left, key=_left_at, default=None)


def _replaced_by(current: Volume | None, others: Sequence[PitrRestore]) -> str:
    """What the restore has noted that made the volume which serves; "" where it is not there."""
    for each in others:
        noted = each.status.previous_volume
        if current is not None and noted is not None and each.metadata.uid == current.restore:
            return noted.claim_name
    return ""


def _left_at(volume: Volume) -> float:
    """Until when it is kept: the last one most likely the longest."""
    return volume.delete_after.timestamp() if volume.delete_after is not None else math.inf
