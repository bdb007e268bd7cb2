"""The one entry point; the subcommand picks the role.

Each role is imported only when asked for: the idle WAL receiver sits beside every database and
may cost no more than a bare interpreter.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from postbase_operator import __version__
from postbase_operator.errors import PostbaseError


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(
        prog="postbase-operator", description="Postbase databases on Kubernetes"
    )
    root.add_argument("--version", action="version", version=__version__)
    roles = root.add_subparsers(dest="role", metavar="ROLE", required=True)
    roles.add_parser("operator", help="reconcile Projects and Databases (POSTBASE_* set it up)")
    roles.add_parser("gateway", help="the REST API (POSTBASE_GATEWAY_* set it up)")
    _add_token(roles.add_parser("token", help="tokens of the REST API: create, list, revoke"))
    roles.add_parser("wal-receiver", help="the sidecar beside each database")
    backup = roles.add_parser("backup", help="one run of one Backup, in its Job")
    backup.add_argument("part", choices=("prepare", "pipes", "logical", "physical"))
    roles.add_parser("fill", help="fill a volume with a backup, in a restore's Job")
    roles.add_parser("stage", help="fill a volume with a backup and its log, where no Job can")
    roles.add_parser("prefetch", help="fetch the log for a recovery, beside PostgreSQL")
    catalog = roles.add_parser("catalog", help="Databases that the object stores know")
    catalog.add_argument("what", choices=("list",))
    catalog.add_argument("--namespace", help="only of this one")
    load = roles.add_parser("load", help="restore a dump beside a database, in a restore's Job")
    load.add_argument("part", choices=("prepare", "run"))
    crds = roles.add_parser("crds", help="write the custom resource definitions")
    crds.add_argument("folder", nargs="?", help="where to; without it, to standard output")
    return root


def _add_token(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    create = actions.add_parser("create", help="make a token, and its account where there is none")
    create.add_argument("--login", required=True, help="of the account")
    create.add_argument("--plan", choices=("Free", "Pro"), help="of the account")
    create.add_argument("--name", default="", help="a word for people: what it is used for")
    create.add_argument("--scope", choices=("read", "write"), help="read: it changes nothing")
    create.add_argument("--expires-in", metavar="DURATION", help="such as 720h; else never")
    listed = actions.add_parser("list", help="tokens, without what opens the door")
    listed.add_argument("--login", help="only of this account")
    revoke = actions.add_parser("revoke", help="take a token back")
    revoke.add_argument("name", help="as `list` shows it")


def _operator(_: argparse.Namespace) -> int:
    import os

    from postbase_operator.handlers.process import main
    from postbase_operator.settings import Settings

    return main(Settings.from_env(os.environ))


def _gateway(_: argparse.Namespace) -> int:
    import os

    from postbase_operator.gateway.process import main
    from postbase_operator.gateway.settings import GatewaySettings

    return main(GatewaySettings.from_env(os.environ))


def _token(arguments: argparse.Namespace) -> int:
    import os

    from postbase_operator.gateway.settings import GatewaySettings
    from postbase_operator.gateway.token_command import main

    return main(GatewaySettings.from_env(os.environ), arguments)


def _wal_receiver(_: argparse.Namespace) -> int:
    from postbase_operator.jobs.wal_receiver import main

    return main()


def _backup(arguments: argparse.Namespace) -> int:
    from postbase_operator.jobs import desk, logical, physical

    parts = {
        "prepare": logical.prepare,
        "pipes": logical.pipes,
        "logical": logical.back_up,
        "physical": physical.back_up,
    }
    return desk.run(parts[arguments.part])


def _fill(_: argparse.Namespace) -> int:
    from postbase_operator.jobs import desk, fill

    return desk.run(fill.fill)


def _stage(_: argparse.Namespace) -> int:
    from postbase_operator.jobs.stage import main

    return main()


def _prefetch(_: argparse.Namespace) -> int:
    from postbase_operator.jobs import desk, prefetch

    return desk.run(prefetch.prefetch)


def _catalog(arguments: argparse.Namespace) -> int:
    import os

    from postbase_operator.jobs.catalogue import main
    from postbase_operator.settings import Settings

    return main(Settings.from_env(os.environ), arguments.namespace)


def _load(arguments: argparse.Namespace) -> int:
    from postbase_operator.jobs import desk, load

    return desk.run({"prepare": load.prepare, "run": load.load}[arguments.part])


def _crds(arguments: argparse.Namespace) -> int:
    from postbase_operator.api.crd import render

    for name, text in render().items():
        if arguments.folder is None:
            print(f"---\n{text}", end="")
        else:
            Path(arguments.folder, name).write_text(text)
    return 0


ROLES: dict[str, Callable[[argparse.Namespace], int]] = {
    "operator": _operator,
    "gateway": _gateway,
    "token": _token,
    "wal-receiver": _wal_receiver,
    "backup": _backup,
    "fill": _fill,
    "stage": _stage,
    "prefetch": _prefetch,
    "catalog": _catalog,
    "load": _load,
    "crds": _crds,
}


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    try:
        return ROLES[arguments.role](arguments)
    except PostbaseError as error:
        print(f"postbase-operator {arguments.role}: {error}", file=sys.stderr)
        return 2
