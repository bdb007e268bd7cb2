"""What a store's answer, or its silence, means. PURE.

Messages are made of status, code and the store's own sentence, never of a whole answer: an answer
to a wrong signature repeats the access key and the string that was signed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import unescape

from postbase_operator.errors import PostbaseError
from postbase_operator.objectstore.store import (
    AlreadyExists,
    NotFound,
    Reason,
    StoreDenied,
    StoreUnavailable,
)

LONGEST_SENTENCE = 200

MISSING = {
    "InvalidPart",  # of an upload that somebody aborted while its last part was on the way
    "NoSuchKey",
    "NoSuchUpload",
    "NoSuchVersion",
}
REFUSED = {
    "AccessDenied",
    "AllAccessDisabled",
    "AccountProblem",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidSecurity",
    "InvalidToken",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
    "XAdminUserNotFound",  # versitygw, with status 404
}
ELSEWHERE = {
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "PermanentRedirect",
    "TemporaryRedirect",
}
# Client errors by number, yet nothing is wrong with the request.
PASSING_CODES = {
    "BadDigest",
    "ConditionalRequestConflict",
    "IncompleteBody",
    "InternalError",
    "OperationAborted",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "XAmzContentSHA256Mismatch",
}
PASSING_STATUSES = {408, 425, 429}
TLS_WORDS = re.compile(
    r"certificate|CertVerif|UnknownIssuer|InvalidContentType|rustls|\bSSL\b|\bTLS\b|HandshakeFail",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is an error: HTTP status, S3's code and sentence (empty: none)."""

    status: int
    code: str = ""
    sentence: str = ""


def parsed(text: str) -> Answer | None:
    """The answer within the text of obstore's errors; None where there was no answer."""
    status = re.search(r"non-2xx status code: (\d{3})", text)
    if status is None:
        if "redirect without LOCATION" in text:  # how it tells of S3's 301
            return Answer(301, "PermanentRedirect", "")
        return None
    code = re.search(r"<Code>([^<]*)</Code>", text)
    sentence = re.search(r"<Message>([^<]*)</Message>", text)
    return Answer(
        int(status.group(1)),
        code.group(1) if code else "",
        unescape(sentence.group(1)) if sentence else "",
    )


def of_answer(request: str, answer: Answer, secrets: Sequence[str] = ()) -> PostbaseError:
    """The error to raise; `request` is the method and the key, for the message."""
    why = _told(request, answer, secrets)
    status, code = answer.status, answer.code
    if code in MISSING:
        return NotFound(why)
    if status == 412:
        return AlreadyExists(why)
    if code == "NoSuchBucket":
        return StoreUnavailable(Reason.NO_SUCH_BUCKET, why)
    if code == "RequestTimeTooSkewed":
        return StoreUnavailable(Reason.CLOCK_SKEW, why)
    if code in ELSEWHERE or status in (301, 307):
        return StoreUnavailable(Reason.WRONG_REGION, why)
    if code in REFUSED or (status in (401, 403) and code not in PASSING_CODES):
        return StoreDenied(why)
    if status == 501:
        return StoreUnavailable(Reason.NO_CONDITIONAL_PUT, why)
    passing = status >= 500 or status in PASSING_STATUSES or code in PASSING_CODES
    return StoreUnavailable(Reason.UNREACHABLE, why, passing=passing)


def of_silence(request: str, text: str) -> StoreUnavailable:
    """No answer came, or half of one; `text` is only searched, never told."""
    if TLS_WORDS.search(text):
        why = f"{request}: TLS failed: the store's certificate is not trusted, or it speaks no TLS"
        return StoreUnavailable(Reason.TLS_FAILED, why)
    kind = "no answer in time" if re.search(r"time.?d? ?out", text, re.IGNORECASE) else "no answer"
    return StoreUnavailable(Reason.UNREACHABLE, f"{request}: {kind}", passing=True)


def _told(request: str, answer: Answer, secrets: Sequence[str]) -> str:
    sentence = answer.sentence[:LONGEST_SENTENCE]
    for secret in secrets:
        sentence = sentence.replace(secret, "***")
    words = " ".join(word for word in (str(answer.status), answer.code) if word)
    return f"{request}: {words}" + (f": {sentence}" if sentence else "")
