"""A Backup's surroundings without a cluster: a cache, a store in memory, and no API server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from postbase_operator.api.backup import Backup
from postbase_operator.api.database import Database
from postbase_operator.api.project import Project
from postbase_operator.kube.backup_looks import BackupLooks
from postbase_operator.kube.cache import Cache
from postbase_operator.kube.kinds import BACKUP, DATABASE, PROJECT, Body, Kind
from postbase_operator.kube.session import Session
from postbase_operator.kube.stores import Source, Stores
from postbase_operator.objectstore.store import NotFound, ObjectInfo, ObjectStore
from postbase_operator.settings import Settings
from unit.conftest import NOW, database

SYSTEM = "7312345678901234567"
PROJECT_UID = "4b1e4f5c-0000-4000-8000-00000000000a"
SETTINGS = Settings(sidecar_image="postbase:1", object_store='{"bucket": "default"}')


@dataclass
class Memory:
    """What a Backup's handling asks of a store; `fault` is raised by whatever is asked."""

    objects: dict[str, bytes] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    aborted: list[str] = field(default_factory=list)
    fault: Exception | None = None

    def get(self, key: str) -> bytes:
        self._check()
        if key not in self.objects:
            raise NotFound(key)
        return self.objects[key]

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        self._check()
        for key in sorted(self.objects):
            if key.startswith(prefix):
                yield ObjectInfo(key, len(self.objects[key]), "", datetime.now(UTC))

    def delete(self, key: str) -> None:
        self._check()
        self.deleted.append(key)
        self.objects.pop(key, None)

    def delete_many(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.delete(key)

    def abort_orphans(self, prefix: str, older_than: timedelta) -> int:
        assert older_than == timedelta(0)
        self._check()
        self.aborted.append(prefix)
        return 0

    def _check(self) -> None:
        if self.fault is not None:
            raise self.fault


class OneStore(Stores):
    """Every configuration leads to the same one; `asked` tells which were used."""

    def __init__(self, memory: Memory) -> None:
        super().__init__(NO_SERVER, SETTINGS)
        self.memory = memory
        self.asked: list[Source] = []

    async def client(self, source: Source) -> ObjectStore:
        self.asked.append(source)
        return cast(ObjectStore, self.memory)


class Silent:
    """A session on which nothing may be asked."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the API server was asked: {name}")


NO_SERVER = cast(Session, Silent())


@dataclass
class World:
    cache: Cache = field(default_factory=Cache)
    memory: Memory = field(default_factory=Memory)

    def __post_init__(self) -> None:
        self.stores = OneStore(self.memory)
        self.looks = BackupLooks(NO_SERVER, self.cache, SETTINGS, self.stores, lambda: NOW)

    def hold(self, kind: Kind, made: Project | Database | Backup | Body) -> None:
        body = made if isinstance(made, dict) else made.to_wire()
        self.cache.put(kind, body)


def project(**spec: Any) -> Project:
    meta = {"name": "shop", "namespace": "team", "uid": PROJECT_UID}
    return Project.model_validate({"metadata": meta, "spec": spec})


def running_database(**status: Any) -> Database:
    told = {"phase": "Running", "systemId": SYSTEM} | status
    return Database.model_validate(database().to_wire() | {"status": told})


def world(*backups: Backup, db: Database | None = None, **spec: Any) -> World:
    """With a Project, its Database, and these Backups of it."""
    made = World()
    made.hold(PROJECT, project(**spec))
    made.hold(DATABASE, db or running_database())
    for each in backups:
        made.hold(BACKUP, each)
    return made
