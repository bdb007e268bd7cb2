"""Kubernetes quantities (`512Mi`, `500m`, `1e9`) as exact numbers."""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal

_BINARY = {f"{letter}i": Decimal(1024) ** n for n, letter in enumerate("KMGTPE", start=1)}
_DECIMAL = {
    suffix: Decimal(1000) ** n
    for n, suffix in enumerate(("n", "u", "m", "", "k", "M", "G", "T", "P", "E"), start=-3)
}
_FACTORS = {**_BINARY, **_DECIMAL}

# The grammar of k8s.io/apimachinery/pkg/api/resource: an exponent or a suffix, never both.
_GRAMMAR = re.compile(
    r"(?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))"
    r"(?:(?P<suffix>[numkMGTPE]|[KMGTPE]i)?|[eE](?P<exponent>[+-]?[0-9]{1,3}))",
    re.ASCII,
)


def parse_quantity(text: str) -> Decimal:
    """The number that a quantity stands for; ValueError where it is none."""
    match = _GRAMMAR.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a quantity such as 10Gi or 500m")
    number = Decimal(match["number"])
    if match["exponent"] is not None:
        return number.scaleb(int(match["exponent"]))
    return number * _FACTORS[match["suffix"] or ""]


def whole_bytes(text: str) -> int:
    """A size in bytes; parts of one count as one, as in Kubernetes."""
    return int(parse_quantity(text).to_integral_value(ROUND_CEILING))


def format_bytes(count: int) -> str:
    """The shortest exact binary notation: 1073741824 -> `1Gi`."""
    for suffix, factor in reversed(_BINARY.items()):
        if count and count % int(factor) == 0:
            return f"{count // int(factor)}{suffix}"
    return str(count)
