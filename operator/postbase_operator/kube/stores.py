"""Which object store a Database's backups go to: the Project's own, else the installation's.

Jobs read it from a Secret beside the Database, which we keep a copy of the sources: a pod mounts
Secrets of its own namespace only. The operator itself uses the sources.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass

from postbase_operator.api.project import ObjectStore as Wanted
from postbase_operator.api.project import Project
from postbase_operator.errors import InvalidSpec
from postbase_operator.kube.kinds import SECRET
from postbase_operator.kube.secret_data import decode
from postbase_operator.kube.session import Session
from postbase_operator.objectstore.settings import CA_CRT, KEYS, STORE_JSON, StoreConfig
from postbase_operator.objectstore.store import ObjectStore
from postbase_operator.settings import Settings

READ_AGAIN = 45.0
"""Seconds for which the sources count as read."""


@dataclass(frozen=True, slots=True)
class Source:
    """A configuration, and the namespace of the Secrets that it names."""

    wanted: Wanted
    namespace: str
    field: str


class Stores:
    """Configurations and clients of stores, by what they are asked for."""

    def __init__(self, api: Session, settings: Settings) -> None:
        self._api = api
        self._settings = settings
        self._default = _parsed(settings.object_store)
        self._read: dict[Source, tuple[float, dict[str, bytes]]] = {}
        self._clients: dict[StoreConfig, ObjectStore] = {}

    def source(self, project: Project | None) -> Source | None:
        """None where there is no store at all."""
        if project is not None and project.spec.object_store is not None:
            namespace = project.metadata.namespace
            return Source(project.spec.object_store, namespace, "spec.objectStore")
        if self._default is None:
            return None
        return Source(self._default, self._settings.operator_namespace, "objectStore")

    async def data(self, source: Source) -> dict[str, bytes]:
        """What the Secret of a Database's Jobs holds. Raises InvalidSpec naming what is missing."""
        at, held = self._read.get(source, (-READ_AGAIN, {}))
        if time.monotonic() - at < READ_AGAIN:
            return held
        wire = source.wanted.to_wire()
        data = {STORE_JSON: json.dumps(wire, sort_keys=True).encode()}
        keys, ca = source.wanted.credentials_secret_ref, source.wanted.ca_secret_ref
        if keys is not None:
            field = f"{source.field}.credentialsSecretRef"
            found = await self._secret(source.namespace, keys.name, field)
            data |= {key: value for key, value in found.items() if key in KEYS}
        if ca is not None:
            field = f"{source.field}.caSecretRef"
            found = await self._secret(source.namespace, ca.name, field)
            if ca.key not in found:
                raise InvalidSpec(field, f"Secret {ca.name!r} has no key {ca.key}")
            data[CA_CRT] = found[ca.key]
        self._read[source] = (time.monotonic(), data)
        return data

    async def client(self, source: Source) -> ObjectStore:
        """For threads: its methods block."""
        data = await self.data(source)
        config = StoreConfig.from_mapping({key: value.decode() for key, value in data.items()})
        if config not in self._clients:
            own = source.wanted is self._default and self._settings.create_bucket
            self._clients[config] = await asyncio.to_thread(_client, config, make=own)
        return self._clients[config]

    async def _secret(self, namespace: str, name: str, field: str) -> dict[str, bytes]:
        live = await self._api.find(SECRET, namespace, name)
        if live is None:
            raise InvalidSpec(
                field, f"there is no Secret {name!r} in {namespace}", reason="SecretNotFound"
            )
        return decode(live)


def _client(config: StoreConfig, *, make: bool) -> ObjectStore:
    """Imported here: its libraries take 40 MB, and an operator without a store needs none."""
    from postbase_operator.objectstore.bucket import make_bucket
    from postbase_operator.objectstore.s3 import S3Store

    if make:
        make_bucket(config)
    return S3Store(lambda: config)


def _parsed(text: str) -> Wanted | None:
    """Raises InvalidSpec for what is no spec.objectStore."""
    if not text:
        return None
    try:
        return Wanted.model_validate_json(text)
    except ValueError as error:
        raise InvalidSpec("POSTBASE_OBJECT_STORE", str(error)) from error
