"""Scalar types of the API: each with its schema for the API server and its meaning in Python.

What a user writes is kept as it was written (a controller that rewrites `1024Mi` to `1Gi` is a diff
that GitOps tools never get rid of); Python gets a value that it can compute with.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import AwareDatetime, BeforeValidator, Field, PlainSerializer, WithJsonSchema

from postbase_operator.api.rules import Rule, matching

WRITTEN = "string(self)"
"""CEL for a value that may be a number."""


def worded(pattern: str, message: str, **bounds: Any) -> tuple[Any, Rule]:
    """A pattern for the models and the schema, and beside it what it asks for, for people."""
    return Field(pattern=pattern, **bounds), matching(pattern, message)


# RFC 1123 label; what all names that we refer to are made of.
ObjectName = Annotated[
    str,
    *worded(
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        "must be a name of lower-case letters, digits and hyphens, such as shop-main",
        min_length=1,
        max_length=63,
    ),
]
SecretKey = Annotated[
    str,
    *worded(
        r"^[-._a-zA-Z0-9]+$",
        "must be a name of letters, digits, dots, hyphens and underscores",
        min_length=1,
        max_length=253,
    ),
]
Text = Annotated[str, Field(max_length=256)]
Message = Annotated[str, Field(max_length=1024)]
LabelValue = Annotated[
    str,
    Field(max_length=63, pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"),
    # Shorter than the pattern: in lists of lists, each character counts in the cost budget.
    matching(
        r"^(\w[-.\w]*\w|\w?)$",
        "must be the value of a label: letters, digits, hyphens, underscores and dots, the first "
        "and the last a letter or digit",
    ),
]


def _utc(moment: datetime) -> str:
    """RFC 3339 in UTC, with a fraction only where there is one."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


# A moment that the operator writes down.
Instant = Annotated[
    AwareDatetime,
    PlainSerializer(_utc, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]

# As Kubernetes reads times in a spec, but a zone is a must: "half past two" in whose country?
RFC3339 = r"^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})$"


def _moment(value: object) -> object:
    if isinstance(value, str):
        if not re.match(RFC3339, value):
            raise ValueError("a time is written as 2026-11-23T14:30:00.5Z, with its zone")
        # PostgreSQL and datetime count microseconds; digits beyond them say nothing.
        return re.sub(r"(\.\d{6})\d+", r"\1", value.upper())
    return value


# A moment that a user asks for.
TargetTime = Annotated[
    AwareDatetime,
    BeforeValidator(_moment),
    PlainSerializer(_utc, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": RFC3339, "maxLength": 35}),
    matching(RFC3339, "must be a time with its zone, in RFC 3339: 2026-11-23T14:30:00.5Z"),
    Rule(
        f"!self.matches(r'{RFC3339}') || timestamp(self.upperAscii()).getFullYear() > 1999",
        message="must be a moment that there is, since the year 2000: see month, day and hour",
    ),
]

DURATION = r"^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$"


def parse_duration(text: str) -> timedelta:
    """`1h30m` -> 90 minutes: Go's notation without fractions, as Kubernetes uses it."""
    if not text or not re.match(DURATION, text):
        raise ValueError(f"{text!r} is not a duration such as 72h, 5m or 1h30m")
    amounts = {unit: int(amount) for amount, unit in re.findall(r"(\d+)([hms])", text)}
    return timedelta(
        hours=amounts.get("h", 0), minutes=amounts.get("m", 0), seconds=amounts.get("s", 0)
    )


def format_duration(span: timedelta) -> str:
    """The shortest notation of whole seconds: 90 minutes -> `1h30m`."""
    minutes, seconds = divmod(int(span.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "m"), (seconds, "s"))
    return "".join(f"{amount}{unit}" for amount, unit in parts if amount) or "0s"


def _span(value: object) -> object:
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str):
        return parse_duration(value)
    raise ValueError("a duration has its unit with it: 72h, 5m or 1h30m")


def _span_or_zero(value: object) -> object:
    return timedelta() if value == 0 and not isinstance(value, bool) else _span(value)


def int_or_string(**constraints: Any) -> WithJsonSchema:
    kinds = [{"type": "integer"}, {"type": "string"}]
    return WithJsonSchema({"x-kubernetes-int-or-string": True, "anyOf": kinds, **constraints})


_DURATION_WORDS = "must be a duration in whole hours, minutes and seconds: 72h, 5m or 1h30m"
_DURATION_BOUNDS = {"pattern": DURATION, "minLength": 2, "maxLength": 24}

Duration = Annotated[
    timedelta,
    BeforeValidator(_span),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", **_DURATION_BOUNDS}),
    matching(DURATION, _DURATION_WORDS),
]

# `0` is what people write for "none"; any other number has no unit and is refused.
ZeroOrDuration = Annotated[
    timedelta,
    BeforeValidator(_span_or_zero),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    int_or_string(minimum=0, maximum=0, **_DURATION_BOUNDS),
    matching(f"^0$|{DURATION}", f"{_DURATION_WORDS}; or 0 for none", of=WRITTEN),
]


def between(path: str, least: str, most: str, why: str, *, of: str = "self") -> Rule:
    """For a duration; one that is none has been told so by its pattern."""
    return Rule(
        f"!{of}.matches(r'{DURATION}') || {of} == '' || "
        f"(duration({of}) >= duration('{least}') && duration({of}) <= duration('{most}'))",
        message=f"{path} must be from {least} to {most}: {why}",
    )


def _written(value: object) -> object:
    """Numbers that YAML made of `cpu: 2` or `max_connections: 200`: back to text."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


# Kubernetes' grammar without signs and with exponents that fit a disk.
QUANTITY = r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)([mkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]{1,2})?$"

Quantity = Annotated[
    str,
    BeforeValidator(_written),
    Field(pattern=QUANTITY, max_length=24),
    int_or_string(pattern=QUANTITY, maxLength=24),
    matching(
        QUANTITY,
        "must be a quantity: a number with a unit, such as 10Gi, 512Mi or 500m",
        of=WRITTEN,
    ),
]


def at_least(path: str, least: str, why: str) -> Rule:
    return _compared(">=", f"{path} must be at least {least}: {why}", least)


def at_most(path: str, most: str, why: str) -> Rule:
    return _compared("<=", f"{path} must be at most {most}: {why}", most)


def _compared(sign: str, message: str, bound: str) -> Rule:
    """Of a quantity; one that is none has been told so by its pattern."""
    return Rule(
        f"!isQuantity(string(self)) || "
        f"quantity(string(self)).compareTo(quantity('{bound}')) {sign} 0",
        message=message,
    )


def volume_size(path: str) -> tuple[Rule, Rule]:
    return (
        at_least(path, "1Gi", "below it the write-ahead log alone can fill the volume"),
        at_most(path, "1Pi", "no volume is larger; Gi and Ti are the units that are meant"),
    )


Setting = Annotated[
    str,
    BeforeValidator(_written),
    Field(pattern=r"^[^\n\r]*$", max_length=1024),
    int_or_string(pattern=r"^[^\n\r]*$", maxLength=1024),
    matching(
        r"^[^\n\r]*$",
        "must be one line: the value of one parameter, without line breaks",
        of=WRITTEN,
    ),
]


def _cron(value: str, *, more: str = "") -> str:
    """One field of a schedule: values, ranges and steps, in a list."""
    item = rf"({value}(-{value})?|\*{more})(/[1-9][0-9]?)?"
    return f"{item}(,{item})*"


_MONTHS = "JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC"
_FIELDS = " +".join(
    (
        _cron("[0-5]?[0-9]"),
        _cron("([01]?[0-9]|2[0-3])"),
        _cron("(0?[1-9]|[12][0-9]|3[01])", more=r"|\?"),
        _cron(f"(0?[1-9]|1[0-2]|{_MONTHS})"),
        _cron("(0?[0-7]|SUN|MON|TUE|WED|THU|FRI|SAT)", more=r"|\?"),
    )
)

# Five fields or a macro: whether 31 February exists is for whoever computes the next run to say.
CronSchedule = Annotated[
    str,
    Field(
        min_length=6,
        max_length=128,
        pattern=r"^(@(hourly|daily|midnight|weekly|monthly|yearly|annually)"
        r"|[0-9*/,-]+( +[0-9A-Za-z*/,?-]+){4})$",
    ),
    matching(
        f"(?i)^(@[a-z]+|{_FIELDS})$",
        "must be five cron fields (minute 0-59, hour 0-23, day of month 1-31, month 1-12 or "
        "JAN-DEC, weekday 0-7 or SUN-SAT) such as 30 3 * * MON-FRI, or a macro: @hourly, @daily, "
        "@weekly, @monthly, @yearly",
    ),
]
TimeZoneName = Annotated[
    str,
    Field(min_length=1, max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$"),
    # The API server knows them, as it does for CronJobs; an unknown one is an error of the rule.
    Rule(
        "self != 'Local' && timestamp('2000-01-02T00:00:00Z').getFullYear(self) == 2000",
        message="must be the IANA name of a time zone, such as Europe/Berlin or UTC",
    ),
]
LSN = Annotated[
    str,
    *worded(
        r"^[0-9A-F]{1,8}/[0-9A-F]{1,8}$",
        "must be a position in the log as PostgreSQL writes it, such as 16/B374D848",
        max_length=17,
    ),
]
PublicId = Annotated[str, Field(max_length=40)]
