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
from postbase_operator.kube.apply import body_of
from postbase_operator.kube.dry_runs import DryRuns, pod_of, run_of
from postbase_operator.kube.fills import Fills
from postbase_operator.kube.kinds import DATABASE, STATEFUL_SET, Body, Kind, kind_of
from postbase_operator.kube.loads import Loads
from postbase_operator.kube.restore_jobs import wire_of
from postbase_operator.kube.session import Session
from postbase_operator.planning import plan as steps
from postbase_operator.planning.observed import VolumeRole
from postbase_operator.planning.plan import Step
from postbase_operator.planning.restore_rehearsal import Rehearsal
from postbase_operator.planning.restore_seen import Rehearsed
from postbase_operator.settings import Settings


class Rehearsals:
    """One for all Databases."""

    def __init__(self, api: Session, settings: Settings, fills: Fills, loads: Loads) -> None:
        self._dry_runs = DryRuns(api, settings)
        self._settings = settings
        self._fills = fills
        self._loads = loads

    async def ask(self, wanted: Rehearsal) -> Rehearsed:
        """The first refusal. Raises Unavailable, and Conflict where our own view is old."""
        bodies = self._bodies(wanted.db, wanted.todo)
        return await self._dry_runs.ask(wanted.db.metadata.namespace, bodies)

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
                    yield from run_of(wire_of(self._fills.job(db, replace(step, volume=claim))))
                case steps.LoadBackup():
                    here = self._loads.here(db)
                    yield from run_of(wire_of(self._loads.job(db, step, here)))
                case steps.ApplyWorkload():
                    image = images.image(db, self._settings)
                    for each in workload.objects(db, claim, "", image, self._settings):
                        kind, body = _as_is(each)
                        if kind is STATEFUL_SET:
                            yield pod_of(f"{body['metadata']['name']}-0", body)


def _as_is(model: BaseModel) -> tuple[Kind, Body]:
    body = body_of(model)
    return kind_of(body), body
