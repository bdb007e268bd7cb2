"""What fills a volume on Railway: what it refuses before it fetches anything."""

from __future__ import annotations

import errno
from types import SimpleNamespace
from typing import cast

import pytest

from postbase_operator.archive.record import BackupRecord
from postbase_operator.jobs.desk import Failed
from postbase_operator.jobs.stage import LARGER, _full, check_fits, check_room, main, names
from postbase_operator.jobs.supply import Supply


def supply(beyond: int | None) -> Supply:
    """With a log of segments from 3 on; `beyond` None: its end is not known."""
    made = SimpleNamespace(
        is_pinned=beyond is not None,
        first=3,
        histories=lambda: ("00000002.history",),
        name=lambda number: f"seg{number}",
        is_beyond=lambda number: beyond is not None and number >= beyond,
    )
    return cast(Supply, made)


def test_all_of_the_log_up_to_its_end() -> None:
    assert list(names(supply(5))) == ["00000002.history", "seg3", "seg4"]
    with pytest.raises(Failed, match="end of the log"):
        list(names(supply(None)))


def test_what_has_no_room_is_refused_before_it_is_fetched() -> None:
    check_room(2**30, 2**30)
    with pytest.raises(
        Failed, match=r"2048 MiB, and the volume has 1024.*spec\.storage\.size"
    ) as e:
        check_room(2**31, 2**30)
    assert e.value.reason == "VolumeFull"
    assert "not tried again: make it anew" in str(e.value)  # a size that is raised mends nothing


def test_a_volume_that_gets_full_says_the_same() -> None:
    word = _full(OSError(errno.ENOSPC, "No space left on device"))
    assert (word.reason, LARGER in word.message) == ("VolumeFull", True)


def test_data_that_another_c_library_has_sorted_is_refused() -> None:
    check_fits(cast(BackupRecord, SimpleNamespace(libc="gnu")))
    with pytest.raises(Failed, match="Alpine") as e:
        check_fits(cast(BackupRecord, SimpleNamespace(libc="musl")))
    assert e.value.reason == "ImageMismatch"
    assert "provider Kubernetes" in str(e.value)
    assert "logical backup" not in str(e.value)  # which Railway does not restore either


def test_it_ends_with_a_word_also_where_it_was_told_nothing(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("POSTBASE_RUN", "POSTBASE_ATTEMPT"):
        monkeypatch.delenv(name, raising=False)
    with caplog.at_level("INFO"):
        assert main() == 1
    assert "POSTBASE_RUN is missing" in caplog.text
