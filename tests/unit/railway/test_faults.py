"""Railway's sentences, as the notes of others have them, and what each means."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from postbase_operator.errors import (
    Conflict,
    Denied,
    NotReady,
    PostbaseError,
    Throttled,
    Unavailable,
)
from postbase_operator.railway.graphql.faults import (
    AlreadyExists,
    BadToken,
    Blocked,
    Complaint,
    InvalidDocument,
    NotAuthorized,
    NotFound,
    PlanLimit,
    Refused,
    Request,
    TooMany,
    TooQuickly,
    UnknownOutcome,
    complaints,
    of_complaints,
    of_sentence,
    of_status,
    quiet,
)

QUERY = Request("Look", mutation=False)
CHANGE = Request("Make", mutation=True)
PAGE = b"\n<!DOCTYPE html><html><title>Attention Required! | Cloudflare</title></html>"


def live(message: str, path: list[str] | None = None) -> dict[str, Any]:
    """As Railway answers nearly everything, with HTTP 200."""
    error = {
        "message": message,
        "path": path or ["project"],
        "extensions": {"code": "INTERNAL_SERVER_ERROR"},
        "traceId": "0123",
    }
    return {"data": None, "errors": [error]}


def meaning(message: str, request: Request = QUERY, status: int = 200) -> PostbaseError:
    return of_complaints(request, complaints(live(message)), status)


@pytest.mark.parametrize(
    ("sentence", "kind"),
    [
        ("Project not found", NotFound),
        ("Environment not found", NotFound),
        ("Service not found", NotFound),
        ("ServiceInstance not found", NotFound),
        ("Service instance not found.", NotFound),
        ("VolumeInstance not found", NotFound),
        ("Volume not found", NotFound),
        ("Deployment not found", NotFound),
        ("Not Authorized", NotAuthorized),
        ("Unauthorized", NotAuthorized),
        ("Project Token not found", BadToken),
        ("project token not found", BadToken),
        ("You are creating projects too quickly. Please wait", TooQuickly),
        ("creating volumes too quickly", TooQuickly),
        ("Only one environment can be created per user every 30s", TooQuickly),
        ('A service named "x" already exists in this project', AlreadyExists),
        ("Volume name already exists", AlreadyExists),
        ("An operation is already in progress", NotReady),
        ("Max size of 5000 MB on current plan. Please select a valid size or upgrade", PlanLimit),
        ('Cannot query field "configEtag" on type "Environment".', InvalidDocument),
        ("Cannot query field 'configEtag' on type 'Environment'.", InvalidDocument),
        ('Variable "$input" got invalid value "x" at "input.name"', InvalidDocument),
        ("Syntax Error: Unexpected }", InvalidDocument),
        ("Region not found", Refused),
        ("The image or tag was not found", Refused),
        ("Something else", Refused),
    ],
)
@pytest.mark.parametrize("request_", [QUERY, CHANGE], ids=["query", "change"])
@pytest.mark.trap("one-error-code")
def test_each_sentence_means_one_thing(
    sentence: str, kind: type[PostbaseError], request_: Request
) -> None:
    error = meaning(sentence, request_)
    assert type(error) is kind
    assert request_.name in str(error)


def test_what_is_missing_and_where_it_was_asked_for() -> None:
    error = of_complaints(QUERY, complaints(live("Service instance not found", ["proxy0"])))
    assert isinstance(error, NotFound)
    assert (error.what, error.path) == ("Serviceinstance", ("proxy0",))


def test_a_limit_is_told_in_megabytes() -> None:
    error = of_sentence("patch", "Max size of 5000 MB on current plan. Please select a valid size")
    assert isinstance(error, PlanLimit)
    assert error.megabytes == 5000


@pytest.mark.trap("too-quickly")
def test_too_quickly_waits_half_a_minute() -> None:
    error = meaning("creating projects too quickly", CHANGE)
    assert isinstance(error, Throttled)
    assert error.seconds >= 30


@pytest.mark.parametrize(
    "body", [live("Problem processing request"), live(""), {"errors": ["nonsense"]}]
)
@pytest.mark.trap("outcome-unknown")
def test_a_change_with_an_error_that_says_nothing_is_unknown(body: dict[str, Any]) -> None:
    assert type(of_complaints(CHANGE, complaints(body))) is UnknownOutcome
    assert type(of_complaints(QUERY, complaints(body))) is Unavailable


ERRORS = st.sampled_from(
    [
        "Project not found",
        "Not Authorized",
        "project token not found",
        "creating volumes too quickly",
        "Volume name already exists",
        "operation is already in progress",
        "Max size of 5 MB on current plan",
        "Cannot query field 'a' on type 'B'.",
        "Problem processing request",
        "what?",
        "",
    ]
) | st.text(max_size=40)


@given(st.lists(ERRORS, min_size=1, max_size=4), st.sampled_from([200, 400, 401, 404, 500, 502]))
@example(["Project not found", "Not Authorized"], 200)  # what is drawn has it only sometimes
@pytest.mark.trap("one-error-code")
def test_gone_is_only_what_every_error_of_an_answer_calls_gone(
    sentences: list[str], status: int
) -> None:
    found = [Complaint(sentence) for sentence in sentences]
    error = of_complaints(CHANGE, found, status)
    if isinstance(error, NotFound):
        assert status == 200
        assert all(type(of_complaints(CHANGE, [each], status)) is NotFound for each in found)


@pytest.mark.trap("denied-is-not-gone")
def test_denied_is_never_gone() -> None:
    for error in (NotAuthorized("x"), BadToken("a", "b")):
        assert isinstance(error, Denied)
        assert not isinstance(error, NotFound)
    both = live("Project not found")
    both["errors"] += live("Not Authorized")["errors"]
    assert type(of_complaints(QUERY, complaints(both))) is NotAuthorized


@pytest.mark.trap("page-in-place-of-json")
def test_what_stands_before_railway_may_not_say_gone() -> None:
    assert type(meaning("Service not found", QUERY, 502)) is Unavailable
    assert type(meaning("Service not found", CHANGE, 404)) is UnknownOutcome


@pytest.mark.parametrize(
    ("status", "raw", "wait", "query", "change", "seconds"),
    [
        (429, b"slow down", 7.0, TooMany, TooMany, 7.0),
        (429, b"slow down", 0.0, TooMany, TooMany, 0.0),
        (429, PAGE, None, TooMany, TooMany, 60.0),
        (403, PAGE, None, Blocked, Blocked, 60.0),
        (403, b"no", None, Denied, Denied, None),
        (502, b"Bad Gateway", None, Unavailable, UnknownOutcome, None),
        (503, PAGE, None, Unavailable, UnknownOutcome, None),
        (504, PAGE, 5.0, Unavailable, UnknownOutcome, 5.0),
        (200, PAGE, None, Unavailable, UnknownOutcome, None),
        (302, b"", None, Unavailable, UnknownOutcome, None),
    ],
)
@pytest.mark.trap("page-in-place-of-json")
def test_answers_that_are_no_graphql(
    status: int,
    raw: bytes,
    wait: float | None,
    query: type[PostbaseError],
    change: type[PostbaseError],
    seconds: float | None,
) -> None:
    for request, kind in ((QUERY, query), (CHANGE, change)):
        error = of_status(request, status, raw, wait)
        assert type(error) is kind
        assert getattr(error, "retry_after", None) == seconds


def test_a_name_that_is_taken_is_a_conflict() -> None:
    assert issubclass(AlreadyExists, Conflict)
    assert issubclass(UnknownOutcome, Unavailable)


SECRET = 'pass"word\\with\nall'


@given(st.sampled_from(["{}", 'got invalid value {{"P": "{}"}}; String', "x {} y {}"]))
def test_what_we_sent_is_not_told(shape: str) -> None:
    import json

    for form in (SECRET, json.dumps(SECRET)[1:-1]):
        message = shape.format(form, form)
        request = Request("Make", mutation=True, secrets=(SECRET,))
        error = of_complaints(request, [Complaint(message)])
        assert form not in str(error)
        assert form not in repr(error)
        assert form not in str(getattr(error, "messages", ""))
    assert "***" in str(error)


def test_a_value_that_does_not_fit_is_not_repeated() -> None:
    told = quiet('Variable "$i" got invalid value { P: "unknown to us" } at "i.v"; no')
    assert told == 'Variable "$i" got invalid value ***'
    assert len(quiet("x" * 5000)) == 300
