"""The watch cache: objects by what requests ask for, with what was just written on top.

Newer wins, by resourceVersion: a late answer to a write never hides what the watch has shown since,
and a UID that is gone stays gone. Lookups take the namespace of whoever asks: another tenant's
object cannot be found, so that there is nothing to check afterwards.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable

from postbase_operator.api.ids import uid_of
from postbase_operator.gateway.held import Held, version_of
from postbase_operator.kube.kinds import ACCOUNT, Body, Kind

REMEMBERED = 10_000
Group = tuple[Kind, str, str]
"""What one list is made of: kind, namespace, parent."""


class Index:
    """Fed by watches and by answers to writes; read by every request."""

    def __init__(self) -> None:
        self._places: dict[Kind, dict[tuple[str, str], Held]] = defaultdict(dict)
        self._uids: dict[str, Held] = {}
        self._groups: dict[Group, dict[str, Held]] = defaultdict(dict)
        self._sorted: dict[Group, list[Held]] = {}
        self._gone: dict[str, None] = {}
        self._accounts: dict[int, Held] = {}
        self._changed = asyncio.Event()

    # -- what is fed -----------------------------------------------------------------------------

    def put(self, kind: Kind, body: Body) -> Held:
        """Keeps the newer of what is held and what is given, and answers it."""
        uid, version = body["metadata"]["uid"], version_of(body)
        held = self._uids.get(uid)
        if held is not None and held.version > version:
            return held
        fresh = Held(kind, body)
        if uid in self._gone:  # also where a write met it in its last moment, later than we knew
            return fresh
        former = self._places[kind].get(fresh.place)
        if former is not None:
            self._remove(former)
        self._places[kind][fresh.place] = fresh
        self._uids[uid] = fresh
        self._group(fresh)[fresh.name] = fresh
        if kind is ACCOUNT and (github_id := (body.get("spec") or {}).get("githubId")):
            self._accounts[github_id] = fresh
        self._tell()
        return fresh

    def drop(self, body: Body) -> None:
        self._drop(body["metadata"]["uid"])

    def _drop(self, uid: str) -> None:
        self._gone[uid] = None
        if len(self._gone) > REMEMBERED:
            del self._gone[next(iter(self._gone))]
        held = self._uids.get(uid)
        if held is not None:
            self._remove(held)
            self._tell()

    def forget(self, held: Held) -> None:
        """Somebody saw that it is gone."""
        self._drop(held.uid)

    def replace(self, kind: Kind, bodies: Iterable[Body], listed_at: int) -> None:
        """Takes over a full listing; what it no longer shows is gone, unless it is younger."""
        present = {self.put(kind, body).uid for body in bodies}
        for held in [*self._places[kind].values()]:
            if held.uid not in present and held.version <= listed_at:
                self._drop(held.uid)

    def _remove(self, held: Held) -> None:
        if self._places[held.kind].get(held.place) is held:
            del self._places[held.kind][held.place]
        self._uids.pop(held.uid, None)
        group = self._group(held)
        if group.get(held.name) is held:
            del group[held.name]
        if held.kind is ACCOUNT:
            github_id = (held.body.get("spec") or {}).get("githubId")
            if github_id and self._accounts.get(github_id) is held:
                del self._accounts[github_id]

    def _group(self, held: Held) -> dict[str, Held]:
        key = (held.kind, held.namespace, held.parent)
        self._sorted.pop(key, None)
        return self._groups[key]

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    # -- what is asked ---------------------------------------------------------------------------

    def named(self, kind: Kind, namespace: str, name: str) -> Held | None:
        """By the object's own name."""
        return self._places[kind].get((namespace, name))

    def all(self, kind: Kind) -> list[Held]:
        return [*self._places[kind].values()]

    def under(self, kind: Kind, namespace: str, parent: str = "") -> list[Held]:
        """The newest first."""
        key = (kind, namespace, parent)
        found = self._sorted.get(key)
        if found is None:
            members = self._groups.get(key)
            if not members:
                return []
            found = sorted(members.values(), key=lambda held: held.order, reverse=True)
            self._sorted[key] = found
        return found

    def find(self, kind: Kind, namespace: str, key: str, parent: str | None = None) -> Held | None:
        """By id or by name, in the lists of this namespace and, where given, of this parent."""
        by_id = "_" in key  # no name has one
        held = self._by_id(kind, key) if by_id else self._by_name(kind, namespace, key, parent)
        if held is None or held.namespace != namespace or parent not in (None, held.parent):
            return None
        return held

    def _by_id(self, kind: Kind, public: str) -> Held | None:
        try:
            held = self._uids.get(uid_of(public))
        except ValueError:
            return None
        return held if held is not None and held.kind is kind and held.id == public else None

    def _by_name(self, kind: Kind, namespace: str, name: str, parent: str | None) -> Held | None:
        plain = self.named(kind, namespace, name)
        if plain is not None and plain.display == name and parent in (None, plain.parent):
            return plain
        members = self.under(kind, namespace, parent or "")
        return next((held for held in members if held.display == name), None)

    def account_of(self, github_id: int) -> Held | None:
        return self._accounts.get(github_id)

    async def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Waits for what the watches bring; False where it does not come in time."""
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    await self._changed.wait()
        except TimeoutError:
            return condition()
        return True
