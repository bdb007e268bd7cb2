"""What people and Railway do to a Database that runs there, and what is left of it afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from component.railway_caller import Caller
from component.railway_operator import (
    Operator,
    changed,
    instances,
    is_ready,
    railway_database,
    said,
    volumes,
)
from component.tls_relay import eavesdropper
from postbase_operator.api.database import Database
from postbase_operator.errors import Unavailable
from postbase_operator.postgres.connect import password_session
from postbase_operator.railway.graphql.reads import Place
from postbase_operator.wal.client import RECEIVER, Replication, by_password
from railway.double import RailwayDouble


@pytest.fixture
def railway() -> Iterator[RailwayDouble]:
    with RailwayDouble() as double:
        yield double


@pytest.mark.trap("password-of-an-empty-volume")
async def test_a_superusers_secret_that_is_gone_comes_back_as_it_was(
    railway: RailwayDouble, place: Place, ours: Operator
) -> None:
    """A new password would lock us out, and then overwrite the only copy of the one that counts."""
    db = await ours.ready(railway_database())
    before = ours.ring.passwords.pop(db.metadata.uid)
    db = await ours.ready(changed(db, parameters={"work_mem": "8MB"}))
    assert ours.ring.passwords == {db.metadata.uid: before}
    assert ours.sql(db, "SHOW work_mem") == [("8MB",)]
    (service,) = instances(railway, place)
    assert service.variables["POSTGRES_PASSWORD"] == before


@pytest.mark.trap("password-of-an-empty-volume")
async def test_one_that_was_edited_is_told_and_the_copy_on_railway_stays(
    railway: RailwayDouble, place: Place, ours: Operator
) -> None:
    db = await ours.ready(railway_database())
    uid = db.metadata.uid
    before, ours.ring.passwords[uid] = ours.ring.passwords[uid], "edited"
    db = await ours.until(
        changed(db, resources={"cpu": "1", "memory": "512Mi"}),
        lambda each: "password authentication failed" in each.model_dump_json(),
    )
    (service,) = instances(railway, place)
    assert service.variables["POSTGRES_PASSWORD"] == before
    del ours.ring.passwords[uid]  # as docs/railway.md says
    await ours.ready(db)
    assert ours.ring.passwords[uid] == before


@pytest.mark.trap("usage-limit")
async def test_a_usage_limit_that_stops_it_is_told_in_railways_words(
    railway: RailwayDouble, ours: Operator
) -> None:
    db = await ours.ready(railway_database())
    ours.sql(db, "CREATE TABLE t AS SELECT 7 AS n", app=True)
    railway.reach_usage_limit()
    db = await ours.until(db, lambda _: any("Usage limit" in each for each in ours.refusals))
    railway.world.usage_limit = False  # paid
    db = await ours.until(db, lambda each: is_ready(each) and answers(ours, each))
    assert ours.sql(db, "SELECT n FROM t", app=True) == [(7,)]


def answers(ours: Operator, db: Database) -> bool:
    try:
        return ours.sql(db, "SELECT 1") == [(1,)]
    except psycopg.OperationalError:
        return False


async def test_a_token_that_was_revoked_is_told_and_the_database_serves_on(
    railway: RailwayDouble, place: Place, ours: Operator
) -> None:
    db = await ours.ready(railway_database())
    tokens = list(railway.world.state.tokens)
    for token in tokens:
        railway.revoke(token)
    larger = changed(db, storage={"size": "60Gi"})
    await ours.until(
        larger, lambda _: bool(ours.refusals) and "railway.tokenSecretRef" in ours.refusals[-1]
    )
    assert not [token for token in tokens if token in "".join(ours.refusals)]
    assert ours.sql(db, "SELECT 1", app=True) == [(1,)]
    assert len(instances(railway, place)) == 1


@pytest.mark.trap("certificate-is-localhosts")
async def test_who_stands_between_with_a_certificate_of_his_own_does_not_get_in(
    ours: Operator, tmp_path: Path
) -> None:
    db = await ours.ready(railway_database())
    front, password = ours.ring.fronts[db.metadata.uid], ours.ring.passwords[db.metadata.uid]
    async with password_session(front.host, front.port, password) as connection:
        await connection.execute("SELECT 1")
    with eavesdropper(front.host, front.port, tmp_path) as (between, port):
        unbound: dict[str, Any] = {"sslmode": "require", "channel_binding": "disable"}
        who: dict[str, Any] = {"user": "postgres", "password": password, "dbname": "postgres"}
        with psycopg.connect(host="127.0.0.1", port=port, **unbound, **who) as connected:
            connected.execute("SELECT 'overheard'")
        assert b"overheard" in between.read
        with pytest.raises(Unavailable, match="channel binding"):
            async with password_session("127.0.0.1", port, password):
                pass
    with eavesdropper(front.host, front.port, tmp_path, asks=True) as (between, port):
        with pytest.raises(Unavailable):
            async with password_session("127.0.0.1", port, password):
                pass
        assert not between.given


@pytest.mark.trap("certificate-is-localhosts", "replication-not-in-all")
async def test_who_stands_between_gets_neither_the_log_nor_a_base_backup(
    ours: Operator, tmp_path: Path
) -> None:
    db = await ours.ready(railway_database())
    front, password = ours.ring.fronts[db.metadata.uid], "of the receiver"
    ours.sql(db, f"CREATE ROLE {RECEIVER} LOGIN REPLICATION PASSWORD '{password}'")
    with Replication.connect(by_password(front.host, front.port, password, "test")) as straight:
        assert straight.identify().system_id == db.status.system_id
    for asks in (False, True):
        with eavesdropper(front.host, front.port, tmp_path, asks=asks) as (between, port):
            with pytest.raises(Unavailable):
                Replication.connect(by_password("127.0.0.1", port, password, "test"))
            assert not between.given
            assert b"IDENTIFY_SYSTEM" not in between.read


async def test_a_volume_that_is_deleted_on_railway_is_told_and_none_is_made_in_its_place(
    railway: RailwayDouble, place: Place, ours: Operator
) -> None:
    db = await ours.ready(railway_database())
    (volume,) = volumes(railway, place)
    (service,) = instances(railway, place)
    call = Caller(railway, railway.token("account"))
    call("DeleteVolume", volumeId=volume.volume_id)
    where = {"serviceId": service.service_id, "environmentId": place.environment_id}
    call("RedeploySameImage", **where)
    db = await ours.until(db, lambda each: said(each, "Stalled")[:2] == ("True", "VolumeLost"))
    for _ in range(3):
        db, _ = await ours.look(db)
    assert said(db)[1] == "VolumeLost"
    assert volumes(railway, place) == []
    await ours.gone(db)
