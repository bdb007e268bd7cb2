"""Jobs that restore: what they mount is brought first, and each ends in a day at the latest."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from kubernetes.client import V1Job

from postbase_operator.api.database import Database
from postbase_operator.api.project import Project
from postbase_operator.desired import images
from postbase_operator.errors import InvalidSpec
from postbase_operator.kube.apply import MANAGER, body_of
from postbase_operator.kube.cache import Cache
from postbase_operator.kube.kinds import JOB, PROJECT, Body
from postbase_operator.kube.refusals import AlreadyExists
from postbase_operator.kube.secrets import DatabaseSecrets
from postbase_operator.kube.session import Session
from postbase_operator.kube.stores import Stores
from postbase_operator.settings import Settings

DEADLINE_SECONDS = 24 * 3600


class RestoreJobs:
    """One for all Databases, whoever runs them."""

    def __init__(
        self, api: Session, cache: Cache, settings: Settings, now: Callable[[], datetime]
    ) -> None:
        self._api = api
        self._cache = cache
        self._settings = settings
        self._now = now
        self._stores = Stores(api, settings)

    def image(self, db: Database) -> str:
        """What the database runs by, as soon as that is known by its digest."""
        digest = db.status.image.digest if db.status.image is not None else None
        return digest if digest and "@sha256:" in digest else images.image(db, self._settings)

    async def bring_store(self, db: Database) -> None:
        project = self._cache.get(PROJECT, db.metadata.namespace, db.spec.project_ref.name)
        where = self._stores.source(Project.model_validate(project) if project else None)
        if where is None:
            raise InvalidSpec("spec.objectStore", "there is none", reason="NoObjectStore")
        secrets = DatabaseSecrets(self._api, db, self._now)
        await secrets.store(await self._stores.data(where))

    async def start(self, db: Database, job: V1Job) -> None:
        """By its name it is the same: one that is there is another operator's, or a lost answer."""
        try:
            made = await self._api.create(JOB, db.metadata.namespace, wire_of(job), MANAGER)
        except AlreadyExists:
            return
        self._cache.put(JOB, made)


def wire_of(job: V1Job) -> Body:
    wire = body_of(job)
    wire["spec"]["activeDeadlineSeconds"] = DEADLINE_SECONDS  # every wait ends
    return wire
