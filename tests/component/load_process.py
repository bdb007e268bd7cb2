"""A container of ours in the Job that restores a dump, as a process of its own.

python -m component.load_process FOLDER WORDS…    what is mounted lies in the folder
"""

from __future__ import annotations

import sys
from pathlib import Path

from postbase_operator import cli
from postbase_operator.desired import names
from postbase_operator.jobs import desk

WORD = "word"

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    names.RUN_MOUNT, names.STORE_MOUNT = str(folder / "run"), str(folder / "store")
    desk.LAST_WORD = folder / WORD
    sys.exit(cli.main(sys.argv[2:]))
