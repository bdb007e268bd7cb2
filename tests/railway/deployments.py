"""Deployments: one after another in their statuses, a container at the end of each."""

from __future__ import annotations

from railway.boxes import Box
from railway.errors import Refused
from railway.images import Image, Spec, image_for
from railway.state import JSON, Deployment, Instance, new_id
from railway.variables import draining_seconds, rendered
from railway.world import World

WAITING = ("QUEUED", "INITIALIZING", "WAITING", "BUILDING", "DEPLOYING")
ACTIVE = ("SUCCESS", "SLEEPING", "CRASHED")
POLL = 0.1
"""Between two looks at a container that is to leave."""


def deploy(
    world: World, instance: Instance, reason: str = "deploy", image: str | None = None
) -> Deployment:
    """§2: always a new one, and a restart of the database; §1 step 10: the configured source."""
    image = image or instance.image
    if image is None:
        raise Refused("Service has no source")  # [U] the words
    if world.usage_limit:
        raise Refused("Usage limit reached")  # §5: stops all workloads; [U] the words
    now = world.clock.now()
    where = (instance.service_id, instance.environment_id)
    for older in world.state.deployments_of(*where):
        if older.status in WAITING and older.id not in world.boxes:
            _status(world, older, "REMOVED")
    made = Deployment(new_id(), *where, image, instance.start_command, now, now, reason)
    world.state.deployments[made.id] = made
    delays = world.settings.delays
    _later(world, made, delays.queued, "QUEUED", _initialize)
    return made


def deploy_if_live(world: World, instance: Instance, reason: str) -> None:
    """What a change of configuration does, where there is something to deploy."""
    if instance.image is not None and world.state.deployments_of(
        instance.service_id, instance.environment_id
    ):
        deploy(world, instance, reason)


def _later(world: World, deployment: Deployment, seconds: float, status: str, work: object) -> None:
    def go() -> None:
        if deployment.status == status:
            work(world, deployment)  # type: ignore[operator]

    world.clock.after(seconds, go)


def _status(world: World, deployment: Deployment, status: str) -> None:
    deployment.status = status
    deployment.status_at = world.clock.now()


def _event(world: World, deployment: Deployment, step: str, **payload: object) -> None:
    now = world.clock.stamp()
    event: JSON = {"step": step, "createdAt": now, "completedAt": now, "payload": payload or None}
    deployment.events.append(event)


def _initialize(world: World, deployment: Deployment) -> None:
    _status(world, deployment, "INITIALIZING")
    _later(world, deployment, world.settings.delays.initializing, "INITIALIZING", _place)


def _place(world: World, deployment: Deployment) -> None:
    """§1 Region change: it waits for a volume that is on its way."""
    volume = world.state.volume_of(deployment.service_id, deployment.environment_id)
    if volume is not None and volume.state in ("MIGRATION_PENDING", "MIGRATING"):
        _later(world, deployment, POLL, "INITIALIZING", _place)
        return
    _status(world, deployment, "DEPLOYING")
    reason = _cannot_run(world, deployment)
    if reason:
        _event(world, deployment, "CREATE_CONTAINER", error=reason, reason="error")
        _status(world, deployment, "FAILED")
        return
    _later(world, deployment, world.settings.delays.deploying, "DEPLOYING", _make_room)


def _cannot_run(world: World, deployment: Deployment) -> str | None:
    if image_for(deployment.image, world.images) is None:
        return f"Failed to pull image {deployment.image}"  # [U] the words
    where = (deployment.service_id, deployment.environment_id)
    instance, volume = world.state.instance(*where), world.state.volume_of(*where)
    if instance is None or instance.deleted_at is not None:
        return "ServiceInstance not found"
    if volume is not None and volume.region != instance.region:
        return "The volume is in another region"  # §1 step 6: must match; [U] what happens
    return None


def _make_room(world: World, deployment: Deployment) -> None:
    """§3: downtime on every deploy of a service with a volume; without one the old goes after."""
    where = (deployment.service_id, deployment.environment_id)
    old = [d for d in world.state.deployments_of(*where) if d.id != deployment.id]
    old = [d for d in old if d.id in world.boxes or d.status in ACTIVE]
    if world.state.volume_of(*where) is None:
        _start(world, deployment)
        for each in old:
            remove(world, each)
        return
    for each in old:
        remove(world, each)
    _when_gone(world, deployment, old)


def _when_gone(world: World, deployment: Deployment, old: list[Deployment]) -> None:
    if any(each.id in world.boxes for each in old):
        again = POLL
        world.clock.after(again, lambda: _when_gone(world, deployment, old))
    elif deployment.status == "DEPLOYING":
        _event(world, deployment, "DRAIN_INSTANCES")
        _start(world, deployment)


def remove(world: World, deployment: Deployment, then: str = "REMOVED") -> None:
    """§3 Stop: SIGTERM, SIGKILL after drainingSeconds (0 by default)."""
    if then == "REMOVED":
        _status(world, deployment, "REMOVING")
    deployment.instance_status = "REMOVING"
    box = world.boxes.get(deployment.id)
    if box is not None:
        box.terminate()
    waits = draining_seconds(world, deployment)
    if box is not None and not box.passes_sigterm:
        waits *= world.settings.delays.drain
    ends = world.clock.now() + waits

    def look() -> None:
        if box is not None and not box.ended:
            if world.clock.now() < ends:
                world.clock.after(POLL, look)
                return
            box.kill()
        world.boxes.pop(deployment.id, None)
        deployment.stopped = True
        deployment.instance_status = "STOPPED" if then == "STOPPED" else "REMOVED"
        if then == "REMOVED":
            _status(world, deployment, "REMOVED")

    if box is None:
        look()
    else:
        world.clock.after(min(POLL, world.settings.delays.removing), look)


def _start(world: World, deployment: Deployment) -> None:
    _event(world, deployment, "CREATE_CONTAINER")
    deployment.instance_status = "CREATED"
    run(world, deployment, fresh=True)
    _later(world, deployment, world.settings.delays.starting, "DEPLOYING", _succeed)


def _succeed(world: World, deployment: Deployment) -> None:
    """§1: without a healthcheck it only means that the container was started."""
    _status(world, deployment, "SUCCESS")
    if deployment.id in world.boxes and deployment.instance_status == "CREATED":
        deployment.instance_status = "RUNNING"
    proxy = world.state.live_proxy(deployment.service_id, deployment.environment_id)
    if proxy is not None:
        proxy.needs_deploy = False


def run(world: World, deployment: Deployment, *, fresh: bool) -> None:
    """A container; §1 Change: variables reach it only with a new deployment."""
    image = image_for(deployment.image, world.images)
    assert image is not None
    if fresh or deployment.variables is None:
        deployment.variables = rendered(
            world.state, world, deployment.service_id, deployment.environment_id
        )
    where = (deployment.service_id, deployment.environment_id)
    volume = world.state.volume_of(*where)
    spec = Spec(
        deployment.image,
        deployment.start_command,
        dict(deployment.variables),
        world.address(deployment.id),
        hosts=_hosts(world, deployment),
    )
    if volume is not None:
        spec.mount_path, spec.volume = volume.mount_path, world.volume_folder(volume)
    if _to_crash(world, deployment.service_id):
        deployment.logs.append((world.clock.now(), "the double was told to let this one crash"))
        box_ended(world, deployment, None, 1)
        return
    _boxed(world, deployment, image, spec)


def _boxed(world: World, deployment: Deployment, image: Image, spec: Spec) -> None:
    now = world.clock.now
    box: list[Box] = []
    handled: list[int] = []

    def log(line: str) -> None:
        deployment.logs.append((now(), line))

    def ended(code: int) -> None:
        with world.clock.lock:
            handled.append(code)
            box_ended(world, deployment, box[0] if box else None, code)

    started = world.machine.start(image, spec, log, ended)
    box.append(started)
    if not handled:
        world.boxes[deployment.id] = started


def _to_crash(world: World, service_id: str) -> bool:
    for key in (service_id, "*"):
        if world.crashes[key] > 0:
            world.crashes[key] -= 1
            return True
    return False


def _hosts(world: World, deployment: Deployment) -> dict[str, str]:
    """§3: private names reach the same project and environment only."""
    if not world.machine.real:
        return {}
    mine = [
        each
        for each in world.state.instances.values()
        if each.environment_id == deployment.environment_id and each.deleted_at is None
    ]
    return {
        f"{world.dns_name(each)}.railway.internal": world.listen_privately(each) for each in mine
    }


def box_ended(world: World, deployment: Deployment, box: Box | None, code: int) -> None:
    """§1: exit 0 keeps SUCCESS; else ON_FAILURE, 10 tries, then CRASHED."""
    if box is not None and world.boxes.get(deployment.id) is not box:
        return
    world.boxes.pop(deployment.id, None)
    deployment.logs.append((world.clock.now(), f"container ended with {code}"))
    instance = world.state.instance(deployment.service_id, deployment.environment_id)
    if instance is None or deployment.status in ("REMOVING", "REMOVED"):
        return
    if code == 0 and instance.restart_policy != "ALWAYS":
        deployment.instance_status, deployment.stopped = "EXITED", True
        return
    tries = instance.max_retries if instance.restart_policy == "ON_FAILURE" else 0
    if instance.restart_policy == "ALWAYS" or deployment.restarts < tries:
        deployment.restarts += 1
        deployment.instance_status = "RESTARTING"
        world.clock.after(world.settings.delays.restart, lambda: _again(world, deployment))
        return
    deployment.instance_status, deployment.stopped = "CRASHED", True
    _status(world, deployment, "CRASHED")


def _again(world: World, deployment: Deployment) -> None:
    gone = deployment.status in ("REMOVING", "REMOVED") or deployment.id in world.boxes
    if deployment.instance_status == "RESTARTING" and not gone:
        deployment.instance_status = "RUNNING" if deployment.status == "SUCCESS" else "CREATED"
        run(world, deployment, fresh=False)


def restart(world: World, deployment: Deployment) -> None:
    """§1 Change: the process anew, same image and variables."""
    if deployment.status not in ACTIVE:
        raise Refused("Deployment is not running")  # [U]

    def begin() -> None:
        if deployment.id in world.boxes:
            world.clock.after(POLL, begin)
            return
        deployment.stopped, deployment.restarts = False, 0
        deployment.instance_status = "RUNNING"
        _status(world, deployment, "SUCCESS")
        run(world, deployment, fresh=False)

    remove(world, deployment, then="STOPPED")
    begin()


def stop(world: World, deployment: Deployment) -> None:
    """§1 Change: takes it down; [U] the status that it leaves."""
    remove(world, deployment, then="STOPPED")


def redeploy(world: World, instance: Instance) -> Deployment:
    """§1 Change, the trap: the live deployment's image again, whatever is configured; SUCCESS."""
    live = world.state.deployments_of(instance.service_id, instance.environment_id)
    if not live:
        raise Refused("Deployment not found")
    return deploy(world, instance, "redeploy", image=live[0].image)
