"""The command in the words of each major; what it answers is for tests/component."""

from __future__ import annotations

import pytest

from postbase_operator.wal.base_backup import Options, command


def test_from_15_on() -> None:
    assert command(Options("it's"), 17) == (
        "BASE_BACKUP (LABEL 'it''s', PROGRESS, WAIT false, MANIFEST 'yes', "
        "MANIFEST_CHECKSUMS 'CRC32C', CHECKPOINT 'fast')"
    )
    options = Options("x", fast_checkpoint=False, max_rate_kib=32, verify_checksums=False)
    assert command(options, 15).endswith(
        "CHECKPOINT 'spread', MAX_RATE 32, VERIFY_CHECKSUMS false)"
    )


def test_before_15() -> None:
    assert command(Options("it's"), 14) == (
        "BASE_BACKUP LABEL 'it''s' PROGRESS NOWAIT MANIFEST 'yes' MANIFEST_CHECKSUMS 'CRC32C' FAST"
    )
    options = Options("x", fast_checkpoint=False, max_rate_kib=32, verify_checksums=False)
    assert command(options, 14).endswith("'CRC32C' MAX_RATE 32 NOVERIFY_CHECKSUMS")


@pytest.mark.parametrize("rate", [0, 31, 1048577])
def test_a_rate_that_the_server_would_refuse(rate: int) -> None:
    with pytest.raises(ValueError, match="32 to 1048576"):
        Options("x", max_rate_kib=rate)
