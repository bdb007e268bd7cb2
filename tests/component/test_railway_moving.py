"""A Database moves between providers: what the one has written is restored on the other.
Real servers, the real receiver, our fill, recover.sh, and the double of Railway."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from component.railway_operator import Operator
from component.railway_receivers import Site
from component.railway_restores import (
    Parts,
    archiving,
    backed_up,
    copy_of,
    ours,
    patience,
    railway,
    site,
    written,
)
from component.receivers import hot_store, receiving
from component.recoveries import recovered, task
from component.servers import Server, Servers, servers
from component.store_server import store_of
from component.test_recovery import backed_up as backed_up_there
from postbase_operator.archive.keys import Archive, PhysicalFolder, parse_backup
from postbase_operator.desired.postgresql_conf import BOOTSTRAP
from postbase_operator.objectstore.archive_log import StoredLog, load
from postbase_operator.objectstore.settings import StoreConfig
from postbase_operator.planning.recovery import Target, plan_recovery

__all__ = ["ours", "patience", "railway", "servers", "site"]
pytestmark = pytest.mark.timeout(2400)
ROLES = """
SELECT rolname::text, rolsuper, rolreplication, rolcanlogin FROM pg_roles
WHERE rolname LIKE 'postbase\\_%' AND rolcanlogin ORDER BY 1
"""


async def test_from_railway_to_kubernetes(
    servers: Servers,
    ours: Operator,
    site: Site,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What recover.sh makes of it has the roles by which the operator and the receiver come in, and
    needs no file that is on Railway alone: the certificates that its postgresql.conf names."""
    db = await archiving(ours)
    await written(ours, site, db, "before")
    backup = await backed_up(ours, site, db, tmp_path / "pod", monkeypatch)
    await written(ours, site, db, "after")
    key = str(backup.status.object_key)
    server = await asyncio.to_thread(_on_kubernetes, servers, site.store, key)
    assert server.sql(ROLES) == [
        ("postbase_admin", True, False, True),
        ("postbase_walrx", False, True, True),
    ]
    counts = "SELECT (SELECT count(*) FROM before), (SELECT count(*) FROM after)"
    found = server.sql(counts, dbname="app")
    assert found == [(2000, 2000)]


def _on_kubernetes(servers: Servers, config: StoreConfig, key: str) -> Server:
    store, place = store_of(config), parse_backup(key)
    assert isinstance(place, PhysicalFolder)
    archived = load(store, place.archive)
    plan = plan_recovery(archived, StoredLog(store), Target(), datetime.now(UTC))
    server, _ = recovered(servers, 15, store, key, task(plan), ssl="off")
    return server


async def test_from_kubernetes_to_railway(servers: Servers, ours: Operator, site: Site) -> None:
    """The data has another superuser's password, or none; its settings are in no file that it has;
    its own pg_hba.conf lets nobody in from outside."""
    server = servers.new(15)
    server.sql(BOOTSTRAP)
    archive = await asyncio.to_thread(_archived, server, site.store)
    bootstrap = {"restore": {"from": {"databaseUID": archive.database_uid}, "latest": {}}}
    copy = await ours.ready(copy_of(bootstrap=bootstrap))
    assert ours.sql(copy, "SELECT count(*) FROM moved") == [(3,)]
    own = server.sql("SELECT system_identifier::text FROM pg_control_system()")
    assert [(copy.status.system_id,)] == own
    assert len(Parts(site, copy).services) == 1
    assert ours.sql(copy, "SELECT 1", app=True) == [(1,)]


def _archived(server: Server, config: StoreConfig) -> Archive:
    with receiving(server, hot_store(config)) as running:
        running.caught_up()
        archive, _ = backed_up_there(server, store_of(config))
        server.sql("CREATE TABLE moved AS SELECT generate_series(1, 3) AS n")
        running.caught_up()
    return archive
