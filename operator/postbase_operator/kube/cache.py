"""What the watches have shown: a plain dictionary, fed by kopf's events, read by observe().

Trimmed of what nobody reads (managedFields), because a fleet's worth of them is most of the
memory. kopf loses deletes in a watch gap; `replace` drops the ghosts that a fresh listing no
longer shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from postbase_operator.desired.names import LABEL_DATABASE
from postbase_operator.kube.kinds import BACKUP, PITR_RESTORE, Body, Kind
from postbase_operator.kube.news import is_news

Place = tuple[str, str]  # namespace, name
REMEMBERED = 10_000


class Cache:
    """Objects by kind, namespace and name; children and runs also by their Database."""

    def __init__(self) -> None:
        self._objects: dict[Kind, dict[Place, Body]] = {}
        self._children: dict[Kind, dict[Place, set[str]]] = {}
        self.surprised: Callable[[Kind, Body], None] = lambda *_: None
        """Told of what the answer to a write of ours has brought by the way."""
        self._gone: dict[str, int] = {}  # UID -> resourceVersion of its end, the latest last

    def put(self, kind: Kind, body: Body) -> None:
        """Keeps the newer of what is held and what is given: events can be older than a write."""
        if self._gone.get(_uid(body), -1) >= _version(body):
            # The answer to our own last write, come after the event of the end that it caused.
            return
        place = place_of(body)
        held = self._objects.setdefault(kind, {}).get(place)
        if held is not None and _version(held) > _version(body) and _uid(held) == _uid(body):
            return
        trimmed = {**body, "apiVersion": kind.api_version, "kind": kind.kind}
        trimmed["metadata"] = {k: v for k, v in body["metadata"].items() if k != "managedFields"}
        self._forget_owner(kind, held)
        self._objects[kind][place] = trimmed
        owner = database_of(trimmed)
        if owner is not None:
            self._children.setdefault(kind, {}).setdefault(owner, set()).add(place[1])

    def answered(self, kind: Kind, body: Body, *wrote: str) -> None:
        """Keeps the answer to a write of ours, of the fields `wrote` (as in news.is_news).

        What else is new in it has been written by others a moment before. Their event is older than
        this and will be taken for an echo: an edit of the spec that met the write of a status was
        once not looked at until the resync.
        """
        held = self.get(kind, *place_of(body))
        self.put(kind, body)
        now = self.get(kind, *place_of(body))
        if held is None or now is None or _uid(held) != _uid(now):
            return
        if is_news(kind, held, now, wrote):
            self.surprised(kind, now)

    def drop(self, kind: Kind, body: Body) -> None:
        """Deleted, or no longer shown by the watch's selector: it may come back newer."""
        self._gone[_uid(body)] = _version(body)
        if len(self._gone) > REMEMBERED:
            del self._gone[next(iter(self._gone))]
        place = place_of(body)
        held = self._objects.get(kind, {}).get(place)
        if held is None or _uid(held) != _uid(body):  # a newer object already bears the name
            return
        del self._objects[kind][place]
        self._forget_owner(kind, held)

    def _forget_owner(self, kind: Kind, held: Body | None) -> None:
        owner = database_of(held) if held is not None else None
        if held is not None and owner is not None:
            self._children.get(kind, {}).get(owner, set()).discard(place_of(held)[1])

    def replace(self, kind: Kind, bodies: Iterable[Body], listed_at: int) -> list[Body]:
        """Takes over a full listing; returns the ghosts that it dropped."""
        listed = list(bodies)
        ghosts = self.bury(kind, listed, listed_at)
        for body in listed:
            self.put(kind, body)
        return ghosts

    def bury(self, kind: Kind, listed: Iterable[Body], listed_at: int) -> list[Body]:
        """Drops the ghosts that a full listing does not show, and returns them.

        `listed_at` is the listing's own resourceVersion: an object that an event brought later
        than that is no ghost for not being in it.
        """
        present = {place_of(body) for body in listed}
        ghosts = [
            body
            for place, body in self._objects.get(kind, {}).items()
            if place not in present and _version(body) <= listed_at
        ]
        for ghost in ghosts:
            self.drop(kind, ghost)
        return ghosts

    def get(self, kind: Kind, namespace: str, name: str) -> Body | None:
        return self._objects.get(kind, {}).get((namespace, name))

    def all(self, kind: Kind) -> Iterator[Body]:
        yield from list(self._objects.get(kind, {}).values())

    def children(self, kind: Kind, namespace: str, database: str) -> list[Body]:
        names = self._children.get(kind, {}).get((namespace, database), set())
        return [self._objects[kind][namespace, name] for name in sorted(names)]


def place_of(body: Body) -> Place:
    meta = body["metadata"]
    return meta.get("namespace", ""), meta["name"]


RUNS = (BACKUP.kind, PITR_RESTORE.kind)


def database_of(body: Body) -> Place | None:
    """The Database that a child says it belongs to, by its label; that a run names, in its spec."""
    meta = body["metadata"]
    if body["kind"] in RUNS:
        return meta.get("namespace", ""), body["spec"]["databaseRef"]["name"]
    name = (meta.get("labels") or {}).get(LABEL_DATABASE)
    return None if name is None else (meta.get("namespace", ""), name)


def _uid(body: Body) -> str:
    return str(body["metadata"].get("uid", ""))


def _version(body: Body) -> int:
    """For one resource type, resourceVersions rise with time (Kubernetes API concepts, 1.35); a
    server that writes them otherwise gets 0, and the last event wins."""
    raw = str(body["metadata"].get("resourceVersion", "0"))
    return int(raw) if raw.isdigit() else 0
