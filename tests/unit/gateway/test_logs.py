"""Nothing goes into a log that lets anybody in, whoever wrote it."""

from __future__ import annotations

import json
import logging

from postbase_operator.gateway.logs import RedactingFormatter

TOKEN = "pb_" + "A1b2C3" * 6


def line(message: str, **extra: object) -> str:
    record = logging.LogRecord("any.library", logging.INFO, "", 0, message, (), None)
    for name, value in extra.items():
        setattr(record, name, value)
    return RedactingFormatter().format(record)


def test_messages_and_fields_are_redacted_and_stay_json() -> None:
    told = line(f"asked with Bearer {TOKEN}", uri="postgresql://app:s3cret@db/app")
    assert TOKEN not in told
    assert "s3cret" not in told
    assert json.loads(told)["uri"] == "postgresql://[redacted]@db/app"


def test_so_are_tracebacks() -> None:
    try:
        raise ValueError(TOKEN)
    except ValueError as error:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "failed", (), None)
        record.exc_info = (ValueError, error, error.__traceback__)
    assert TOKEN not in RedactingFormatter().format(record)
