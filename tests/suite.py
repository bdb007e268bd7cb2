"""Runs the parts of the test suite in order and adds up what they say.

`check` is what a commit needs; `test` is everything that this machine can run. Each part is a
process of its own, so that one that dies counts as a failure and hides nothing. The last line is
`N passed, N failed, N skipped`; a part that is not a pytest run counts as one test.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOG = ROOT / ".cluster" / "log"
BIN = Path(sys.executable).parent
SLOWEST = 20
MARKED = 8
"""Lines of one failure in the summary."""


@dataclass
class Result:
    name: str
    seconds: float = 0.0
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    cases: list[tuple[float, str]] = field(default_factory=list)
    skips: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    """What failed and by which words, short: the end of a log is what people are sent."""


@dataclass(frozen=True)
class Part:
    name: str
    command: tuple[str, ...]
    pytest: bool = False
    declared: bool = False
    """Runs with a PATH of declared programs: nothing of the machine is used by luck."""

    def run(self) -> Result:
        print(f"== {self.name}: {' '.join(Path(c).name for c in self.command[:6])}", flush=True)
        started = time.monotonic()
        report = LOG / f"junit-{self.name}.xml"
        report.unlink(missing_ok=True)
        command = [*self.command, f"--junitxml={report}"] if self.pytest else list(self.command)
        path = str(ROOT / ".cluster" / "bin") if self.declared else os.environ["PATH"]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=os.environ | {"PATH": path},
            stdin=subprocess.DEVNULL,
            check=False,
        )
        code = done.returncode
        result = read_report(self.name, report, code) if self.pytest else tool(self.name, code)
        result.seconds = time.monotonic() - started
        return result


def tool(name: str, code: int) -> Result:
    return Result(name, passed=int(code == 0), failed=int(code != 0))


def read_report(name: str, report: Path, code: int) -> Result:
    """Counts a junit file; a run that ended badly without a failed test is a failure itself."""
    result = Result(name)
    if report.exists():
        for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314 - our own file
            label = f"{case.get('classname', '')}::{case.get('name', '')}"
            result.cases.append((float(case.get("time", "0")), label))
            skip = case.find("skipped")
            bad = [node for word in ("failure", "error") if (node := case.find(word)) is not None]
            if bad:
                result.failed += 1
                result.failures.append(f"{label}\n{said(bad[0])}")
            elif skip is not None:
                result.skipped += 1
                result.skips.append(f"{label}: {skip.get('message', '')}")
            else:
                result.passed += 1
    if code != 0 and result.failed == 0:
        print(f"{name}: pytest ended with {code} without a failed test", flush=True)
        result.failed = 1
    return result


def said(failure: ET.Element) -> str:
    """The lines that pytest marks with E, and where it was."""
    lines = (failure.text or failure.get("message") or "").strip().splitlines()
    marked = [line[:400] for line in lines if line.startswith("E  ")]
    return "\n".join((marked or lines[:-1])[:MARKED] + lines[-1:])


def module(*args: str) -> tuple[str, ...]:
    return (sys.executable, "-m", *args)


def layer(name: str, *options: str, declared: bool = True) -> Part:
    command = module("pytest", "-q", f"tests/{name}", *options)
    return Part(name, command, pytest=True, declared=declared)


SIDE_BY_SIDE = ("--numprocesses=2", "--dist=loadfile")

CHECK = (
    Part("format", (str(BIN / "ruff"), "format", "--check", "--quiet", "operator", "tests")),
    Part("lint", (str(BIN / "ruff"), "check", "--quiet", "operator", "tests")),
    Part("types", module("mypy", "--no-error-summary")),
    Part("layers", (str(BIN / "lint-imports"), "--no-logo")),
    layer("unit", *SIDE_BY_SIDE, declared=False),
)


KILLS = ("operator_killed", "operator_killed_jobs", "restore_killed")
"""They kill the operators: beside each other, and beside nothing else."""

LOSSES = ("restore_bad_days", "ledger")
"""They kill the object store as well, which others need within their Jobs' patience."""


APART = (
    "children",
    "claims",
    "drift",
    "handover",
    "node_restart",
    "upgrade",
    "template_upgrade",
)
"""They count seconds (until an edit is mended, until another leads), restart the node, or have the
cluster run another release for a while: nothing else runs beside them."""


SCHEMA = "tests/apiserver/test_gateway_schema.py"
"""By itself: under pytest 9 schemathesis gives the tests of all operations one node id, and xdist
would run but one of them."""


def node(command: str) -> Part:
    """The bring-up runs on the machine's own Python: it must work before there is any other."""
    return Part(command, ("python3", "-m", "node", command))


def modules(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"tests/e2e/test_{name}.py" for name in names)


def full() -> Iterator[Part]:
    """Cheap parts first; the node's own coming and going before what needs it to stay."""
    yield from CHECK
    yield node("build")
    # -trimpath, as the build has it: without it all of Kubernetes is compiled a second time.
    go = ("go", "test", "-C", "tests/node/go", "-trimpath", ".")
    yield Part("go", go, declared=True)
    # PostgreSQL's servers come from npm, which is not among the node's declared programs.
    yield layer("component", *SIDE_BY_SIDE, declared=False)
    yield layer("apiserver", *SIDE_BY_SIDE, f"--ignore={SCHEMA}")
    yield Part("schema", module("pytest", "-q", SCHEMA), True, True)
    yield layer("machine")
    yield node("up")
    kills, losses, apart = modules(KILLS), modules(LOSSES), modules(APART)
    besides = (f"--ignore={file}" for file in (*kills, *losses, *apart))
    beside = ("--numprocesses=4", "--dist=loadfile")
    yield layer("e2e", *beside, *besides)
    yield Part("kills", module("pytest", "-q", *beside, *kills), True, True)
    yield Part("losses", module("pytest", "-q", *beside, *losses), True, True)
    yield Part("apart", module("pytest", "-q", *apart), True, True)
    if os.environ.get("CI") == "true":
        yield node("down")


def summary(results: list[Result]) -> int:
    print("\nminutes  part")
    for result in results:
        print(f"{result.seconds / 60:7.1f}  {result.name}")
    cases = sorted((c for r in results for c in r.cases), reverse=True)[:SLOWEST]
    print(f"\nthe {len(cases)} slowest tests")
    for seconds, label in cases:
        print(f"{seconds:7.2f} s  {label}")
    for skip in (s for r in results for s in r.skips):
        print(f"skipped  {skip}")
    for failure in (f for r in results for f in r.failures):
        print(f"\nfailed  {failure}")
    failed = [r.name for r in results if r.failed]
    print(f"failed in: {', '.join(failed)}" if failed else "all parts passed")
    passed, bad, skipped = (
        sum(getattr(r, key) for r in results) for key in ("passed", "failed", "skipped")
    )
    print(f"{passed} passed, {bad} failed, {skipped} skipped", flush=True)
    return 1 if bad else 0


SUITES: dict[str, Callable[[], Iterator[Part]]] = {"check": lambda: iter(CHECK), "test": full}


def main(argv: list[str]) -> int:
    if len(argv) != 1 or argv[0] not in SUITES:
        print(f"usage: python -m suite {{{'|'.join(SUITES)}}}", file=sys.stderr)
        return 2
    LOG.mkdir(parents=True, exist_ok=True)
    os.environ["PYTHONPATH"] = f"{ROOT / 'operator'}:{ROOT / 'tests'}"
    return summary([part.run() for part in SUITES[argv[0]]()])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
