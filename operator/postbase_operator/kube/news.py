"""What of a change somebody reads: the rest wakes nobody. PURE."""

from __future__ import annotations

from collections.abc import Iterable

from postbase_operator.kube.kinds import (
    ACCOUNT,
    BACKUP,
    DATABASE,
    JOB,
    PERSISTENT_VOLUME_CLAIM,
    PITR_RESTORE,
    POD,
    PROJECT,
    STATEFUL_SET,
    Body,
    Kind,
)

RESOURCES = (PROJECT, DATABASE, BACKUP, PITR_RESTORE)
"""The custom resources that are watched; each event puts its own key into the queue."""
STATUS_IS_READ = (*RESOURCES, ACCOUNT, STATEFUL_SET, POD, JOB, PERSISTENT_VOLUME_CLAIM)
COUNTED = ("metadata.resourceVersion", "metadata.managedFields")


def is_news(kind: Kind, held: Body, now: Body, besides: Iterable[str] = ()) -> bool:
    """Whether anything changed that somebody reads. Our own writes come back as events of what the
    cache has already, and controllers count in statuses that nobody asks for.

    `besides`: fields that may differ, as `spec` or `metadata.labels`.
    """
    unread = () if kind in STATUS_IS_READ else ("status",)
    away = {*COUNTED, *unread, *besides}
    if "spec" in away:
        away.add("metadata.generation")
    return _without(held, away) != _without(now, away)


def _without(body: Body, away: set[str]) -> Body:
    rest = {key: value for key, value in body.items() if key not in away}
    for field in away:
        parent, _, key = field.partition(".")
        if key and isinstance(rest.get(parent), dict):
            rest[parent] = {k: v for k, v in rest[parent].items() if k != key}
    return rest
