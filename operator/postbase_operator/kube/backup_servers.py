"""The servers that backups are taken of, where they run in this cluster: platforms.BackingUp."""

from __future__ import annotations

from postbase_operator.api.database import Database
from postbase_operator.api.policies import BackupMethod
from postbase_operator.desired import meta, names
from postbase_operator.desired.images import image
from postbase_operator.errors import NotReady
from postbase_operator.kube import observe as observing
from postbase_operator.kube.admin import Admin
from postbase_operator.kube.cache import Cache
from postbase_operator.kube.kinds import POD
from postbase_operator.platforms import BackupRuns, BackupServer
from postbase_operator.settings import Settings


class BackupServers:
    """One for all Databases of the platform."""

    def __init__(self, cache: Cache, settings: Settings, admin: Admin) -> None:
        self._cache = cache
        self._settings = settings
        self._admin = admin

    async def server(self, db: Database, method: BackupMethod) -> BackupServer:  # noqa: ARG002
        """For each kind the same: a certificate opens it."""
        known = meta.names_of(db)
        pod = self._cache.get(POD, known.namespace, known.pod)
        address = observing.process(pod).address
        if not address:
            raise NotReady(f"pod {known.pod} has no address yet", retry_after=2.0)
        facts = await self._admin.describe(db, address)
        digest = db.status.image.digest if db.status.image is not None else None
        own = digest if digest and "@sha256:" in digest else image(db, self._settings)
        return BackupServer(host=known.host, port=names.PORT, image=own, facts=facts)

    def runs(self, db: Database) -> BackupRuns | None:  # noqa: ARG002
        return None
