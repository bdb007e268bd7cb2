"""The archives of Databases on Railway, without a cluster: the product's own, on a real store."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, cast

from postbase_operator.api.project import Project
from postbase_operator.kube.cache import Cache
from postbase_operator.kube.far_archives import FarArchives
from postbase_operator.kube.far_restores import FarRestores
from postbase_operator.kube.kinds import PROJECT as PROJECTS
from postbase_operator.kube.kinds import Body
from postbase_operator.kube.loads import Loads
from postbase_operator.kube.restore_jobs import RestoreJobs
from postbase_operator.kube.secret_data import encode
from postbase_operator.kube.session import Session
from postbase_operator.objectstore.settings import StoreConfig
from postbase_operator.settings import Settings

KEYS = "keys"


@dataclass
class Secrets:
    """As much of the API server as the store's keys take."""

    store: StoreConfig | None

    async def find(self, _: object, __: str, name: str) -> Body | None:
        if self.store is None or name != KEYS:
            return None
        data = {
            "AWS_ACCESS_KEY_ID": self.store.access_key_id.encode(),
            "AWS_SECRET_ACCESS_KEY": self.store.secret_access_key.encode(),
        }
        return {"metadata": {"name": name}, "data": encode(data)}


def archives(
    store: StoreConfig | None,
    project: Project,
    settings: Settings,
    now: Callable[[], datetime],
    cache: Cache | None = None,
) -> FarArchives:
    """`store` None: there is no object store."""
    cache = cache or Cache()
    cache.put(PROJECTS, project.to_wire())
    session = cast(Session, cast(Any, Secrets(store)))
    return FarArchives(session, cache, replace(settings, object_store=told(store)), now)


def restores(
    store: StoreConfig | None, settings: Settings, now: Callable[[], datetime], cache: Cache
) -> FarRestores:
    session = cast(Session, cast(Any, Secrets(store)))
    return FarRestores(session, cache, replace(settings, object_store=told(store)), now)


def loads(
    store: StoreConfig | None,
    settings: Settings,
    now: Callable[[], datetime],
    cache: Cache,
    api: Secrets | None = None,
) -> Loads:
    """`api`: more of the API server, where Jobs are to be made."""
    session = cast(Session, cast(Any, api or Secrets(store)))
    known = replace(settings, object_store=told(store))
    return Loads(session, cache, known, RestoreJobs(session, cache, known, now))


def told(store: StoreConfig | None) -> str:
    """As the chart's objectStore has it."""
    if store is None:
        return ""
    wire = {
        "bucket": store.bucket,
        "endpoint": store.endpoint,
        "pathStyle": store.path_style,
        "credentialsSecretRef": {"name": KEYS},
    }
    return json.dumps(wire)
