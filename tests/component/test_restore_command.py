"""restore.sh, PostgreSQL's restore_command, by itself: what ends it without an answer is no answer.

PostgreSQL takes every exit code up to 125 for the end of the archive, and promotes.
"""

from __future__ import annotations

import signal
import subprocess
from importlib import resources
from pathlib import Path

import pytest

from postbase_operator.jobs.prefetch import FOLDERS

NAME = "000000010000000000000003"
GIVE_UP = 255


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


def ask(run: Path) -> subprocess.Popen[bytes]:
    text = resources.files("postbase_operator.desired").joinpath("scripts", "restore.sh")
    script = run.parent / "restore.sh"
    script.write_text(text.read_text().replace("/postbase/run", str(run)))
    return subprocess.Popen(["/bin/sh", script, NAME, run.parent / "got"])


def begin(run: Path) -> None:
    for name in FOLDERS:
        (run / name).mkdir()


def waits(asked: subprocess.Popen[bytes]) -> bool:
    try:
        asked.wait(0.5)
    except subprocess.TimeoutExpired:
        return True
    return False


def test_it_waits_for_a_sidecar_that_has_not_begun(run: Path) -> None:
    with ask(run) as asked:
        assert waits(asked), f"it ended with {asked.returncode}"
        begin(run)
        while not (run / "ask" / NAME).exists():
            assert waits(asked)
        (run / "have.part").write_bytes(b"log")
        (run / "have.part").rename(run / "have" / NAME)
        assert asked.wait(60) == 0
    assert (run.parent / "got").read_bytes() == b"log"
    assert not list(run.glob("*/*"))


@pytest.mark.parametrize(("says", "code"), [("none/" + NAME, 1), ("failed", GIVE_UP)])
def test_what_the_sidecar_says_is_what_postgresql_hears(run: Path, says: str, code: int) -> None:
    begin(run)
    (run / says).touch()
    with ask(run) as asked:
        assert asked.wait(60) == code


def test_what_ends_it_otherwise_is_no_end_of_the_archive(run: Path) -> None:
    begin(run)
    (run / "have" / NAME).write_bytes(b"log")
    (run.parent / "got").mkdir()
    (run.parent / "got" / NAME).mkdir()  # a copy cannot be made
    with ask(run) as asked:
        assert asked.wait(60) == GIVE_UP
    (run / "have" / NAME).unlink()
    with ask(run) as asked:
        assert waits(asked)
        asked.send_signal(signal.SIGTERM)
        assert asked.wait(60) not in range(126)
