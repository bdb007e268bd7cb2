"""The promise itself: what was acknowledged is in the bucket, which alone brings it back.

A client of its own writes numbered rows and notes each acknowledgement. Receiver, server, store and
network are killed, the data folder is thrown away, and a new server is made from the bucket. The
same is done with a receiver that acknowledges early: then rows are missing, so this test can fail.
"""

from __future__ import annotations

import pytest

from component.early import EarlyReceiver
from component.ledger import RATE, Course, Ledger
from component.servers import Servers, servers
from postbase_operator.api.policies import RecoveryPoint

__all__ = ["servers"]
pytestmark = pytest.mark.timeout(300)
SEEDS = range(6)
"""With the others eleven runs; a hundred are `make bench-long`."""
EARLY_RUNS = 4


@pytest.fixture(scope="module")
def ledger(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return Ledger.made(servers, tmp_path_factory.mktemp("ledger"))


@pytest.mark.parametrize("seed", SEEDS)
def test_with_zero_nothing_acknowledged_is_lost(ledger: Ledger, seed: int) -> None:
    course = Course.drawn(seed, RecoveryPoint.ZERO)
    outcome = ledger.run(course)
    assert outcome.rate >= RATE, "too few acknowledgements to lose one"
    assert not outcome.lost, f"{len(outcome.lost)} of {len(outcome.noted)}, {course}"


@pytest.mark.parametrize("first", ["receiver", "server", "store", "network", "clock"])
def test_with_async_what_is_lost_is_young(ledger: Ledger, first: str) -> None:
    """It is killed as soon as all but two seconds were told to be durable: none but those rows may
    be missing. The bench judges a finer figure."""
    rest = [victim for victim in ("receiver", "server") if victim != first]
    outcome = ledger.run(Course(RecoveryPoint.ASYNC, (first, *rest)))
    assert outcome.rate >= RATE, "too few acknowledgements to lose one"
    assert not outcome.broken, f"{len(outcome.broken)} of {len(outcome.noted)}"


def test_a_receiver_that_acknowledges_early_is_found_out(ledger: Ledger) -> None:
    """A kill may fall between two of its acknowledgements, when all is stored by chance: one of a
    few runs is enough to find it."""
    course = Course(RecoveryPoint.ZERO, ("receiver", "server"))
    found = any(ledger.run(course, EarlyReceiver).lost for _ in range(EARLY_RUNS))
    assert found, "nothing was lost: this harness cannot fail"
