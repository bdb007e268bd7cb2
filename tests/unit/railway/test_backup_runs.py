"""What is known of an attempt whose log cannot be read."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from postbase_operator.archive.backup_order import BackupOrder, BackupWord
from postbase_operator.errors import Unavailable
from postbase_operator.railway.backups import backup_runs
from postbase_operator.railway.backups.backup_runs import BackupRuns
from postbase_operator.railway.graphql.deployments import Deployment, LogLine
from postbase_operator.railway.ground import Ground
from unit.conftest import NOW
from unit.desired.test_backup_job import run_of
from unit.planning.test_backup import backup

ORDER = BackupOrder(
    attempt=1, made_at=NOW, until=NOW + timedelta(hours=9), run=run_of(backup(method="Physical"))
)
RUNS = Deployment(id="d", status="SUCCESS")


async def test_one_whose_log_cannot_be_read_is_not_one_that_has_not_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would be ended as one that does not start, in its second hour."""
    time, lines = [1000.0], list[str]()
    away, asked = [True], [0]

    async def logs(*_: object, **__: object) -> tuple[LogLine, ...]:
        asked[0] += 1
        if away[0]:
            raise Unavailable("Railway", "502")
        return tuple(LogLine(timestamp="", message=each) for each in lines)

    monkeypatch.setattr("postbase_operator.railway.graphql.reads.logs", logs)
    sight = SimpleNamespace(clock=lambda: time[0])
    client = SimpleNamespace(budget=SimpleNamespace(crowd=1.0))
    ground = cast(Ground, SimpleNamespace(sight=sight, client=client))
    runs = BackupRuns(cast(Any, None), cast(Any, None), lambda: NOW)
    for _ in range(2):
        with pytest.raises(Unavailable):
            await runs._word(ground, ORDER, RUNS)
    assert asked == [1]  # what is rationed is not asked for at each look

    away[0], time[0] = False, time[0] + backup_runs.SAID_EVERY
    lines.append(BackupWord(id=ORDER.run.id, attempt=1, at=NOW).line())
    word = await runs._word(ground, ORDER, RUNS)
    assert word is not None
    away[0], time[0] = True, time[0] + backup_runs.SAID_EVERY
    assert await runs._word(ground, ORDER, RUNS) == word  # known since before
