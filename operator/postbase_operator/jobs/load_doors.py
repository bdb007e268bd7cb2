"""The sessions of the Job that restores a dump: as a superuser, and as who restores.

By a certificate that it signs itself; where the server is not in this cluster (Railway), and trusts
none, by the superuser's password through whatever lies between, bound to the channel.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from postbase_operator.archive.load_run import LoadRun
from postbase_operator.desired import by_password, names
from postbase_operator.jobs import passport
from postbase_operator.jobs.logical import ADMIN
from postbase_operator.postgres.loading import RESTORER, Loading, door

NAME = "postbase restore"


def open_doors(run: LoadRun, password: str, folder: Path) -> Loading:
    """`password`: RESTORER's, made up for this run; it is left in `folder` for pg_restore."""
    pass_on(password, folder)
    superusers = os.environ.get(by_password.PASSWORD)
    if superusers is not None:
        return _by_password(run, superusers, password)
    return _by_certificate(run, password)


def pass_on(password: str, folder: Path) -> None:
    """It lies in memory, and opens nothing afterwards."""
    path = folder / "pgpass"
    path.touch(mode=0o600)
    path.write_text(f"*:*:*:{RESTORER}:{password}\n")


def _by_certificate(run: LoadRun, password: str) -> Loading:
    own = Path(names.OWN_MOUNT)
    passport.issue(ADMIN, own)
    address = socket.getaddrinfo(run.host, run.port, type=socket.SOCK_STREAM)[0][4][0]
    base = {
        "host": run.host,
        "hostaddr": str(address),
        "port": str(run.port),
        "sslmode": "verify-full",
        "sslrootcert": str(own / "ca.crt"),
        "application_name": NAME,
    }
    keys = {"sslcert": str(own / "tls.crt"), "sslkey": str(own / "tls.key")}
    admin = door(user=ADMIN, **keys, **base)
    return Loading(run, admin, door(user=RESTORER, password=password, **base))


def _by_password(run: LoadRun, superusers: str, password: str) -> Loading:
    base = {
        "host": run.host,
        "port": str(run.port),
        "sslmode": "require",
        "channel_binding": "require",
        "gssencmode": "disable",
        "application_name": NAME,
        **by_password.KEEPALIVES,
    }
    admin = door(user=by_password.SUPERUSER, password=superusers, **base)
    return Loading(run, admin, door(user=RESTORER, password=password, **base))
