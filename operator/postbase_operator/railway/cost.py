"""What a Database on Railway costs a month, at prices of a date. PURE.

Railway bills by the minute for what is used; limits only cap it. So two figures are honest: what it
comes to with the use of now, and what it can come to at most.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from postbase_operator.api.database import Database
from postbase_operator.api.database_status import RailwayCost
from postbase_operator.api.quantity import parse_quantity
from postbase_operator.errors import InvalidSpec
from postbase_operator.railway.plans import GB, MB
from postbase_operator.railway.services import limits

CENT = Decimal("0.01")
AS_OF = "asOf"
"""The date of a list of prices, in settings."""


@dataclass(frozen=True, slots=True)
class Prices:
    """US dollars, as Railway's documents said on `as_of`; an installation may set newer ones."""

    as_of: date = date(2026, 8, 21)
    memory: Decimal = Decimal(10)
    """A GB for a month."""
    cpu: Decimal = Decimal(20)
    """A processor for a month."""
    volume: Decimal = Decimal("0.15")
    """A GB that is used, for a month; backups of the volume cost the same."""
    egress: Decimal = Decimal("0.05")
    """A GB that leaves through the proxy, or for an object store elsewhere."""

    @classmethod
    def of(cls, text: str, field: str = "prices") -> Prices:
        """From JSON, {"asOf": "2026-11-01", "cpu": 20}; what is not named keeps its price."""
        names = {each.name for each in fields(cls)} - {"as_of"} | {AS_OF}
        try:
            told: Mapping[str, object] = json.loads(text or "{}", parse_float=Decimal)
            if unknown := sorted(set(told) - names):
                raise ValueError(f"{', '.join(unknown)}: known are {', '.join(sorted(names))}")
            if told and AS_OF not in told:
                raise ValueError(f"{AS_OF} is missing: prices without a date mislead")
            values: dict[str, date | Decimal] = {
                name: _price(value) for name, value in told.items() if name != AS_OF
            }
            if told:
                values["as_of"] = date.fromisoformat(str(told[AS_OF]))
        except (ValueError, ArithmeticError, TypeError, AttributeError) as error:
            raise InvalidSpec(field, f"cannot be read as prices: {error}") from error
        return replace(cls(), **values)  # type: ignore[arg-type]


def _price(value: object) -> Decimal:
    price = Decimal(str(value))
    if isinstance(value, bool) or not price.is_finite() or price < 0:
        raise ValueError(f"{value!r} is no price in dollars")
    return price


@dataclass(frozen=True, slots=True)
class Use:
    """A month's, on average: GB of memory, processors, GB of volume, GB that leave."""

    memory: Decimal = Decimal(0)
    cpu: Decimal = Decimal(0)
    volume: Decimal = Decimal(0)
    egress: Decimal = Decimal(0)

    def __add__(self, other: Use) -> Use:
        return Use(
            self.memory + other.memory,
            self.cpu + other.cpu,
            self.volume + other.volume,
            self.egress + other.egress,
        )


@dataclass(frozen=True, slots=True)
class Estimate:
    """Dollars a month, rounded to cents, part by part. What a plan includes is not taken off."""

    parts: Mapping[str, Decimal]
    as_of: date

    @property
    def total(self) -> Decimal:
        return sum(self.parts.values(), Decimal(0))

    def __str__(self) -> str:
        return f"${self.total} a month at Railway's prices of {self.as_of.isoformat()}"


def estimate(use: Use, prices: Prices) -> Estimate:
    parts = {
        "memory": use.memory * prices.memory,
        "cpu": use.cpu * prices.cpu,
        "volume": use.volume * prices.volume,
        "egress": use.egress * prices.egress,
    }
    cents = {name: part.quantize(CENT, ROUND_HALF_UP) for name, part in parts.items()}
    return Estimate(cents, prices.as_of)


LISTED = Prices()
"""Where an installation sets none."""


def told(db: Database, volume_mb: int, prices: Prices, receiver: Use | None = None) -> RailwayCost:
    """For the status: it changes with the spec, the volume, the receiver and the prices alone."""
    found = estimate(at_most(db, volume_mb, receiver), prices)
    return RailwayCost(at_most=str(found.total), prices_of=prices.as_of.isoformat())


def at_most(db: Database, volume_mb: int, receiver: Use | None = None) -> Use:
    """All that its limits allow, the whole month, with a full volume. What leaves has no limit, and
    is not in it; nothing runs of one that is paused. `receiver`: what the service that receives the
    log may use."""
    own = Use(volume=Decimal(volume_mb) * MB / GB)
    if not db.spec.paused:
        own += Use(
            memory=Decimal(limits(db).memory_bytes) / GB,
            cpu=parse_quantity(db.spec.resources.cpu),
        )
    return own + receiver if receiver is not None else own
