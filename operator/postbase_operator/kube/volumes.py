"""The volumes of a Database: PersistentVolumeClaims that know by their annotations whose they are.

They have no owner reference: a volume goes by deletionPolicy, never by garbage collection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from postbase_operator.api.database import Database
from postbase_operator.desired import names, volume
from postbase_operator.desired.fill_job import claim_of, fills
from postbase_operator.errors import Denied, InvalidSpec, NotReady
from postbase_operator.kube import observe as observing
from postbase_operator.kube.apply import MANAGER, body_of
from postbase_operator.kube.cache import Cache
from postbase_operator.kube.kinds import (
    DATABASE,
    JOB,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    Body,
)
from postbase_operator.kube.refusals import AlreadyExists, NotFound
from postbase_operator.kube.session import Session
from postbase_operator.planning import plan as steps
from postbase_operator.planning.observed import Volume, VolumeRole

CLAIM = PERSISTENT_VOLUME_CLAIM
VolumeStep = (
    steps.CreateVolume
    | steps.PromoteVolume
    | steps.FailVolume
    | steps.EndFill
    | steps.AdoptVolume
    | steps.LabelVolume
    | steps.GrowVolume
    | steps.RecordOrigin
    | steps.BeginUpgrade
)


class Volumes:
    """Finds, makes, adopts, grows and deletes claims."""

    def __init__(self, api: Session, cache: Cache) -> None:
        self._api = api
        self._cache = cache

    async def find(self, db: Database) -> tuple[tuple[Volume, ...], tuple[str, ...]]:
        """This Database's volumes, and the names of those of an earlier one of its name."""
        namespace, name = db.metadata.namespace, db.metadata.name
        claims = self._cache.children(CLAIM, namespace, name)
        if not _own(claims, db):
            # The one decision that must not rest on a cache: an empty one would make a second,
            # empty database beside the first.
            claims = await self._listed(db)
        told = db.status.volume.claim_name if db.status.volume is not None else None
        if not _own(claims, db) and told:
            known = await self._api.find(CLAIM, namespace, told)  # nor on a label that was edited
            claims += [known] if known is not None else []
        own, foreign = observing.volumes(claims, db.metadata.uid)
        labels = {each["metadata"]["name"]: each["metadata"].get("labels") or {} for each in claims}
        marked = (replace(each, labelled=_is_labelled(labels[each.name], db)) for each in own)
        return tuple(marked), foreign

    async def _listed(self, db: Database) -> list[Body]:
        selector = f"{names.LABEL_DATABASE}={db.metadata.name}"
        return (await self._api.list(CLAIM, db.metadata.namespace, selector)).items

    async def take(self, db: Database, step: VolumeStep) -> None:
        match step:
            case steps.CreateVolume(generation, restore):
                await self.create(db, generation, restore)
            case steps.PromoteVolume():
                await self.promote(db, step)
            case steps.FailVolume(name):
                await self._drop(db, name)
            case steps.EndFill(run):
                await self._end_fills(db, lambda name: name == run)
            case steps.AdoptVolume(name):
                await self.adopt(db, name)
            case steps.LabelVolume(name):
                await self._patch(db, name, {"metadata": {"labels": _labels(db)}})
            case steps.GrowVolume(name):
                request = {"requests": {"storage": db.spec.storage.size}}
                await self._patch(db, name, {"spec": {"resources": request}})
            case steps.BeginUpgrade(name, request, process):
                noted = {
                    names.ANNOTATION_UPGRADE: request,
                    names.ANNOTATION_UPGRADING: process,
                }
                await self._patch(db, name, {"metadata": {"annotations": noted}})
            case steps.RecordOrigin():
                await self._record(db, step)

    async def _record(self, db: Database, step: steps.RecordOrigin) -> None:
        facts = {
            names.ANNOTATION_SYSTEM_ID: step.system_id,
            names.ANNOTATION_IMAGE: step.image,
            names.ANNOTATION_IMAGE_TAG: step.tag,
            names.ANNOTATION_KEPT: await self._keep(db, step.volume) if step.keep else "",
        }
        known: dict[str, str | None] = {key: text for key, text in facts.items() if text}
        if step.image:
            known[names.ANNOTATION_UPGRADING] = None
        await self._patch(db, step.volume, {"metadata": {"annotations": known}})

    async def create(self, db: Database, generation: int, restore: str = "") -> None:
        """By POST: an apply would quietly take over a claim that somebody else left there."""
        role = VolumeRole.FILLING if restore else VolumeRole.CURRENT
        body = body_of(volume.claim(db, generation, role.value, restore))
        namespace, name = db.metadata.namespace, body["metadata"]["name"]
        try:
            made = await self._api.create(CLAIM, namespace, body, MANAGER)
        except AlreadyExists as error:
            made = await self._api.get(CLAIM, namespace, name)
            if observing.annotation(made, names.ANNOTATION_DATABASE_UID) != db.metadata.uid:
                raise InvalidSpec(
                    "metadata.name",
                    f"a volume claim {name} is already there and not this Database's; delete it, "
                    "or rename the Database",
                    reason="VolumeExists",
                ) from error
        self._cache.put(CLAIM, made)

    async def promote(self, db: Database, step: steps.PromoteVolume) -> None:
        """Ours first, then the others: see PromoteVolume. Conditional on what is read here."""
        claims = {each["metadata"]["name"]: each for each in await self._of(db)}
        ours = claims.get(step.volume)
        if ours is None or "deletionTimestamp" in ours["metadata"] or _is_failed(ours):
            raise NotReady(f"volume {step.volume} is gone, or going", retry_after=2.0)
        former = [
            each
            for name, each in claims.items()
            if name != step.volume
            and observing.annotation(each, names.ANNOTATION_VOLUME_ROLE) == VolumeRole.CURRENT.value
        ]
        known: dict[str, str | None] = {
            names.ANNOTATION_VOLUME_ROLE: VolumeRole.CURRENT.value,
            names.ANNOTATION_SYSTEM_ID: step.system_id,
            names.ANNOTATION_RESTORE: step.restore,
            names.ANNOTATION_DELETE_AFTER: None,
        }
        for name in (names.ANNOTATION_IMAGE, names.ANNOTATION_IMAGE_TAG) if former else ():
            known[name] = observing.annotation(former[-1], name) or None
        version = ours["metadata"]["resourceVersion"]
        await self._patch(
            db, step.volume, {"metadata": {"resourceVersion": version, "annotations": known}}
        )
        until = step.keep_until.isoformat(timespec="seconds") if step.keep_until else None
        left = {
            names.ANNOTATION_VOLUME_ROLE: VolumeRole.PREVIOUS.value,
            names.ANNOTATION_DELETE_AFTER: until,
        }
        for each in former:
            await self._patch(db, each["metadata"]["name"], {"metadata": {"annotations": left}})
        await self._end_fills(db, lambda job: claim_of(job) == step.volume)

    async def _drop(self, db: Database, name: str) -> None:
        """One that never served."""
        for claim in await self._of(db):
            role = observing.annotation(claim, names.ANNOTATION_VOLUME_ROLE)
            if claim["metadata"]["name"] == name and role == VolumeRole.FILLING.value:
                await self._end_fills(db, lambda job: claim_of(job) == name)
                await self.give_up(claim)

    async def drop_filling(self, db: Database) -> None:
        """What was being filled for a Database that goes is nobody's data yet."""
        for claim in await self._of(db):
            if "deletionTimestamp" not in claim["metadata"]:
                await self._drop(db, claim["metadata"]["name"])

    async def _end_fills(self, db: Database, meant: Callable[[str], bool]) -> None:
        """Jobs by their names, before their volume: while their pods are there it cannot go."""
        for job in self._cache.children(JOB, db.metadata.namespace, db.metadata.name):
            metadata = job["metadata"]
            if fills(metadata) and meant(metadata["name"]) and "deletionTimestamp" not in metadata:
                uid = metadata["uid"]
                await self._api.delete(JOB, db.metadata.namespace, metadata["name"], uid)

    async def adoptable(self, db: Database, name: str) -> tuple[Volume | None, str]:
        """The claim that spec.adoptVolume names, and the Database that still has it ("": none)."""
        live = await self._api.find(CLAIM, db.metadata.namespace, name)
        if live is None:
            return None, ""
        found = observing.volume(live)
        former = names.LABEL_DATABASE
        label = (live["metadata"].get("labels") or {}).get(former, "")
        owner = await self._api.find(DATABASE, db.metadata.namespace, label) if label else None
        in_use = owner is not None and owner["metadata"]["uid"] == found.database_uid
        return found, label if in_use else ""

    async def adopt(self, db: Database, name: str) -> None:
        """Conditional on what is read here: of two that adopt at once one fails and looks again."""
        live = await self._api.get(CLAIM, db.metadata.namespace, name)
        if _is_failed(live):
            raise NotReady(f"volume {name} is being cleared up", retry_after=2.0)
        patch: Body = {
            "metadata": {
                "resourceVersion": live["metadata"]["resourceVersion"],
                "labels": _labels(db),
                "annotations": {
                    names.ANNOTATION_DELETE_AFTER: None,
                    names.ANNOTATION_DATABASE_UID: db.metadata.uid,
                    names.ANNOTATION_VOLUME_ROLE: VolumeRole.CURRENT.value,
                },
            }
        }
        await self._patch(db, name, patch)

    async def _keep(self, db: Database, name: str) -> str:
        """The claim may be deleted with its namespace: what it stands for must not be.

        Answers how it went: an installation for listed namespaces has no right to volumes.
        """
        live = self._cache.get(CLAIM, db.metadata.namespace, name)
        volume_name = live["spec"].get("volumeName") if live is not None else None
        if not volume_name:
            return ""
        try:
            await self._set_reclaim_policy(volume_name, "Retain")
        except Denied:
            return "denied"
        return "Retain"

    async def _set_reclaim_policy(self, volume_name: str, policy: str) -> None:
        patch: Body = {"spec": {"persistentVolumeReclaimPolicy": policy}}
        await self._api.merge(PERSISTENT_VOLUME, None, volume_name, patch, MANAGER)

    async def _patch(self, db: Database, name: str, patch: Body) -> None:
        live = await self._api.merge(CLAIM, db.metadata.namespace, name, patch, MANAGER)
        wrote = (f"{part}.{field}" for part, fields in patch.items() for field in fields)
        self._cache.answered(CLAIM, live, *wrote)

    async def leave(self, db: Database, until: datetime) -> None:
        """Those of this very Database stay, marked for whoever clears up after that."""
        mark: Body = {names.ANNOTATION_DELETE_AFTER: until.isoformat(timespec="seconds")}
        for claim in await self._of(db):
            if not observing.annotation(claim, names.ANNOTATION_DELETE_AFTER):
                name = claim["metadata"]["name"]
                await self._patch(db, name, {"metadata": {"annotations": mark}})

    async def delete_all(self, db: Database) -> None:
        """Those of this very Database, by its UID; they go once nothing mounts them."""
        for claim in await self._of(db):
            await self.delete(claim)

    async def give_up(self, claim: Body) -> None:
        """Deletes a claim as it was read. Conflict where somebody has adopted it meanwhile: the
        mark comes first, and whoever adopts looks at it."""
        metadata = claim["metadata"]
        mark: Body = {
            "metadata": {
                "resourceVersion": metadata["resourceVersion"],
                "annotations": {names.ANNOTATION_VOLUME_ROLE: VolumeRole.FAILED.value},
            }
        }
        await self._api.merge(CLAIM, metadata["namespace"], metadata["name"], mark, MANAGER)
        await self.delete(claim)

    async def delete(self, claim: Body) -> None:
        """The claim and, where it was to be kept until now, the volume behind it."""
        metadata = claim["metadata"]
        if observing.annotation(claim, names.ANNOTATION_KEPT) == "Retain":
            with suppress(NotFound):  # a volume that is gone must not keep its claim
                await self._set_reclaim_policy(claim["spec"]["volumeName"], "Delete")
        await self._api.delete(CLAIM, metadata["namespace"], metadata["name"], metadata["uid"])

    async def _of(self, db: Database) -> list[Body]:
        return [
            claim
            for claim in await self._listed(db)
            if observing.annotation(claim, names.ANNOTATION_DATABASE_UID) == db.metadata.uid
        ]


def _is_failed(claim: Body) -> bool:
    role = observing.annotation(claim, names.ANNOTATION_VOLUME_ROLE)
    return role == VolumeRole.FAILED.value


def _own(claims: Iterable[Body], db: Database) -> bool:
    return bool(observing.volumes(claims, db.metadata.uid)[0])


def _labels(db: Database) -> dict[str, str | None]:
    """As a merge patch has them: None takes one away."""
    return {names.LABEL_PROTECTED: None, **volume.labels(db)}


def _is_labelled(held: dict[str, str], db: Database) -> bool:
    return all(held.get(name) == value for name, value in _labels(db).items())
