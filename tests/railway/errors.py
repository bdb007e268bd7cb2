"""What Railway says when it refuses: HTTP 200, matched on the message (§2 Error shape)."""

from __future__ import annotations

import uuid
from typing import Any

INTERNAL = "INTERNAL_SERVER_ERROR"
"""§2: the code of nearly every error."""

NOT_AUTHORIZED = "Not Authorized"
PROJECT_TOKEN_NOT_FOUND = "project token not found"
PROBLEM = "Problem processing request"
VOLUME_NAME_EXISTS = "Volume name already exists"
IN_PROGRESS = "operation is already in progress"
PROJECTS_TOO_QUICKLY = "creating projects too quickly"
VOLUMES_TOO_QUICKLY = "creating volumes too quickly"
ENVIRONMENTS_TOO_QUICKLY = "one environment can be created per user every 30s"


class Refused(Exception):
    """A GraphQL error with this message."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def not_found(kind: str) -> Refused:
    return Refused(f"{kind} not found")


def service_exists(name: str) -> Refused:
    return Refused(f'A service named "{name}" already exists in this project')


def too_large(limit_mb: int) -> str:
    return f"Max size of {limit_mb} MB on current plan. Please select a valid size or upgrade"


def shaped(message: str, path: list[Any] | None, code: str | None = INTERNAL) -> dict[str, Any]:
    """One error as it was seen live (§2)."""
    error: dict[str, Any] = {"message": message}
    if path is not None:
        error["path"] = path
    if code is not None:
        error["extensions"] = {"code": code}
    return error | {"traceId": str(uuid.uuid4().int)[:19]}
