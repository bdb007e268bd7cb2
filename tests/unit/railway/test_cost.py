"""What a month costs: the documents' own example, other prices, sums that add up."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbase_operator.errors import InvalidSpec
from postbase_operator.railway.cost import Prices, Use, at_most, estimate, told
from unit.conftest import database

AMOUNTS = st.decimals(0, 1000, places=3)


def test_the_example_of_the_documents() -> None:
    use = Use(memory=Decimal("0.5"), cpu=Decimal("0.05"), volume=Decimal(2))
    found = estimate(use, Prices())
    assert found.parts == {"memory": 5, "cpu": 1, "volume": Decimal("0.30"), "egress": 0}
    assert str(found) == "$6.30 a month at Railway's prices of 2026-08-21"


def test_the_log_that_leaves_is_not_free() -> None:
    a_day = Decimal("22.6")  # GB, with a forced switch of segments each minute
    assert estimate(Use(egress=a_day), Prices()).total == Decimal("1.13")


def test_at_most_what_its_limits_allow() -> None:
    db = database(resources={"cpu": "500m", "memory": "1G"}, storage={"size": "5G"})
    use = at_most(db, 5000)
    assert use == Use(Decimal(1), Decimal("0.5"), Decimal(5))
    assert estimate(use, Prices()).total == Decimal("20.75")
    receiver = Use(memory=Decimal("0.1"), cpu=Decimal("0.1"), volume=Decimal(1))
    with_receiver = estimate(at_most(db, 5000, receiver), Prices())
    assert with_receiver.total == Decimal("20.75") + Decimal("3.15")


def test_the_status_says_how_much_and_as_of_when() -> None:
    small: dict[str, Any] = {"resources": {"cpu": "500m", "memory": "1G"}}
    assert told(database(**small), 5000, Prices()).to_wire() == {
        "atMost": "20.75",
        "pricesOf": "2026-08-21",
    }
    dear = Prices.of('{"asOf": "2026-11-01", "volume": 1}')
    paused = told(database(**small, paused=True), 5000, dear)
    assert (paused.at_most, paused.prices_of) == ("5.00", "2026-11-01")


@given(AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS)
def test_parts_add_up_and_more_never_costs_less(
    memory: Decimal, cpu: Decimal, volume: Decimal, egress: Decimal
) -> None:
    use = Use(memory, cpu, volume, egress)
    found = estimate(use, Prices())
    assert found.total == sum(found.parts.values())
    assert found.total >= 0
    assert estimate(use + Use(cpu=Decimal(1)), Prices()).total == found.total + 20


def test_an_installation_may_set_newer_prices() -> None:
    prices = Prices.of('{"asOf": "2026-11-01", "cpu": 25, "egress": 0.1}')
    assert (prices.as_of, prices.cpu, prices.egress) == (
        date(2026, 11, 1),
        Decimal(25),
        Decimal("0.1"),
    )
    assert prices.memory == Prices().memory
    assert Prices.of("") == Prices()


@pytest.mark.parametrize(
    "text",
    [
        '{"cpu": 25}',
        '{"asOf": "2026-11-01", "cpus": 25}',
        '{"asOf": "2026-11-01", "cpu": -1}',
        '{"asOf": "2026-11-01", "cpu": true}',
        '{"asOf": "2026-11-01", "cpu": "free"}',
        '{"asOf": "2026-11-01", "cpu": NaN}',
        '{"asOf": "soon"}',
        "[1]",
        "no",
    ],
)
def test_prices_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(InvalidSpec, match="cannot be read as prices"):
        Prices.of(text)
