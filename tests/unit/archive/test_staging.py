"""What a run that fills a volume on Railway is told, and its last word in a log."""

from __future__ import annotations

import pytest

from postbase_operator.archive.record import UnreadableRecord
from postbase_operator.archive.run import FillRun
from postbase_operator.archive.staging import END, NAMES, Staging, StagingEnd, attempt_in, end_in

RUN = FillRun(object_key="k")
TOLD = Staging(RUN, 1, "s", "ca", "cert", "key", {"store.json": "{}"})


def test_what_is_missing_is_named() -> None:
    environ = TOLD.variables() | {"RAILWAY_VOLUME_MOUNT_PATH": "/v"}
    assert Staging.of(environ) == TOLD
    assert set(TOLD.variables()) <= set(NAMES)
    for name in set(environ) - {"POSTBASE_STORE"}:
        with pytest.raises(UnreadableRecord, match=name):
            Staging.of({key: value for key, value in environ.items() if key != name})


def test_the_last_word_is_that_of_the_attempt() -> None:
    first = StagingEnd(attempt=1, reason="WalGap", message="two\nlines")
    lines = ["2026 " + first.line(), "noise", f"{END}noise", StagingEnd(attempt=2).line()]
    assert "\n" not in first.line()
    found = end_in(lines, 1)
    assert found is not None
    assert (found.reason, found.message) == ("WalGap", "two\nlines")
    assert end_in(lines, 2) == StagingEnd(attempt=2)
    assert end_in(lines, 3) is None


@pytest.mark.parametrize(("said", "attempt"), [("2", 2), ("", 0), ("x", 0), (None, 0)])
def test_an_attempt_that_cannot_be_read_is_none(said: str | None, attempt: int) -> None:
    assert attempt_in({} if said is None else {"POSTBASE_ATTEMPT": said}) == attempt
