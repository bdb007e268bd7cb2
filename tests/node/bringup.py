"""The node from nothing to Ready, and the question whether it already is."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from node import (
    addons,
    cgroups,
    fingerprint,
    golang,
    network,
    oci,
    paths,
    ports,
    processes,
    sweep,
    waiting,
)
from node.commands import run, succeeds
from node.console import say, step
from node.control_plane import Argv
from node.daemons import BODY, HEAD, NAME, Node
from node.errors import NodeError
from node.processes import Daemon

NODE = Node(paths.STATE)
_PLAN = paths.STATE / "plan"


def ensure() -> None:
    """Leaves a node alone that is whole, ours and as this code would make it; else makes it anew.

    Anew, not mended: etcd runs without fsync, so what a crash has left cannot be trusted.
    """
    plan = _plan()
    why = _why_not(plan)
    if not why:
        say(f"the node runs and is as it should be ({NAME})")
        return
    if sweep.needed():
        with step(f"clearing away what is left: {why}", usually=3):
            sweep.everything()
    _bring_up(plan)


def owner() -> str:
    try:
        return paths.OWNER.read_text().strip()
    except FileNotFoundError:
        return ""


def hand_out_kubeconfig() -> None:
    """A copy for people and tests; the node's own stays in its folder."""
    paths.KUBECONFIG.touch(mode=0o600)
    paths.KUBECONFIG.write_text(NODE.plane.kubeconfig.read_text())


def ctr(*words: str | Path) -> str:
    return run(["ctr", "--address", NODE.socket, "--namespace", "k8s.io", *words], log="images")


def kubectl(*words: str, stdin: str | None = None) -> str:
    return run([NODE.plane.kubectl, "--kubeconfig", NODE.plane.kubeconfig, *words], stdin=stdin)


def _why_not(plan: str) -> str:
    if not sweep.needed():
        return "nothing runs"
    if owner() != str(paths.CHECKOUT):
        return f"it belongs to {owner() or 'nobody'}"
    if not _PLAN.exists() or _PLAN.read_text() != plan:
        return "this code makes it otherwise, or it never came up"
    missing = {*HEAD, *BODY} - processes.running().keys()
    if missing:
        return f"not running: {', '.join(sorted(missing))}"
    return "" if _comes_ready() else "it is not Ready"


def _comes_ready() -> bool:
    """A server that stands still for a moment is no reason to make the node anew."""
    try:
        waiting.until(lambda: NODE.plane.ready() and _node_ready(), "it is Ready", seconds=20)
    except NodeError:
        return False
    return True


def _bring_up(plan: str) -> None:
    ports.refuse_strangers(NODE.ports())
    paths.OWNER.write_text(f"{paths.CHECKOUT}\n")
    try:
        with step("control plane", usually=4):
            _ground()
            _start_head()
        with step("node", usually=8):
            _start_body()
    except NodeError:
        # The next command would find it and take it away, but until then it holds ports and memory.
        sweep.everything()
        raise
    _PLAN.write_text(plan)


def _ground() -> None:
    """A shared mount of its own: the kubelet needs one, and the machine's root stays as it is."""
    run(["mount", "--bind", paths.STATE, paths.STATE])
    run(["mount", "--make-rshared", paths.STATE])
    for folder in (NODE.volumes, NODE.pod_logs, NODE.socket.parent):
        folder.mkdir(parents=True, exist_ok=True)
    for file, text in NODE.files(_pause_reference()).items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    sweep.remember()
    cgroups.make()
    network.raise_up()


def _start_head() -> None:
    NODE.plane.prepare()
    head = _start(NODE.head())
    _until(NODE.plane.ready, "kube-apiserver is ready", head)
    _until(_containerd_answers, "containerd answers", head)
    archive = paths.STATE / "pause.tar"
    oci.write_program(archive, _pause_reference(), golang.built("pause"), {})
    ctr("images", "import", archive)


def _start_body() -> None:
    kubectl("apply", "-f", "-", stdin=addons.manifest())
    _until(_node_ready, "the node is Ready (logs: .cluster/log)", _start(NODE.body()))


def _start(daemons: Mapping[str, Argv]) -> dict[str, Daemon]:
    started = {}
    for role, argv in daemons.items():
        log = paths.LOG / f"{role}.log"
        log.unlink(missing_ok=True)
        started[role] = processes.start(role, argv, log=log)
    return started


def _until(condition: Callable[[], bool], what: str, daemons: Mapping[str, Daemon]) -> None:
    """A program that ended is told at once, with the place where it says why."""

    def answer() -> bool:
        for role, daemon in daemons.items():
            if daemon.poll() is not None:
                raise NodeError(f"{role} ended by itself: see .cluster/log/{role}.log")
        return condition()

    waiting.until(answer, what, seconds=90)


def _containerd_answers() -> bool:
    return succeeds(["ctr", "--address", NODE.socket, "version"])


def _node_ready() -> bool:
    try:
        status = json.loads(kubectl("get", "node", NAME, "--output", "json"))["status"]
    except NodeError:
        return False
    return any(c["type"] == "Ready" and c["status"] == "True" for c in status["conditions"])


def _plan() -> str:
    """What would be started and with which files, as one hash."""
    files = {str(file): text for file, text in NODE.files(_pause_reference()).items()}
    parts = [golang.built(name).as_posix() for name in golang.FOR_NODE]
    sources = [paths.PACKAGE / name for name in ("daemons.py", "control_plane.py", "addons.py")]
    return fingerprint.of_texts(json.dumps(files), *parts, *(s.read_text() for s in sources))


def _pause_reference() -> str:
    return f"localhost/postbase/pause:{golang.built('pause').parent.name}"
