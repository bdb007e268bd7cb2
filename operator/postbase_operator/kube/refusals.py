"""What the API server refuses, by meaning: callers act on the kind of it, never on its text."""

from __future__ import annotations

import json
from typing import Any

from postbase_operator.errors import Conflict, Denied, PostbaseError, Throttled, Unavailable

KUBERNETES = "Kubernetes API"
"""The name of this service in errors."""


class NotFound(PostbaseError):
    """404: the object is not there (or its namespace or kind is not)."""


class Gone(PostbaseError):
    """410: the version to go on from is forgotten; list anew."""


class AlreadyExists(Conflict):
    """409 on create: somebody made it first, read theirs."""


class NamespaceGoing(Denied):
    """403 on create: the namespace is being deleted, and nothing is made in it any more."""


class QuotaExceeded(Denied):
    """403 on create: the namespace's ResourceQuota is used up; the message says which."""


class Refused(PostbaseError):
    """400 or 422: the API server will never take this body; `message` is its own sentence."""

    def __init__(self, what: str, message: str) -> None:
        super().__init__(f"{what}: {message}")
        self.message = message


def error_for(what: str, code: int, raw: bytes, retry_after: str | None) -> PostbaseError:
    """The meaning of a refusal. Only the server's own sentence is kept: bodies may hold secrets."""
    message, reason, causes = _sentence(raw)
    match code:
        case 404:
            return NotFound(f"{what}: {message}")
        case 410:
            return Gone(f"{what}: {message}")
        case 409 if reason == "AlreadyExists":
            return AlreadyExists(f"{what}: {message}")
        case 409:
            return Conflict(f"{what}: {message}")
        case 403 if "NamespaceTerminating" in causes:
            return NamespaceGoing("Kubernetes API", f"{what}: {message}")
        case 403 if "exceeded quota" in message:
            return QuotaExceeded("Kubernetes API", f"{what}: {message}")
        case 401 | 403:
            return Denied(KUBERNETES, f"{what}: {message}")
        case 400 | 413 | 415 | 422:
            return Refused(what, message)
    if retry_after and retry_after.isdigit():
        return Throttled(KUBERNETES, f"{what}: {code} {message}", float(retry_after))
    return Unavailable(KUBERNETES, f"{what}: {code} {message}")


def _sentence(raw: bytes) -> tuple[str, str, list[str]]:
    """Message, reason and the reasons of the causes of a Status (meta/v1)."""
    try:
        status: Any = json.loads(raw)
    except ValueError:
        return raw[:200].decode(errors="replace"), "", []
    if not isinstance(status, dict):
        return "", "", []
    causes = (status.get("details") or {}).get("causes") or []
    return (
        str(status.get("message", ""))[:2000],
        str(status.get("reason", "")),
        [str(cause.get("reason", "")) for cause in causes],
    )
