"""The store's answers, as the libraries hand them on, and what each of them means."""

from __future__ import annotations

import pytest

from postbase_operator.errors import PostbaseError
from postbase_operator.objectstore.faults import Answer, of_answer, of_silence, parsed
from postbase_operator.objectstore.store import (
    AlreadyExists,
    NotFound,
    Reason,
    StoreDenied,
    StoreUnavailable,
)

WRONG_SIGNATURE = """The operation lacked the necessary privileges to complete for path a/c: Error
 performing PUT http://store/bucket/a/c - Server returned non-2xx status code: 403 Forbidden:
 <?xml version="1.0"?><Error><Code>SignatureDoesNotMatch</Code><Message>It &quot;differs&quot;.
 </Message><AWSAccessKeyId>AKID</AWSAccessKeyId><StringToSign>AWS4-HMAC</StringToSign></Error>"""


def test_only_code_and_sentence_of_an_answer_are_told() -> None:
    answer = parsed(WRONG_SIGNATURE)
    assert answer is not None
    told = str(of_answer("PUT a/c", answer, ["differs"]))
    assert told.startswith('the object store refuses: PUT a/c: 403 SignatureDoesNotMatch: It "***"')
    assert "AKID" not in told
    assert "AWS4" not in told


def test_a_long_sentence_is_cut() -> None:
    assert len(str(of_answer("PUT a", Answer(500, "InternalError", "x" * 5000)))) < 300


@pytest.mark.parametrize(
    ("answer", "kind", "reason", "passing"),
    [
        (Answer(404, "NoSuchKey"), NotFound, None, None),
        (Answer(404, "NoSuchUpload"), NotFound, None, None),
        (Answer(400, "InvalidPart"), NotFound, None, None),
        (Answer(404), StoreUnavailable, Reason.UNREACHABLE, False),
        (Answer(404, "NoSuchBucket"), StoreUnavailable, Reason.NO_SUCH_BUCKET, False),
        (Answer(404, "XAdminUserNotFound"), StoreDenied, Reason.DENIED, None),
        (Answer(412, "PreconditionFailed"), AlreadyExists, None, None),
        (Answer(412), AlreadyExists, None, None),
        (Answer(403), StoreDenied, Reason.DENIED, None),
        (Answer(401), StoreDenied, Reason.DENIED, None),
        (Answer(400, "InvalidToken"), StoreDenied, Reason.DENIED, None),
        (Answer(403, "RequestTimeTooSkewed"), StoreUnavailable, Reason.CLOCK_SKEW, False),
        (Answer(301), StoreUnavailable, Reason.WRONG_REGION, False),
        (Answer(501, "NotImplemented"), StoreUnavailable, Reason.NO_CONDITIONAL_PUT, False),
        (Answer(500, "InternalError"), StoreUnavailable, Reason.UNREACHABLE, True),
        (Answer(200, "InternalError"), StoreUnavailable, Reason.UNREACHABLE, True),
        (Answer(502), StoreUnavailable, Reason.UNREACHABLE, True),
        (Answer(429), StoreUnavailable, Reason.UNREACHABLE, True),
        (Answer(400, "BadDigest"), StoreUnavailable, Reason.UNREACHABLE, True),
        (Answer(409, "OperationAborted"), StoreUnavailable, Reason.UNREACHABLE, True),
        (Answer(400, "InvalidArgument"), StoreUnavailable, Reason.UNREACHABLE, False),
    ],
)
def test_each_answer_means_one_thing(
    answer: Answer, kind: type[PostbaseError], reason: Reason | None, passing: bool | None
) -> None:
    error = of_answer("GET a", answer)
    assert type(error) is kind
    assert getattr(error, "reason", None) is reason
    assert getattr(error, "passing", None) is passing


def test_a_redirect_without_a_place_is_the_wrong_region() -> None:
    answer = parsed("Received redirect without LOCATION, this normally indicates an incorrectly")
    assert answer == Answer(301, "PermanentRedirect")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("invalid peer certificate: UnknownIssuer", Reason.TLS_FAILED),
        ("SSLError SSL validation failed for https://x wrong version number", Reason.TLS_FAILED),
        ("tcp connect error: Connection refused", Reason.UNREACHABLE),
        ("operation timed out", Reason.UNREACHABLE),
    ],
)
def test_silence_is_told_apart_by_the_library_s_words(text: str, reason: Reason) -> None:
    assert parsed(text) is None
    error = of_silence("GET a", f"{text} AKID")
    assert error.reason is reason
    assert "AKID" not in str(error)
