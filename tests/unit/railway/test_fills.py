"""What the log of a recovery on Railway tells."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from postbase_operator.archive.run import VARIABLE, FillRun, RecoveryTask
from postbase_operator.archive.staging import ATTEMPT
from postbase_operator.errors import Unavailable
from postbase_operator.planning.backup_observed import RunState
from postbase_operator.planning.observed import Fill
from postbase_operator.postgres import recovered
from postbase_operator.postgres.faults import POSTGRESQL
from postbase_operator.postgres.recovered import Recovered
from postbase_operator.railway.fill_service import COMMAND, WHOLE, whole
from postbase_operator.railway.graphql.deployments import Deployment
from postbase_operator.railway.graphql.models import ServiceInstance
from postbase_operator.railway.ground import Ground
from postbase_operator.railway.restores.fills import Fills, last_fatal
from postbase_operator.railway.restores.restore_books import RestoreBooks
from postbase_operator.railway.sql.restore_door import RestoreDoor
from unit.conftest import NOW, database

TASK = RecoveryTask(restore="r", timeline=1, end="0/5000000", last_commit=NOW)

LOG = """\
2026-11-28 23:00:01 UTC [30] LOG:  starting archive recovery
2026-11-28 23:00:02 UTC [41] FATAL:  the database system is starting up
2026-11-28 23:00:03 UTC [30] LOG:  redo done at 0/5000028
2026-11-28 23:00 [30] LOG:  last completed transaction was at log time 2026-11-28 22:10:00+00
2026-11-28 23:00:03 UTC [30] FATAL:  recovery ended before configured recovery target was reached
2026-11-28 23:00:04 UTC [42] FATAL:  no pg_hba.conf entry for host "203.0.113.9"
2026-11-28 23:00:04 UTC [43] FATAL:  role "root" does not exist
2026-11-28 23:00:05 UTC [1] LOG:  database system is shut down
""".splitlines()


def test_why_it_has_ended_is_not_what_strangers_at_an_open_port_are_told() -> None:
    assert last_fatal(LOG) == "recovery ended before configured recovery target was reached"
    assert last_fatal(LOG[:4]) == ""
    panic = "PANIC:  could not write to file: No space left on device"
    assert last_fatal([*LOG, panic]) == panic.partition(":  ")[2]


class Double:
    """A deployment of PostgreSQL on Railway, for one look at a time."""

    def __init__(self) -> None:
        told = {VARIABLE: FillRun(object_key="k", recovery=TASK).to_bytes().decode(), ATTEMPT: "1"}
        self.variables = told
        self.fills = Fills(cast(RestoreDoor, self), cast(RestoreBooks, None), lambda: self.now)
        self.now: datetime = NOW
        self.refuses: Exception | None = None
        self.status = "SUCCESS"

    async def _variables(self, _: str) -> dict[str, str]:
        return self.variables

    @asynccontextmanager
    async def open(self, *_: object) -> AsyncIterator[None]:
        if self.refuses is not None:
            raise self.refuses
        yield

    async def look(self) -> Fill:
        ground: Any = SimpleNamespace(
            sight=SimpleNamespace(variables=self._variables), client=None, settles=1.0
        )
        service = one_that_runs("pg", self.status)
        fill = await self.fills.look(cast(Ground, ground), database(), service, "v", None)
        assert fill is not None
        return fill


def answers(monkeypatch: pytest.MonkeyPatch, found: Recovered) -> None:
    async def answer(_: object) -> Recovered:
        return found

    monkeypatch.setattr(recovered, "recovered", answer)


async def test_how_far_it_came_is_told_with_what_it_was_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers(monkeypatch, Recovered("7", 2, NOW, is_settled=False))
    fill = await Double().look()
    assert (fill.job.state, fill.system_id, fill.task) == (RunState.SUCCEEDED, "7", TASK)
    assert datetime.fromisoformat(fill.last_commit) == NOW


async def test_what_cannot_be_held_against_the_plan_is_not_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers(monkeypatch, Recovered("7", 2, None, is_settled=False))
    fill = await Double().look()
    assert (fill.job.state, fill.job.reason) == (RunState.FAILED, "RecoveryFailed")
    assert "started again" in fill.job.message
    # One that was made fit to serve was held against it before.
    answers(monkeypatch, Recovered("7", 2, None, is_settled=True))
    assert (await Double().look()).job.state is RunState.SUCCEEDED


async def test_a_recovery_that_lets_nobody_in_says_why_and_ends_once_it_is_ready(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = list(LOG)

    async def logs(*_: object, limit: int) -> list[SimpleNamespace]:
        return [SimpleNamespace(message=line) for line in log[-limit:]]

    monkeypatch.setattr("postbase_operator.railway.graphql.reads.logs", logs)
    double = Double()
    double.refuses = Unavailable(POSTGRESQL, 'role "postgres" is not permitted\nto log in')
    for minutes in (0, 9, 11):  # it recovers for long
        double.now = NOW + timedelta(minutes=minutes)
        fill = await double.look()
        assert (fill.job.state, fill.recovers) == (RunState.RUNNING, True)
        assert 'role "postgres" is not permitted to log in' in fill.job.message
    log.append("2026-11-28 23:11:00 UTC [1] LOG:  database system is ready to accept connections")
    double.now = NOW + timedelta(minutes=15)  # the log was read four minutes ago
    assert (await double.look()).job.state is RunState.RUNNING
    for minutes in (22, 23):
        double.now = NOW + timedelta(minutes=minutes)
        fill = await double.look()
        assert (fill.job.state, fill.job.reason) == (RunState.FAILED, "RecoveryFailed")
        assert "not permitted" in fill.job.message


async def test_what_ends_without_a_word_is_told_with_its_last_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = [*LOG[:4], "2026-11-28 23:00:05 UTC [1] LOG:  database system is\tshut down"]

    async def logs(*_: object, limit: int) -> list[SimpleNamespace]:
        return [SimpleNamespace(message=line) for line in log[-limit:]]

    monkeypatch.setattr("postbase_operator.railway.graphql.reads.logs", logs)
    for told in ("last line of its log: 2026-11-28 23:00:05 UTC [1] LOG: database", "log is empty"):
        double = Double()
        double.status = "FAILED"
        assert (await double.look()).job.state is RunState.RUNNING
        double.now = NOW + timedelta(seconds=2)
        fill = await double.look()
        assert (fill.job.state, fill.job.reason) == (RunState.FAILED, "RecoveryFailed")
        assert told in fill.job.message
        assert "on Railway" not in fill.job.message  # what is given up in place goes, with its log
        log.clear()


async def test_the_log_of_what_has_failed_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read = []

    async def logs(_: object, deployment: str, limit: int) -> list[SimpleNamespace]:
        read.append((deployment, limit))
        return [SimpleNamespace(message=line) for line in LOG]

    monkeypatch.setattr("postbase_operator.railway.graphql.reads.logs", logs)
    double = Double()
    double.status = "FAILED"
    first = await double.look()
    assert (first.job.state, first.job.reason) == (RunState.FAILED, "RecoveryFailed")
    assert await double.look() == first
    assert len(read) == 1
    double.variables[ATTEMPT] = "2"
    await double.look()
    assert len(read) == 2


async def test_that_the_log_has_nothing_after_the_target_holds_for_all_attempts_at_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = list(LOG)

    async def logs(*_: object, limit: int) -> list[SimpleNamespace]:
        return [SimpleNamespace(message=line) for line in log[-limit:]]

    monkeypatch.setattr("postbase_operator.railway.graphql.reads.logs", logs)
    task = TASK.model_copy(update={"stop_at": NOW})
    told = {VARIABLE: FillRun(object_key="k", recovery=task).to_bytes().decode()}
    double, ground = Double(), cast(Ground, SimpleNamespace(client=None))
    service = one_that_runs("pg")
    known = await double.fills.whole(ground, service, told, task)
    assert known == whole(task) != ""
    # The next attempt has failed before it came to PostgreSQL, whose log is not there any more.
    again = told | {WHOLE: known}
    staged = one_that_runs("ours").model_copy(update={"start_command": COMMAND})
    assert await double.fills.whole(ground, staged, again, task) == known
    assert await double.fills.whole(ground, staged, told, task) == ""
    # Of another plan, whose log goes on beyond the target, it says nothing.
    longer = task.model_copy(update={"end": "0/6000000"})
    assert await double.fills.whole(ground, service, again, longer) == ""
    assert await double.fills.whole(ground, service, told, TASK) == ""  # it has no target
    del log[4:]
    assert await double.fills.whole(ground, service, told, task) == ""


def one_that_runs(image: str, status: str = "FAILED") -> ServiceInstance:
    latest = Deployment(id="d", status=status, status_updated_at=NOW, meta={"image": image})
    wire = {"serviceId": "s", "serviceName": "shop", "source": {"image": image}}
    return ServiceInstance.model_validate(wire).model_copy(update={"latest_deployment": latest})
