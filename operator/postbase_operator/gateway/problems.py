"""What goes wrong, in the API's words: each code has one HTTP status. PURE.

The codes of the API page come first; the others are additive.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum


class Code(StrEnum):
    """`error.code`; clients branch on it."""

    AUTH_REQUIRED = "AUTH_REQUIRED"
    PROJECT_NOT_FOUND = "PROJECT_NOT_FOUND"
    DATABASE_NOT_FOUND = "DATABASE_NOT_FOUND"
    BACKUP_NOT_FOUND = "BACKUP_NOT_FOUND"
    PITR_NOT_ENABLED = "PITR_NOT_ENABLED"
    TARGET_TIME_INVALID = "TARGET_TIME_INVALID"
    RATE_LIMIT_EXCEEDED = "RATE_LIMIT_EXCEEDED"
    INTERNAL_ERROR = "INTERNAL_ERROR"

    INVALID_REQUEST = "INVALID_REQUEST"
    RESTORE_NOT_FOUND = "RESTORE_NOT_FOUND"
    TOKEN_NOT_FOUND = "TOKEN_NOT_FOUND"  # noqa: S105 - a word, not a token
    NOT_FOUND = "NOT_FOUND"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    CONFLICT = "CONFLICT"
    PROJECT_NOT_EMPTY = "PROJECT_NOT_EMPTY"
    DATABASE_NOT_READY = "DATABASE_NOT_READY"
    BACKUP_NOT_READY = "BACKUP_NOT_READY"
    BACKUP_IN_USE = "BACKUP_IN_USE"
    OPERATION_IN_PROGRESS = "OPERATION_IN_PROGRESS"
    MANAGED_EXTERNALLY = "MANAGED_EXTERNALLY"
    IDEMPOTENCY_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
    PLAN_LIMIT_EXCEEDED = "PLAN_LIMIT_EXCEEDED"
    INSUFFICIENT_SCOPE = "INSUFFICIENT_SCOPE"
    PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE"
    UNSUPPORTED_MEDIA_TYPE = "UNSUPPORTED_MEDIA_TYPE"
    REQUEST_TIMEOUT = "REQUEST_TIMEOUT"
    DEVICE_CODE_EXPIRED = "DEVICE_CODE_EXPIRED"
    ACCESS_DENIED = "ACCESS_DENIED"
    INVALID_DEVICE_CODE = "INVALID_DEVICE_CODE"
    SERVICE_UNAVAILABLE = "SERVICE_UNAVAILABLE"


STATUS: Mapping[Code, int] = {
    Code.AUTH_REQUIRED: 401,
    Code.PROJECT_NOT_FOUND: 404,
    Code.DATABASE_NOT_FOUND: 404,
    Code.BACKUP_NOT_FOUND: 404,
    Code.PITR_NOT_ENABLED: 409,
    Code.TARGET_TIME_INVALID: 422,
    Code.RATE_LIMIT_EXCEEDED: 429,
    Code.INTERNAL_ERROR: 500,
    Code.INVALID_REQUEST: 400,
    Code.RESTORE_NOT_FOUND: 404,
    Code.TOKEN_NOT_FOUND: 404,
    Code.NOT_FOUND: 404,
    Code.METHOD_NOT_ALLOWED: 405,
    Code.CONFLICT: 409,
    Code.PROJECT_NOT_EMPTY: 409,
    Code.DATABASE_NOT_READY: 409,
    Code.BACKUP_NOT_READY: 409,
    Code.BACKUP_IN_USE: 409,
    Code.OPERATION_IN_PROGRESS: 409,
    Code.MANAGED_EXTERNALLY: 409,
    Code.IDEMPOTENCY_KEY_REUSED: 422,
    Code.PLAN_LIMIT_EXCEEDED: 403,
    Code.INSUFFICIENT_SCOPE: 403,
    Code.PAYLOAD_TOO_LARGE: 413,
    Code.UNSUPPORTED_MEDIA_TYPE: 415,
    Code.REQUEST_TIMEOUT: 408,
    Code.DEVICE_CODE_EXPIRED: 400,
    Code.ACCESS_DENIED: 400,
    Code.INVALID_DEVICE_CODE: 400,
    Code.SERVICE_UNAVAILABLE: 503,
}


class Problem(Exception):
    """An answer that is an error. `message` is for people and holds no secret; `retry_after` is in
    seconds and becomes the header, rounded up."""

    def __init__(
        self,
        code: Code,
        message: str,
        *,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.message = code, message
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["Retry-After"] = str(max(1, math.ceil(retry_after)))
        if code is Code.AUTH_REQUIRED:
            self.headers["WWW-Authenticate"] = "Bearer"

    @property
    def status(self) -> int:
        return STATUS[self.code]


def unavailable(message: str, retry_after: float = 5.0) -> Problem:
    return Problem(Code.SERVICE_UNAVAILABLE, message, retry_after=retry_after)


def invalid(message: str) -> Problem:
    return Problem(Code.INVALID_REQUEST, message)


def no_project() -> Problem:
    return Problem(Code.PROJECT_NOT_FOUND, "Project does not exist")


def no_database() -> Problem:
    return Problem(Code.DATABASE_NOT_FOUND, "Database does not exist")


def no_backup() -> Problem:
    return Problem(Code.BACKUP_NOT_FOUND, "Backup does not exist")


def no_restore() -> Problem:
    return Problem(Code.RESTORE_NOT_FOUND, "Restore does not exist")
