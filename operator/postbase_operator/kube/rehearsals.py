"""What the API server would say to a restore: all that it makes first, created with `dryRun: All`.

Quota, limits, admission and validation are asked as for the real objects. A Job's pods and a
StatefulSet's are asked for by themselves: whoever is against them says so only to their controller.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from pydantic import BaseModel

from postbase_operator.api.database import Database
from postbase_operator.desired import images, meta, volume, workload
from postbase_operator.errors import Denied
from postbase_operator.kube.apply import MANAGER, body_of
from postbase_operator.kube.fills import Fills
from postbase_operator.kube.kinds import (
    DATABASE,
    JOB,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    STATEFUL_SET,
    STORAGE_CLASS,
    Body,
    Kind,
    kind_of,
)
from postbase_operator.kube.loads import Loads
from postbase_operator.kube.refusals import AlreadyExists, NotFound, QuotaExceeded, Refused
from postbase_operator.kube.restore_jobs import wire_of
from postbase_operator.kube.session import Session
from postbase_operator.planning import plan as steps
from postbase_operator.planning.observed import VolumeRole
from postbase_operator.planning.plan import Step
from postbase_operator.planning.restore_rehearsal import Rehearsal
from postbase_operator.planning.restore_seen import ADMITTED, Rehearsed
from postbase_operator.settings import Settings

NO_RIGHT = "cannot create resource"
"""RBAC's words, which admission never uses: it is the operator that may not, not the object."""
NO_DRY_RUN = "does not support dry run"
"""An admission webhook's that cannot be asked beforehand."""


class Rehearsals:
    """One for all Databases."""

    def __init__(self, api: Session, settings: Settings, fills: Fills, loads: Loads) -> None:
        self._api = api
        self._settings = settings
        self._fills = fills
        self._loads = loads

    async def ask(self, wanted: Rehearsal) -> Rehearsed:
        """The first refusal. Raises Unavailable, and Conflict where our own view is old."""
        unknown = ""
        for kind, body in self._bodies(wanted.db, wanted.todo):
            said = await self._say(wanted.db.metadata.namespace, kind, body)
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

    def _bodies(self, db: Database, todo: Sequence[Step]) -> Iterator[tuple[Kind, Body]]:
        claim = ""
        for step in todo:
            match step:
                case steps.CreateDatabase(made):
                    wire = made.to_wire()
                    wire.pop("status", None)
                    yield DATABASE, wire
                case steps.CreateVolume(generation, restore):
                    claim = meta.names_of(db).volume(generation)
                    role = VolumeRole.FILLING if restore else VolumeRole.CURRENT
                    yield _as_is(volume.claim(db, generation, role.value, restore))
                case steps.FillVolume():
                    yield from _run(wire_of(self._fills.job(db, replace(step, volume=claim))))
                case steps.LoadBackup():
                    yield from _run(wire_of(self._loads.job(db, step)))
                case steps.ApplyWorkload():
                    image = images.image(db, self._settings)
                    for each in workload.objects(db, claim, "", image, self._settings):
                        kind, body = _as_is(each)
                        if kind is STATEFUL_SET:
                            yield _pod(f"{body['metadata']['name']}-0", body)


def _as_is(model: BaseModel) -> tuple[Kind, Body]:
    body = body_of(model)
    return kind_of(body), body


def _run(job: Body) -> Iterator[tuple[Kind, Body]]:
    """Without its owner, which may not be there yet, and is nobody's ground for a refusal."""
    job["metadata"].pop("ownerReferences", None)
    yield JOB, job
    yield _pod(job["metadata"]["name"], job)


def _pod(name: str, owner: Body) -> tuple[Kind, Body]:
    template = owner["spec"]["template"]
    metadata = {**template["metadata"], "name": name}
    return POD, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
