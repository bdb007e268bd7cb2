"""What was replaced in place on Railway stays shut, whoever deploys it: Railway itself, or a person
on its page. Clients that hold its address write nowhere, and the new one serves on."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from component.railway_caller import Caller, Failed
from component.railway_in_place import restored, running, to, wish
from component.railway_operator import Operator
from component.railway_receivers import Site, eventually
from component.railway_restores import archiving, backed_up, ours, patience, railway, site, written
from component.test_railway_in_place import count
from postbase_operator.api.database import Database
from postbase_operator.postgres.credentials import Front
from postbase_operator.railway.generations import FENCE
from railway.state import Deployment

__all__ = ["ours", "patience", "railway", "site"]
pytestmark = pytest.mark.timeout(600)
STARTED = "database system is ready to accept connections"


@pytest.mark.trap("railway-redeploys")
async def test_whatever_is_deployed_of_what_was_replaced_is_no_postgresql(
    ours: Operator, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = await archiving(ours)
    await backed_up(ours, site, db, tmp_path / "pod", monkeypatch)
    moment = await written(ours, site, db, "t")
    before, held = ours.ring.fronts[db.metadata.uid], db.status.railway
    assert held is not None
    assert held.service_id is not None
    db, _ = await restored(ours, db, wish(db, "back", to(moment), keepPrevious="1h"))
    ours.sql(db, "CREATE TABLE since (n int)", app=True)
    former = Former(site, held.service_id)
    served = former.latest
    assert STARTED in former.log(served)

    # What was stopped would come back as it was, by a restart on Railway's page: it is removed.
    await put_away(ours, db, former)
    with pytest.raises(Failed, match="not running"):
        former.restarted(served)

    for deploy in (former.moved, former.deployed, former.redeployed):
        made = deploy()
        await eventually(f"the end of {made.id}", partial(former.is_over, made))
        assert made.id != served.id
        assert made.start_command == FENCE
        db = await goes_on(ours, site, db, former)
        assert_shut(ours, db, before)
    started = [STARTED in former.log(each) for each in former.deployments]
    assert started[:4] == [False, False, False, True]


async def put_away(ours: Operator, db: Database, former: Former) -> None:
    for _ in range(50):
        if former.latest.status == "REMOVED":
            return
        await ours.look(db)
        await asyncio.sleep(0.1)
    raise AssertionError(f"{former.latest.id} is {former.latest.status}: {ours.refusals[-3:]}")


class Former:
    """The service that was replaced, and what may be done with it on Railway."""

    def __init__(self, site: Site, service_id: str) -> None:
        self._site, self.service_id = site, service_id
        self._where = {"serviceId": service_id, "environmentId": site.place.environment_id}
        self._call = Caller(site.double, site.double.token())

    @property
    def deployments(self) -> list[Deployment]:
        """The latest first."""
        state = self._site.double.world.state
        return state.deployments_of(self.service_id, self._site.place.environment_id)

    @property
    def latest(self) -> Deployment:
        return self.deployments[0]

    def moved(self) -> Deployment:
        """To another host, by Railway itself."""
        return self._site.double.migrate_host(self.service_id, self._site.place.environment_id)

    def deployed(self) -> Deployment:
        return self._made("Deploy")

    def redeployed(self) -> Deployment:
        return self._made("RedeploySameImage")

    def _made(self, document: str) -> Deployment:
        self._call(document, **self._where)
        return self.latest

    def restarted(self, which: Deployment) -> None:
        self._call("RestartDeployment", id=which.id)

    def is_over(self, which: Deployment) -> bool:
        done = which.status in ("CRASHED", "FAILED", "REMOVED") or which.stopped
        return done and which.id not in self._site.double.world.boxes

    @staticmethod
    def log(which: Deployment) -> str:
        return "\n".join(line for _, line in which.logs)


async def goes_on(ours: Operator, site: Site, db: Database, former: Former) -> Database:
    """The operator looks at it, and the Database is what it was."""
    for _ in range(5):
        db, _ = await ours.look(db)
    db = await ours.ready(db)
    assert former.service_id not in running(site, db)
    ours.sql(db, "INSERT INTO since VALUES (1)", app=True)
    assert count(ours, db, "t") == 2000
    return db


def assert_shut(ours: Operator, db: Database, front: Front) -> None:
    password = ours.ring.passwords[db.metadata.uid]
    who: dict[str, Any] = {"user": "postgres", "password": password, "dbname": "postgres"}
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(host=front.host, port=front.port, connect_timeout=5, **who)
