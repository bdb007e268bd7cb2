"""A planned stop is clean and quick, whatever its clients are doing.

PostgreSQL's own answer to the kubelet's signal is to wait for every client: one of them would use
up the whole grace of five minutes, end in a kill, and the next start would be crash recovery.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psycopg
import pytest

from e2e.cluster import eventually
from e2e.database import Db
from e2e.operators import on_our_node
from e2e.runs import Process, processes

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(not on_our_node(), reason="processes are looked at on the node itself"),
]

GONE_WITHIN = 20
UNCLEAN = ("was interrupted", "not properly shut down", "redo starts")


@contextmanager
def idle(db: Db) -> Iterator[None]:
    with db.connect():
        yield


@contextmanager
def in_transaction(db: Db) -> Iterator[None]:
    """It holds a lock, and a row that was never committed."""
    with db.connect() as connection:
        connection.autocommit = False
        connection.execute("INSERT INTO notes VALUES ('never committed')")
        yield
        with pytest.raises(psycopg.OperationalError):
            connection.commit()


@contextmanager
def busy(db: Db) -> Iterator[None]:
    """A statement that would take longer than anybody waits."""
    with db.connect() as connection:
        ended: list[BaseException] = []

        def work() -> None:
            try:
                connection.execute("SELECT pg_sleep(3600)")
            except psycopg.OperationalError as error:
                ended.append(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        yield
        thread.join(timeout=30)
        assert ended, "the statement was not ended"


CLIENTS = {"idle": idle, "in a transaction": in_transaction, "busy": busy}


def servers(pod_uid: str) -> list[Process]:
    return [each for each in processes(pod_uid) if "postgres" in each.words[0]]


@pytest.mark.parametrize("clients", [["idle"], list(CLIENTS)], ids=["one idle", "three kinds"])
def test_clients_do_not_make_a_stop_a_crash(db: Db, clients: list[str]) -> None:
    row = f"before {', '.join(clients)}"
    db.fill(row)
    with ExitStack() as connected:
        for client in clients:
            connected.enter_context(CLIENTS[client](db))
        uid = db.pod_uid()
        assert servers(uid), "else its end would be seen without one"
        db.cluster.delete("pod", db.namespace, db.pod, "--wait=false")
        # Not the pod's end, for which a busy containerd 1.6 may wait long after PostgreSQL's.
        eventually(lambda: not servers(uid), "PostgreSQL has ended", seconds=GONE_WITHIN)
    eventually(lambda: db.pod_uid() not in ("", uid), "a new pod", seconds=120)
    db.wait_known_to_run()
    db.wait_logged("database system was shut down")
    assert row in db.notes()
    assert "never committed" not in db.notes()
    log = db.logs()
    assert not [words for words in UNCLEAN if words in log]
    db.wait_ready(seconds=30)
