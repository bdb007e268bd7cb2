"""From what Railway shows to what the planner knows. PURE.

What a Database must remember stands on Railway, where it survives the operator and the cluster's
status, which a person may delete: whose a service is, what it is to its Database and whose data is
on its volume are variables of the service (MARKER, fill_service.ROLE and its like); whose a volume
is that has lost its service is in its name. Of the image only the tag is known, since Railway tells
no digest of what it runs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from postbase_operator.api.database import Database
from postbase_operator.api.database_status import RailwayCost, RailwayStatus
from postbase_operator.errors import InvalidSpec
from postbase_operator.planning.observed import Process, ProcessState, Volume, VolumeRole
from postbase_operator.railway import fill_service, services
from postbase_operator.railway.generations import Family, Part
from postbase_operator.railway.graphql.deployments import Deployment, Standing
from postbase_operator.railway.graphql.models import (
    EnvironmentState,
    Limits,
    ServiceInstance,
    TcpProxy,
    VolumeInstance,
)
from postbase_operator.railway.graphql.reads import Place
from postbase_operator.railway.plans import MB

STATES = {
    Standing.COMING: ProcessState.STARTING,
    Standing.FAILED: ProcessState.FAILED,
    Standing.GONE: ProcessState.STOPPING,
    Standing.STOPPED: ProcessState.ABSENT,
}


def volume_name(service_name: str, volume_id: str) -> str:
    """It tells of the Database when the service, with the marker, is gone. With a part of its own
    id, as a volume that is being deleted holds its name for 48 hours."""
    return f"{service_name}-{volume_id[:8]}"


def part_name(service_name: str, volume_id: str) -> str:
    """Of a volume that is left before it was whole: nothing is lost with it."""
    return f"{volume_name(service_name, volume_id)}-part"


def parts_of_volumes(state: EnvironmentState, service_name: str) -> tuple[VolumeInstance, ...]:
    return tuple(
        each
        for each in state.volumes
        if not each.gone and each.volume.name == part_name(service_name, each.volume_id)
    )


def is_gone(state: EnvironmentState, volume_id: str) -> bool:
    """It is shown, as one that was deleted."""
    found = [each for each in state.volumes if each.volume_id == volume_id]
    return bool(found) and all(each.gone for each in found)


def own_volumes(state: EnvironmentState, service_name: str) -> tuple[VolumeInstance, ...]:
    """Those that bear the service's name, whether it is there or not."""
    return tuple(
        each
        for each in state.volumes
        if not each.gone and each.volume.name == volume_name(service_name, each.volume_id)
    )


def kept_volumes(state: EnvironmentState, service_name: str) -> tuple[str, ...]:
    """Names of volumes without a service that an earlier Database of this name has left: they
    differ from ours in the mark alone."""
    stem = service_name.rpartition("-")[0]
    ours = re.compile(rf"{re.escape(stem)}-[0-9a-f]{{8}}-[0-9a-f]{{8}}")
    return tuple(
        each.volume.name
        for each in state.volumes
        if not each.gone and each.service_id is None and ours.fullmatch(each.volume.name)
    )


def check_beginning(state: EnvironmentState, service_name: str, db: Database) -> None:
    """Whether a Database without a service may get one. Raises InvalidSpec."""
    if lost := own_volumes(state, service_name):
        raise InvalidSpec(
            "status.railway.serviceId",
            f"the service of this Database was deleted on Railway, and its volume "
            f"{lost[0].volume.name} with the data was left: no empty database is made beside it. "
            "Delete this Database and apply it anew to begin empty",
            reason="ServiceLost",
        )
    kept = kept_volumes(state, service_name)
    if kept and db.spec.bootstrap is None:
        raise InvalidSpec(
            "spec.bootstrap",
            "volumes of an earlier Database of this name were kept on Railway: "
            f"{', '.join(kept)}. To begin empty beside them set this to {{empty: {{}}}}, with what "
            "the archive has to {latest: {}}; or delete them there, or take another name",
            reason="VolumeExists",
        )


def one_volume(state: EnvironmentState, service: ServiceInstance) -> VolumeInstance | None:
    """The service's volume. Raises InvalidSpec where there are two: which one has the data is not
    ours to guess."""
    found = state.volumes_of(service.service_id)
    if len(found) > 1:
        names = ", ".join(sorted(each.volume.name for each in found))
        raise InvalidSpec(
            "status.railway.volumeId",
            f"the service {service.service_name} has several volumes on Railway, {names}: take "
            "those off it there that do not hold the data",
            reason="VolumesAmbiguous",
        )
    return found[0] if found else None


def volume(
    seen: VolumeInstance, db: Database, service_name: str, variables: Mapping[str, str]
) -> Volume:
    """`kept`: deleting a namespace never deletes what is on Railway. One that does not serve and is
    named as a part is on its way out, by an operator that was killed at it: it keeps that name."""
    role, named = fill_service.role(variables), seen.volume.name
    leaves = role is not VolumeRole.CURRENT and named == part_name(service_name, seen.volume_id)
    return Volume(
        name=seen.volume_id,
        generation=fill_service.generation(variables),
        role=role,
        database_uid=db.metadata.uid,
        system_id=variables.get(fill_service.SYSTEM_ID, ""),
        image="",
        requested_bytes=seen.size_mb * MB,
        capacity_bytes=seen.size_mb * MB,
        kept="Retain",
        image_tag=services.image(db),
        restore=variables.get(fill_service.RESTORE, ""),
        delete_after=fill_service.keep_until(variables),
        labelled=leaves or named == volume_name(service_name, seen.volume_id),
    )


def volumes(
    state: EnvironmentState, family: Family, db: Database, service_name: str
) -> tuple[Volume, ...]:
    """One of each service. What is to be filled in place, and has none yet, is told all the same,
    by the service's id: or nobody would finish it, or take it away."""
    found = []
    for part in family.parts:
        held = one_volume(state, part.service)
        if held is not None:
            found.append(volume(held, db, service_name, part.variables))
        elif part.role is VolumeRole.FILLING and part.restore != db.metadata.uid:
            found.append(_to_come(part, db))
    return tuple(found)


def _to_come(part: Part, db: Database) -> Volume:
    return Volume(
        name=part.service_id,
        generation=part.generation,
        role=part.role,
        database_uid=db.metadata.uid,
        system_id="",
        image="",
        requested_bytes=0,
        capacity_bytes=0,
        restore=part.restore,
    )


def parts(
    place: Place,
    service: ServiceInstance,
    held: VolumeInstance | None,
    cost: RailwayCost | None,
    receiver_id: str | None = None,
) -> RailwayStatus:
    """By their ids, as Railway's pages have them in their addresses."""
    return RailwayStatus(
        project_id=place.project_id,
        environment_id=place.environment_id,
        service_id=service.service_id,
        receiver_service_id=receiver_id,
        volume_id=held.volume_id if held is not None else None,
        cost=cost,
    )


def process(
    service: ServiceInstance,
    proxy: TcpProxy | None,
    claim: str,
    db: Database,
    limits: Limits | None,
    private: str = "",
) -> Process:
    """Another deployment is another process, whoever has made it: Railway moves services between
    its hosts by itself, and that is no drift.

    It counts as running once it can be asked: without the proxy nobody gets in. `private`: where it
    is reached by its neighbours alone, and there is to be none.
    """
    latest = service.latest_deployment
    if latest is None:
        return Process(claim=claim)
    reachable = bool(private) or (proxy is not None and proxy.ready)
    state = STATES.get(latest.standing)
    if latest.status == "REMOVED":  # and no other one follows: nothing is stopping any more
        state = ProcessState.ABSENT
    if state is None:
        state = ProcessState.RUNNING if reachable else ProcessState.STARTING
    image = latest.image or ""
    waits = ("image of postgres",) if image and image != services.image(db) else ()
    return Process(
        state=state,
        reason=latest.status if state is ProcessState.FAILED else "",
        message=_failure(latest) if state is ProcessState.FAILED else "",
        identity=latest.id,
        address=private or (proxy.domain if proxy is not None and reachable else ""),
        claim=claim,
        image=image,
        ready=state is ProcessState.RUNNING,
        since=latest.status_updated_at,
        outdated=bool(waits),
        waiting_changes=waits,
        size_waits=services.limits_differ(services.limits(db), limits),
    )


def _failure(deployment: Deployment) -> str:
    return (
        f"Railway says {deployment.status} of the deployment {deployment.id}; its log is on "
        "Railway's page of the service"
    )


def volumes_in(state: EnvironmentState) -> int:
    """How many count against the plan."""
    return sum(not each.gone for each in state.volumes)
