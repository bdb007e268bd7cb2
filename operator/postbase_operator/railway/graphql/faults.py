"""What Railway's answer, or its silence, means. PURE.

Railway answers nearly every failure with HTTP 200 and the code INTERNAL_SERVER_ERROR, so meaning is
in the sentence. What a sentence does not say for certain is never read as "it is gone": a database
whose service is not shown to us any more must not be made a second time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from postbase_operator.errors import (
    Conflict,
    Denied,
    NotReady,
    PostbaseError,
    Throttled,
    Unavailable,
)

RAILWAY = "Railway API"
"""The name of this service in errors."""

LONGEST_SENTENCE = 300
TOO_QUICKLY_SECONDS = 30.0
BLOCKED_SECONDS = 60.0


HINT = "is the token of the chart's railway.tokenSecretRef for it, and not revoked?"


class NotFound(PostbaseError):
    """It is not there. `what` is Railway's word: Project, Service, ServiceInstance, Volume …

    `path` begins with the root field that was asked for it.
    """

    def __init__(self, why: str, what: str, path: tuple[str, ...] = ()) -> None:
        super().__init__(why)
        self.what, self.path = what, path


class BadToken(Denied):
    """Railway does not know this token; that it says "not found" of it is about nothing else."""


class AlreadyExists(Conflict):
    """That name is taken: look whose it is."""


class NotAuthorized(Denied):
    """Said of what the token may not see, and of ids that Railway does not show: never "gone".

    `path` begins with the root field that was asked for it.
    """

    def __init__(self, why: str, path: tuple[str, ...] = ()) -> None:
        super().__init__(RAILWAY, f"{why} ({HINT})")
        self.path = path


class TooQuickly(Throttled):
    """Projects, environments or volumes were made faster than a plan allows."""


class TooMany(Throttled):
    """429: of requests, by all who send with the token. Nothing of this one was done."""


class Blocked(Throttled):
    """A page for people in place of an answer: what stands before the API turned us away."""


class UnknownOutcome(Unavailable):
    """A change may have been made, or not: read what is there before it is asked for again."""


class InvalidDocument(PostbaseError):
    """Railway does not understand the request: its API has changed, or it is a defect of ours.

    `messages` are all that it complains of.
    """

    def __init__(self, why: str, messages: tuple[str, ...] = ()) -> None:
        super().__init__(why)
        self.messages = messages


class PlanLimit(PostbaseError):
    """The workspace's plan does not allow it. `megabytes`: how large a volume may be, if told."""

    def __init__(self, why: str, megabytes: int | None = None) -> None:
        super().__init__(why)
        self.megabytes = megabytes


class Refused(PostbaseError):
    """No, in words that mean nothing else here; `message` is Railway's own sentence."""

    def __init__(self, what: str, message: str) -> None:
        super().__init__(f"{what}: {message}")
        self.message = message


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked: the operation's name, whether it changes anything, and what to keep quiet."""

    name: str
    mutation: bool
    secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Complaint:
    """One of the errors of an answer."""

    message: str
    code: str = ""
    path: tuple[str, ...] = ()


# Only these words are resources. "Region not found" refuses an input, and says nothing of what is.
_RESOURCES = {
    "deployment",
    "environment",
    "project",
    "service",
    "serviceinstance",
    "tcpproxy",
    "volume",
    "volumeinstance",
    "workspace",
}
_NOT_FOUND = re.compile(r"^(?:the |a )?([a-z ]+?) not found\.?$", re.IGNORECASE)
_TOKEN = re.compile(r"\btoken not found|invalid token|token (?:is )?invalid", re.IGNORECASE)
_DENIED = re.compile(r"\bnot authorized\b|\bunauthorized\b", re.IGNORECASE)
_QUICKLY = re.compile(r"\btoo quickly\b|can be created per user every \d+", re.IGNORECASE)
_EXISTS = re.compile(r"\balready exists\b", re.IGNORECASE)
_BUSY = re.compile(r"\balready in progress\b", re.IGNORECASE)
_PLAN = re.compile(r"\bcurrent plan\b|\bor upgrade\b", re.IGNORECASE)
_MOST = re.compile(r"max size of (\d+) ?MB", re.IGNORECASE)
_UNCLEAR = re.compile(r"^problem processing request", re.IGNORECASE)
_INVALID_CODES = {"GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED", "BAD_USER_INPUT"}
_INVALID = re.compile(
    r"^(Cannot query field|Unknown (argument|type|fragment)|Syntax Error|Variable [\"']\$"
    r"|Field [\"'].+[\"'] of (required )?type)"
)
# GraphQL servers repeat a value that does not fit, whole: with the passwords in it.
_REPEATED = re.compile(r"(got invalid value|Expected value of type .+?, found) .*", re.DOTALL)


def complaints(body: Any) -> tuple[Complaint, ...]:
    """The errors of an answer's body; one that has none to read is none."""
    errors = body.get("errors") if isinstance(body, dict) else None
    if not isinstance(errors, list):
        return ()
    found = []
    for error in (each for each in errors if isinstance(each, dict)):
        extensions = error.get("extensions")
        code = extensions.get("code") if isinstance(extensions, dict) else None
        path = error.get("path")
        found.append(
            Complaint(
                str(error.get("message") or ""),
                str(code or ""),
                tuple(str(part) for part in path) if isinstance(path, list) else (),
            )
        )
    return tuple(found) or (Complaint(""),) if errors else ()


def of_complaints(request: Request, found: Sequence[Complaint], status: int = 200) -> PostbaseError:
    """The error to raise for an answer with errors: the gravest, so that "gone" is said last."""
    messages = tuple(quiet(each.message, request.secrets) for each in found)
    kinds = [_meaning(request, each, status, messages) for each in found]
    return min(kinds, key=lambda error: _GRAVITY.index(type(error)))


_GRAVITY: list[type[PostbaseError]] = [
    InvalidDocument,
    UnknownOutcome,
    BadToken,
    Denied,
    NotAuthorized,
    TooQuickly,
    Unavailable,
    PlanLimit,
    NotReady,
    Refused,
    AlreadyExists,
    NotFound,
]


def _meaning(
    request: Request, complaint: Complaint, status: int, messages: tuple[str, ...]
) -> PostbaseError:
    sentence = quiet(complaint.message, request.secrets)
    why = f"{request.name}: {sentence}"
    invalid = InvalidDocument(f"{RAILWAY}: {why}", messages)
    if _INVALID.search(complaint.message):
        return invalid
    if _UNCLEAR.search(complaint.message) or (not complaint.message and status < 400):
        return unclear(request, sentence or "an error without a word")
    known = of_sentence(why, complaint.message, complaint.path)
    # Something between us and Railway may not find "the service" either: gone is gone with 200.
    if known is not None and not (isinstance(known, NotFound) and status >= 400):
        return known
    if status in (401, 403):
        return Denied(RAILWAY, f"{why} ({status})")
    if status >= 500 or known is not None:
        return unclear(request, f"{status} {sentence}")
    if status == 400 or complaint.code in _INVALID_CODES:
        return invalid
    return Refused(request.name, sentence)


def of_sentence(why: str, sentence: str, path: tuple[str, ...] = ()) -> PostbaseError | None:
    """What a sentence of Railway's means wherever it stands, also as the error of a workflow or a
    patch; None where it is not known. `why` is what the error tells."""
    if _TOKEN.search(sentence):
        return BadToken(RAILWAY, f"{why} ({HINT})")
    if _DENIED.search(sentence):
        return NotAuthorized(why, path)
    if _QUICKLY.search(sentence):
        return TooQuickly(RAILWAY, why, TOO_QUICKLY_SECONDS)
    if _PLAN.search(sentence):
        most = _MOST.search(sentence)
        return PlanLimit(f"{RAILWAY}: {why}", int(most[1]) if most else None)
    if _BUSY.search(sentence):
        return NotReady(f"{RAILWAY}: {why}")
    if _EXISTS.search(sentence):
        return AlreadyExists(f"{RAILWAY}: {why}")
    missing = _NOT_FOUND.match(sentence)
    if missing and missing[1].replace(" ", "").lower() in _RESOURCES:
        return NotFound(f"{RAILWAY}: {why}", missing[1].replace(" ", ""), path)
    return None


def of_status(request: Request, status: int, raw: bytes, wait: float | None) -> PostbaseError:
    """The error to raise for an answer that is no GraphQL. `wait` in seconds is Retry-After's."""
    seconds = BLOCKED_SECONDS if wait is None else wait
    if status == 429:
        return TooMany(RAILWAY, f"{request.name}: 429", seconds)
    if status in (401, 403) and not is_page(raw):
        return Denied(RAILWAY, f"{request.name}: {status}")
    if is_page(raw) and 400 <= status < 500:
        why = f"{request.name}: {status} with a page in place of an answer"
        return Blocked(RAILWAY, why, seconds)
    return unclear(request, f"{status}, and the answer is no JSON", wait)


def unclear(request: Request, why: str, wait: float | None = None) -> Unavailable:
    """Of a request that may have been carried out: a query is asked again, a change is not."""
    if request.mutation:
        return UnknownOutcome(RAILWAY, f"{request.name}: {why}", wait)
    return Unavailable(RAILWAY, f"{request.name}: {why}", wait)


def is_page(raw: bytes) -> bool:
    """HTML: what stands before the API turns callers away with a page."""
    return raw.lstrip()[:200].lower().startswith((b"<!doctype html", b"<html"))


def quiet(sentence: str, secrets: Sequence[str] = ()) -> str:
    """A sentence that may be told: short, without what we sent, in whatever notation."""
    told = _REPEATED.sub(r"\1 ***", sentence)
    for secret in sorted(secrets, key=len, reverse=True):
        for form in (secret, json.dumps(secret)[1:-1]):
            told = told.replace(form, "***")
    return told[:LONGEST_SENTENCE]
