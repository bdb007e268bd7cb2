"""From Kubernetes objects to what the planner knows. PURE: bodies in, facts out."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from postbase_operator.api.quantity import whole_bytes
from postbase_operator.archive.receiver import CONFIG_FILE, ReceiverConfig
from postbase_operator.archive.record import UnreadableRecord
from postbase_operator.archive.wish import ArchivingWish
from postbase_operator.desired import names
from postbase_operator.desired.postgresql_conf import SYNCHRONOUS
from postbase_operator.kube.differences import differences, resize_refused
from postbase_operator.kube.kinds import Body
from postbase_operator.kube.last_words import last_words
from postbase_operator.planning.observed import Process, ProcessState, Volume, VolumeRole

# The words of the kubelet for an image that will not come by waiting a little longer.
IMAGE_TROUBLE = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}


def annotation(body: Body, name: str) -> str:
    return str((body["metadata"].get("annotations") or {}).get(name, ""))


def volumes(
    claims: Iterable[Body], database_uid: str
) -> tuple[tuple[Volume, ...], tuple[str, ...]]:
    """This Database's volumes, and the names of those that bear its label but another's UID."""
    own, foreign = [], []
    for claim in claims:
        if annotation(claim, names.ANNOTATION_DATABASE_UID) == database_uid:
            own.append(volume(claim))
        else:
            foreign.append(claim["metadata"]["name"])
    return tuple(own), tuple(foreign)


def volume(claim: Body) -> Volume:
    role = annotation(claim, names.ANNOTATION_VOLUME_ROLE)
    generation = annotation(claim, names.ANNOTATION_GENERATION)
    capacity = (claim.get("status") or {}).get("capacity") or {}
    return Volume(
        name=claim["metadata"]["name"],
        generation=int(generation) if generation.isdigit() else 0,
        role=VolumeRole(role) if role in set(VolumeRole) else None,
        database_uid=annotation(claim, names.ANNOTATION_DATABASE_UID),
        system_id=annotation(claim, names.ANNOTATION_SYSTEM_ID),
        image=annotation(claim, names.ANNOTATION_IMAGE),
        requested_bytes=_bytes(claim["spec"]["resources"]["requests"]["storage"]),
        capacity_bytes=_bytes(capacity.get("storage", "0")),
        deleting="deletionTimestamp" in claim["metadata"],
        kept=annotation(claim, names.ANNOTATION_KEPT),
        restore=annotation(claim, names.ANNOTATION_RESTORE),
        delete_after=_said_moment(annotation(claim, names.ANNOTATION_DELETE_AFTER)),
        image_tag=annotation(claim, names.ANNOTATION_IMAGE_TAG),
        upgrade=annotation(claim, names.ANNOTATION_UPGRADE),
        upgrading=annotation(claim, names.ANNOTATION_UPGRADING),
    )


def archiving(held: Body | None) -> ArchivingWish:
    """What the ConfigMap last told the sidecar and the server. What cannot be read is nothing: it
    is written anew."""
    data = (held or {}).get("data") or {}
    try:
        receiver = ReceiverConfig.from_bytes(data.get(CONFIG_FILE, "").encode())
    except UnreadableRecord:
        receiver = ReceiverConfig()
    waits = f"{SYNCHRONOUS} = " in data.get("postgresql.conf", "")
    return ArchivingWish(receiver, receiver.enabled and waits)


def process(pod: Body | None, workload: Body | None = None, *, resizable: bool = True) -> Process:
    """What the pod tells of its postgres container; `workload` is the StatefulSet it is of."""
    if pod is None:
        return Process()
    found = differences(pod, workload, resizable=resizable)
    status: Body = pod.get("status") or {}
    main = _container(status.get("containerStatuses"), names.POSTGRES_CONTAINER)
    state, reason, message, exit_code = _judge(pod, status, main)
    started = (main.get("state") or {}).get("running", {}).get("startedAt")
    return Process(
        state=state,
        reason=reason,
        message=message,
        exit_code=exit_code,
        address=status.get("podIP", ""),
        claim=_claim(pod),
        image=_wanted_image(pod),
        image_digest=main.get("imageID", ""),
        ready=bool(main.get("ready")),
        since=datetime.fromisoformat(started) if started else None,
        ends_by=_moment(pod["metadata"].get("deletionTimestamp")),
        outdated=_is_outdated(pod, workload),
        identity=str(pod["metadata"].get("uid", "")),
        waiting_changes=found.waiting,
        size_waits=found.size,
        size_refused=resize_refused(pod),
        sidecar_waits=found.sidecar,
        config_revision=annotation(pod, names.ANNOTATION_CONFIG),
        receiver_revision=annotation(pod, names.ANNOTATION_RECEIVER),
    )


def _claim(pod: Body) -> str:
    for each in (pod.get("spec") or {}).get("volumes") or []:
        if each["name"] == names.DATA_VOLUME:
            return str((each.get("persistentVolumeClaim") or {}).get("claimName", ""))
    return ""


def _wanted_image(pod: Body) -> str:
    """As the pod's spec has it: the status may name another tag of the same image."""
    containers = (pod.get("spec") or {}).get("containers")
    return str(_container(containers, names.POSTGRES_CONTAINER).get("image", ""))


def _said_moment(text: str) -> datetime | None:
    """None for what cannot be read."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _is_outdated(pod: Body, workload: Body | None) -> bool:
    """Only where the controller has seen the StatefulSet's present template."""
    if workload is None:
        return False
    status: Body = workload.get("status") or {}
    if status.get("observedGeneration") != workload["metadata"].get("generation"):
        return False
    held = (pod["metadata"].get("labels") or {}).get("controller-revision-hash")
    return bool(held) and held != status.get("updateRevision", held)


def _judge(pod: Body, status: Body, main: Body) -> tuple[ProcessState, str, str, int | None]:
    """State, the platform's word for it, its sentence, and the exit code of the last end."""
    if "deletionTimestamp" in pod["metadata"]:
        return ProcessState.STOPPING, "Terminating", "", None
    state: Body = main.get("state") or {}
    if "running" in state:
        running = ProcessState.RUNNING if main.get("started") else ProcessState.STARTING
        return running, "", "", None
    blocked = _blocked_init(status)
    if blocked is not None:
        return blocked
    ended = state.get("terminated") or (main.get("lastState") or {}).get("terminated")
    if ended:
        return _ended(ended)
    waiting: Body = state.get("waiting") or {}
    if waiting.get("reason") in IMAGE_TROUBLE:
        return ProcessState.WAITING, waiting["reason"], waiting.get("message", ""), None
    unscheduled = _condition(status, "PodScheduled")
    if unscheduled and unscheduled.get("status") == "False":
        reason, message = unscheduled.get("reason", ""), unscheduled.get("message", "")
        return ProcessState.WAITING, reason, message, None
    return ProcessState.WAITING, waiting.get("reason", "Pending"), waiting.get("message", ""), None


def _blocked_init(status: Body) -> tuple[ProcessState, str, str, int | None] | None:
    """What keeps the pod before PostgreSQL: initdb that failed, an image that does not come."""
    for name in (names.INITDB_CONTAINER, names.SIDECAR_CONTAINER):
        container = _container(status.get("initContainerStatuses"), name)
        state: Body = container.get("state") or {}
        ended = state.get("terminated") or (container.get("lastState") or {}).get("terminated")
        is_initdb = name == names.INITDB_CONTAINER
        if is_initdb and "running" not in state and ended and ended.get("exitCode") != 0:
            return _ended(ended)
        waiting: Body = state.get("waiting") or {}
        if waiting.get("reason") in IMAGE_TROUBLE:
            return ProcessState.WAITING, waiting["reason"], waiting.get("message", ""), None
    return None


def _ended(ended: Body) -> tuple[ProcessState, str, str, int | None]:
    code = int(ended.get("exitCode", -1))
    said = last_words(str(ended.get("message") or ""))
    return ProcessState.FAILED, ended.get("reason", ""), said, code


def _container(statuses: Any, name: str) -> Body:
    found: Body = next((c for c in statuses or [] if c["name"] == name), {})
    return found


def _condition(status: Body, kind: str) -> Body | None:
    return next((c for c in status.get("conditions") or [] if c["type"] == kind), None)


def _bytes(quantity: str) -> int:
    return whole_bytes(quantity)
