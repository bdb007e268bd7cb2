"""Logs as JSON, one object a line, redacted; and the audit: who did what, one line a write."""

from __future__ import annotations

import logging

from postbase_operator.gateway.redaction import redacted
from postbase_operator.logs import JsonFormatter

audit = logging.getLogger("postbase.audit")


class RedactingFormatter(JsonFormatter):
    """The last thing before a line is written, so that nothing goes past it."""

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))


def configure(level: str) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(RedactingFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
