"""Objects that are shown to the API server with `dryRun: All`.

Quota, limits, admission and validation are asked as for real ones, and nothing is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from postbase_operator.errors import Denied
from postbase_operator.kube.apply import MANAGER
from postbase_operator.kube.kinds import (
    JOB,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    STORAGE_CLASS,
    Body,
    Kind,
)
from postbase_operator.kube.refusals import AlreadyExists, NotFound, QuotaExceeded, Refused
from postbase_operator.kube.session import Session
from postbase_operator.planning.restore_seen import ADMITTED, Rehearsed
from postbase_operator.settings import Settings

NO_RIGHT = "cannot create resource"
"""RBAC's words, which admission never uses: it is the operator that may not, not the object."""
NO_DRY_RUN = "does not support dry run"
"""An admission webhook's that cannot be asked beforehand."""


class DryRuns:
    """One for all Databases."""

    def __init__(self, api: Session, settings: Settings) -> None:
        self._api = api
        self._settings = settings

    async def ask(self, namespace: str, bodies: Iterable[tuple[Kind, Body]]) -> Rehearsed:
        """The first refusal. Raises Unavailable, and Conflict where our own view is old."""
        unknown = ""
        for kind, body in bodies:
            said = await self._say(namespace, kind, body)
            if said.reason:
                return said
            unknown = unknown or said.unknown
        return replace(ADMITTED, unknown=unknown)

    async def _say(self, namespace: str, kind: Kind, body: Body) -> Rehearsed:
        if kind is PERSISTENT_VOLUME_CLAIM and (why := await self._no_class(body)):
            return Rehearsed("StorageClassNotFound", why)
        try:
            await self._api.create(kind, namespace, body, MANAGER, dry_run=True)
        except AlreadyExists as error:
            if kind is PERSISTENT_VOLUME_CLAIM:
                return Rehearsed("VolumeExists", str(error))
            raise
        except QuotaExceeded as error:
            return Rehearsed("QuotaExceeded", str(error))
        except (Denied, Refused) as error:
            why = str(error)
            if NO_RIGHT in why or NO_DRY_RUN in why:
                return replace(ADMITTED, unknown=why)
            return Rehearsed("NotAdmitted" if isinstance(error, Denied) else "Refused", why)
        return ADMITTED

    async def _no_class(self, claim: Body) -> str:
        """The server takes a claim of a class that is not there, and nobody ever serves it."""
        name = claim["spec"].get("storageClassName")
        if name and not self._settings.watch_namespaces:  # else there is no right to look
            try:
                await self._api.get(STORAGE_CLASS, None, name)
            except NotFound as error:
                return str(error)
        return ""


def run_of(job: Body) -> Iterator[tuple[Kind, Body]]:
    """A Job and its pod. Without its owner, which may not be there yet, and is nobody's ground for
    a refusal."""
    job["metadata"].pop("ownerReferences", None)
    yield JOB, job
    yield pod_of(job["metadata"]["name"], job)


def pod_of(name: str, owner: Body) -> tuple[Kind, Body]:
    """Whoever is against a pod says so only to its controller: it is asked for by itself."""
    template = owner["spec"]["template"]
    metadata = {**template["metadata"], "name": name}
    return POD, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
