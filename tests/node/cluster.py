"""`node up` and `node down`: which cluster, and the same steps for each.

A running context only by its name, else kind where a Docker engine answers, else the node.
"""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from node import (
    bringup,
    chart,
    golang,
    images,
    kind,
    loading,
    locking,
    outside,
    paths,
    programs,
    sweep,
)
from node.console import say
from node.errors import NodeError

_ROOM_COLD, _ROOM_WARM = 12, 4
_CHOICE = paths.CLUSTER / "cluster.json"


@dataclass(frozen=True)
class Choice:
    kind: str
    context: str = ""
    repository: str = ""


def choose(environment: Mapping[str, str], docker_answers: Callable[[], bool]) -> Choice:
    wanted = environment.get("CLUSTER", "")
    if wanted == "context":
        context, repository = environment.get("CONTEXT", ""), environment.get("IMAGES", "")
        if not (context and repository):
            raise NodeError(
                "CLUSTER=context needs CONTEXT=<name in your kubeconfig> and "
                "IMAGES=<repository that the cluster pulls from>"
            )
        return Choice("context", context, repository)
    if wanted not in ("", "kind", "node"):
        raise NodeError(f"CLUSTER={wanted} is unknown: context, kind or node")
    if environment.get("CONTEXT"):
        raise NodeError("CONTEXT is set without CLUSTER=context: say both, or neither")
    if wanted == "kind" and not docker_answers():
        raise NodeError("CLUSTER=kind needs a Docker engine that answers `docker info`")
    return Choice("kind" if wanted == "kind" or (not wanted and docker_answers()) else "node")


def up() -> None:
    choice = choose(os.environ, kind.docker_answers)
    say(f"cluster: {choice.kind} {choice.context}".rstrip())
    if choice.kind == "kind":
        _remember(choice)
        kind.up()
    elif choice.kind == "context":
        _remember(choice)
        outside.up(choice.context, choice.repository)
    else:
        _prepare()
        with locking.held("up"):
            _node_up(choice)
    say(f"ready: KUBECONFIG={paths.KUBECONFIG.relative_to(paths.CHECKOUT)}")


def install() -> None:
    """The chart alone, on the cluster that is up."""
    if not (paths.IMAGES.exists() and paths.KUBECONFIG.exists()):
        raise NodeError("no cluster of this checkout is up: run `make up`")
    programs.use_only_declared()
    own = _choice().kind != "context"
    chart.install(json.loads(paths.IMAGES.read_text()), paths.KUBECONFIG, own=own)


def down() -> None:
    choice = _choice()
    if choice.kind == "kind":
        kind.down()
    elif choice.kind == "context":
        outside.down()
    elif paths.STATE.exists() or sweep.needed():
        programs.provide()
        programs.use_only_declared()
        with locking.held("down"):
            _node_down()
    for file in (paths.KUBECONFIG, paths.VALUES, _CHOICE):
        file.unlink(missing_ok=True)
    say("down: nothing of the cluster is left")


def purge() -> None:
    """What another clone has built goes with it: the next `up` is a cold one for all."""
    down()
    shutil.rmtree(paths.cache(), ignore_errors=True)
    shutil.rmtree(paths.CLUSTER, ignore_errors=True)


def _prepare() -> None:
    programs.require_linux_root()
    _require_room()
    programs.provide()
    programs.use_only_declared()
    golang.build()


def _require_room() -> None:
    """Cold, the builds and images take most of it; a build that ends in a full disk says little."""
    cold = not golang.built("kube").exists()
    for folder in (paths.cache(), paths.STATE):
        there = next(f for f in (folder, *folder.parents) if f.exists())
        free = shutil.disk_usage(there).free / 2**30
        if free < (wanted := _ROOM_COLD if cold else _ROOM_WARM):
            raise NodeError(f"{there} has {free:.0f} GB free, {wanted} are needed: make room there")


def _node_up(choice: Choice) -> None:
    bringup.ensure()
    _remember(choice)
    bringup.hand_out_kubeconfig()
    built = images.ensure()
    loading.load(built.archives)
    chart.install(json.loads(paths.IMAGES.read_text()), paths.KUBECONFIG, own=True)


def _node_down() -> None:
    """The owner's kubeconfig goes too: it would be trusted by nobody, yet name a live address."""
    owner = bringup.owner()
    sweep.everything()
    if owner:
        (Path(owner) / ".cluster" / "kubeconfig").unlink(missing_ok=True)


def _choice() -> Choice:
    """The one that `up` made; `down` and `install` must not choose anew."""
    return Choice(**json.loads(_CHOICE.read_text())) if _CHOICE.exists() else Choice("node")


def _remember(choice: Choice) -> None:
    paths.CLUSTER.mkdir(parents=True, exist_ok=True)
    _CHOICE.write_text(json.dumps(asdict(choice)) + "\n")
