"""Whose turn it is of the restores in place of one Database: one at a time. PURE."""

from __future__ import annotations

from collections.abc import Sequence

from postbase_operator.api.pitr_restore import PitrRestore
from postbase_operator.api.restore_status import RestoreStep


def before(restore: PitrRestore, others: Sequence[PitrRestore]) -> str:
    """The restore whose turn it is, where that is another: one at a time, the eldest first.

    What goes into a new Database waits for nobody. And an undo does not wait for what it undoes: a
    restored volume on which PostgreSQL does not come up would never be left again.
    """
    if restore.spec.target.in_place is None:
        return ""
    mine = restore.metadata.name
    waiting = [each for each in others if _takes_a_turn(each) and each.metadata.name != mine]
    waiting.append(restore)

    def order(each: PitrRestore) -> tuple[bool, bool, float, str]:
        undone = _is_switching(each) and any(_undoes(other, each) for other in waiting)
        return (undone, each.status.plan is None, _made(each), each.metadata.name)

    first = min(waiting, key=order)
    return "" if first.metadata.name == mine else first.metadata.name


def _takes_a_turn(restore: PitrRestore) -> bool:
    in_place = restore.spec.target.in_place is not None
    return in_place and not restore.is_done() and not restore.spec.dry_run


def _is_switching(restore: PitrRestore) -> bool:
    progress = restore.status.progress
    return progress is not None and progress.step is RestoreStep.SWITCHING


def _undoes(undo: PitrRestore, other: PitrRestore) -> bool:
    """It was made while the other one was under way."""
    if undo.spec.source.previous is None or undo.metadata.name == other.metadata.name:
        return False
    return _made(undo) >= _made(other)


def _made(restore: PitrRestore) -> float:
    made = restore.metadata.creation_timestamp
    return made.timestamp() if made else 0.0
