"""`make tries [TRAP=name]`: takes the fix of each trap of Railway out of a copy of this checkout,
has the test run that holds it, and prints what it said. Ends with 1 where one still passes."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from railway.trap_table import ROOT
from railway.tries import TRIES, Try

LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "node_modules")
FAILED, PASSED = 1, 0
NO_REASON = r"(Name|Import|Syntax|Attribute|Type)Error"
"""A program that is broken shows nothing of a trap."""
LONGEST = 300
"""Seconds for a test. Some wait for what never comes without the fix; that counts as failed."""


def run(root: Path, *tests: str) -> subprocess.CompletedProcess[str]:
    """These tests in this copy, up to the first that fails."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    path = os.pathsep.join(str(root / folder) for folder in ("operator", "tests"))
    return subprocess.run(
        [*command, f"--timeout={LONGEST}", "-o", "timeout_func_only=true", *tests],
        cwd=root,
        env=os.environ | {"PYTHONPATH": path, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def verdict(ended: subprocess.CompletedProcess[str]) -> str:
    """What the test said, in a line; begins with `fails` only where the test itself did."""
    said = ended.stdout
    if ended.returncode == PASSED:
        return "STILL PASSES"
    if ended.returncode != FAILED or not re.search("^FAILED ", said, re.MULTILINE):
        return f"BROKEN: {said.strip().splitlines()[-1:]} {ended.stderr.strip()[-200:]}"
    reason = [*re.findall(r"^E +(\S.*)$", said, re.MULTILINE), "no reason is given"][0][:100]
    return f"BROKEN: {reason}" if re.match(NO_REASON, reason) else f"fails: {reason}"


def tried(root: Path, one: Try) -> str:
    """The copy is as it was afterwards."""
    path = root / "operator" / "postbase_operator" / one.file
    before = path.read_text() if path.exists() else None
    one.take_out(root)
    try:
        return verdict(run(root, one.test))
    finally:
        path.unlink() if before is None else path.write_text(before)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make tries", description=__doc__)
    parser.add_argument("trap", nargs="*", help="only these (docs/railway.md has them all)")
    names = parser.parse_args(arguments).trap
    tries = [one for one in TRIES if not names or one.trap in names]
    if not tries:
        parser.error(f"no try is of {', '.join(names)}")
    with tempfile.TemporaryDirectory(prefix="pb-tries-") as folder:
        root = Path(folder) / "copy"
        shutil.copytree(ROOT, root, ignore=LEFT_OUT)
        print("with all of them:", end=" ", flush=True)
        whole = run(root, *sorted({one.test for one in tries}))
        print(whole.stdout.strip().splitlines()[-1])
        if whole.returncode != PASSED:
            return 1
        missed = [one for one in tries if not _told(root, one)]
    print(f"{len(tries) - len(missed)} of {len(tries)} tries make their test fail")
    return bool(missed)


def _told(root: Path, one: Try) -> bool:
    said = tried(root, one)
    test = one.test.rpartition("/")[2]
    print(f"{one.trap}\n  without: {_line(one)}\n  {test}\n  {said}", flush=True)
    return said.startswith("fails")


def _line(one: Try) -> str:
    lines = (one.fix or one.instead).strip().splitlines()
    return f"{one.file}: {lines[0].strip()}{' …' if len(lines) > 1 else ''}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
