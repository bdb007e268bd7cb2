"""The one entry point; the subcommand picks the role.

Each role is imported only when asked for: the idle WAL receiver sits beside every database and
may cost no more than a bare interpreter.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from postbase_operator import __version__


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(
        prog="postbase-operator", description="Postbase databases on Kubernetes"
    )
    root.add_argument("--version", action="version", version=__version__)
    return root


def main(argv: Sequence[str] | None = None) -> int:
    parser().parse_args(argv)
    return 0
