"""What a fill's Job and pod tell of it once it has ended well."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from postbase_operator.archive.run import VARIABLE, FillRun, Recovered, RecoveryTask
from postbase_operator.desired.fill_job import FILL, RECOVER
from postbase_operator.kube.cache import Cache
from postbase_operator.kube.fills import Fills, fill_of
from postbase_operator.kube.kinds import JOB as JOBS
from unit.conftest import database
from unit.planning.test_database import CURRENT

LAST_COMMIT = datetime(2026, 11, 28, 1, 40, 10, tzinfo=UTC)
TASK = RecoveryTask(
    restore="5c1e4f5c",
    timeline=1,
    end="0/5000000",
    keeps_archive=False,
    last_commit=LAST_COMMIT,
)
RUN = FillRun(object_key="v1/x/base/1/", recovery=TASK)


def told(run: str) -> dict[str, Any]:
    fill = {"name": FILL, "env": [{"name": VARIABLE, "value": run}]}
    return {"template": {"spec": {"initContainers": [fill]}}}


JOB: dict[str, Any] = {
    "spec": told(RUN.to_bytes().decode()),
    "metadata": {"name": "main-1-2-5c1e4f5c-1", "creationTimestamp": "2026-11-28T03:00:00Z"},
    "status": {"conditions": [{"type": "Complete", "status": "True"}]},
}


def container(name: str, begin: str | None, end: str, message: str = "") -> dict[str, Any]:
    ended: dict[str, Any] = {"exitCode": 0, "finishedAt": end, "message": message}
    return {"name": name, "state": {"terminated": ended | ({"startedAt": begin} if begin else {})}}


@pytest.mark.parametrize(("begin", "seconds"), [("2026-11-28T03:00:04Z", 56), (None, 0)])
def test_how_long_its_parts_took_by_its_containers(begin: str | None, seconds: int) -> None:
    word = Recovered(system_id="77", timeline=2, lsn="0/10").to_bytes().decode()
    pod = {
        "status": {
            "initContainerStatuses": [container(FILL, begin, "2026-11-28T03:01:00Z")],
            "containerStatuses": [
                container(RECOVER, "2026-11-28T03:01:01Z", "2026-11-28T03:03:01Z", word)
            ],
        }
    }
    made = fill_of("main-1-2", JOB, pod)
    assert (made.system_id, made.content_seconds, made.replay_seconds) == ("77", seconds, 120)


@pytest.mark.parametrize(
    ("run", "task"),
    [(RUN.to_bytes(), TASK), (FillRun(object_key="v1/x/").to_bytes(), None), (b"{}", None)],
)
def test_it_is_held_against_what_its_job_was_told(run: bytes, task: RecoveryTask | None) -> None:
    word = Recovered(system_id="77", timeline=2, lsn="0/10").to_bytes().decode()
    ended = container(RECOVER, "2026-11-28T03:01:01Z", "2026-11-28T03:03:01Z", word)
    pod = {"status": {"containerStatuses": [ended]}}
    assert fill_of("main-1-2", JOB | {"spec": told(run.decode())}, pod).task == task


def test_a_run_without_its_volume_is_a_stray_one() -> None:
    db, cache = database(), Cache()
    fills = Fills(cast(Any, None), cache, cast(Any, None), cast(Any, None))
    for name, component in (
        ("shop-main-1-2-5c1e4f5c-1", "restore"),
        ("shop-main-1-3-5c1e4f5c-1", "restore"),
        ("shop-main-load-5c1e4f5c-1", "load"),
    ):
        labels = {
            "postbase.sh/database": "shop-main",
            "app.kubernetes.io/component": component,
        }
        metadata = {"namespace": "team", "name": name, "uid": name, "labels": labels}
        cache.put(JOBS, {"metadata": metadata})
    second = replace(CURRENT, name="shop-main-1-2", generation=2)
    assert fills.strays(db, [CURRENT, second]) == ("shop-main-1-3-5c1e4f5c-1",)
    going = replace(second, deleting=True)
    assert len(fills.strays(db, [CURRENT, going])) == 2
