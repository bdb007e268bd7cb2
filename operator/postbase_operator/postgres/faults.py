"""What PostgreSQL's errors are called. Imports no client: a Job that only copies files has none."""

from __future__ import annotations

from postbase_operator.errors import PostbaseError

POSTGRESQL = "PostgreSQL"
"""The name of this service in errors."""


class ServerRefused(PostbaseError):
    """PostgreSQL answers that it cannot do it; asked again it would say the same."""
