"""What the double of Railway runs, as processes of this machine among others."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from railway.boxes import Process, Processes
from railway.images import OperatorImage, Spec


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def test_a_number_that_another_process_got_is_left_alone(
    tmp_path: Path, stranger: subprocess.Popen[bytes]
) -> None:
    """A double that ended what it had run an hour before killed a pod of the cluster beside it."""
    machine, ended = Processes(tmp_path), threading.Event()
    spec = Spec("x", "postbase-operator --help", {}, "127.1.1.1", None, Path())
    box = machine.start(OperatorImage(), spec, lambda _: None, lambda _: ended.set())
    assert isinstance(box, Process)
    assert ended.wait(60)
    assert box.process is not None
    box.process.pid = stranger.pid
    with box.frozen():
        state = Path(f"/proc/{stranger.pid}/stat").read_text().rpartition(")")[2].split()[0]
        assert state != "T"
    machine.close()
    assert stranger.poll() is None
