"""What goes wrong between us and a store, each once, on the wire, before a real server."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from component.fault_proxy import Answers, Cuts, Fault, FaultProxy, Hangs, Lost, Resets, Slow
from component.store_server import CALM, HASTY, plain_client, store_of
from component.test_store_streams import DIGEST, LONG, PART, pieces, uploads
from postbase_operator.errors import Conflict, PostbaseError
from postbase_operator.objectstore import multipart
from postbase_operator.objectstore.s3 import S3Store
from postbase_operator.objectstore.settings import StoreConfig
from postbase_operator.objectstore.store import (
    AlreadyExists,
    NotFound,
    Reason,
    StoreDenied,
    StoreUnavailable,
)

HANGING = replace(HASTY, attempts=20, deadline=60.0)
"""Of the many attempts some are for a disk that stands still."""


@pytest.fixture
def proxied_store(s3_config: StoreConfig, s3_proxy: FaultProxy) -> S3Store:
    return store_of(s3_config, CALM, endpoint=s3_proxy.endpoint)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart, "PART_SIZE", PART)


PASSING: dict[str, Fault] = {
    "500": Answers(500, "InternalError"),
    "503": Answers(503, "SlowDown"),
    "503 of a load balancer": Answers(503),
    "429": Answers(429, "TooManyRequests"),
    "400 that means timeout": Answers(400, "RequestTimeout"),
    "409 of two at once": Answers(409, "ConditionalRequestConflict"),
    "reset": Resets(),
    "hangs": Hangs(),
    "answer lost": Lost(),
    "slow": Slow(0.3),
}
CALLS: dict[str, tuple[str, Callable[[S3Store], object]]] = {
    "put": ("PUT", lambda store: store.put("new", b"x")),
    "get": ("GET", lambda store: store.get("there")),
    "get_stream": ("GET", lambda store: list(store.get_stream("there"))),
    "stat": ("HEAD", lambda store: store.stat("there")),
    "list": ("GET", lambda store: [info.key for info in store.list("")]),
    "delete": ("DELETE", lambda store: store.delete("there")),
    "delete_many": ("POST", lambda store: store.delete_many(["there"])),
}


@pytest.mark.parametrize("fault", PASSING)
@pytest.mark.parametrize("call", CALLS)
def test_what_passes_is_not_noticed(
    call: str, fault: str, s3_config: StoreConfig, s3_proxy: FaultProxy
) -> None:
    method, ask = CALLS[call]
    limits = HANGING if fault == "hangs" else CALM
    store = store_of(s3_config, limits, endpoint=s3_proxy.endpoint)
    store_of(s3_config).put("there", b"y")
    s3_proxy.next(method, PASSING[fault], times=2)
    ask(store)
    # A HEAD that is refused is asked again as a GET, which nothing befalls here.
    fewest = {"slow": 1}.get(fault, 2 if call == "stat" else 3)
    assert len(s3_proxy.seen) >= fewest


@pytest.mark.parametrize("call", CALLS)
def test_what_stays_is_told_after_a_bounded_time(
    call: str, proxied_store: S3Store, s3_proxy: FaultProxy
) -> None:
    method, ask = CALLS[call]
    s3_proxy.next(method, Answers(503, "SlowDown"), times=1000)
    with pytest.raises(StoreUnavailable) as caught:
        ask(proxied_store)
    assert caught.value.reason is Reason.UNREACHABLE
    assert len(s3_proxy.seen) == CALM.attempts
    assert "503 SlowDown" in str(caught.value) or method == "HEAD"


def test_a_store_that_hangs_is_given_up_within_the_deadline(
    s3_config: StoreConfig, s3_proxy: FaultProxy
) -> None:
    config = replace(s3_config, endpoint=s3_proxy.endpoint)
    store = S3Store(lambda: config, replace(HASTY, attempts=1000, deadline=2.0))
    s3_proxy.next("", Hangs(), times=1000)
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match="no answer"):
        store.put("a", b"x")
    assert 1.5 < time.monotonic() - began < 15


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Answers(403, "RequestTimeTooSkewed"), Reason.CLOCK_SKEW),
        (Answers(301, "PermanentRedirect"), Reason.WRONG_REGION),
        (Answers(400, "AuthorizationHeaderMalformed"), Reason.WRONG_REGION),
        (Answers(404, "NoSuchBucket"), Reason.NO_SUCH_BUCKET),
        (Answers(403, "AccessDenied"), Reason.DENIED),
        (Answers(400, "ExpiredToken"), Reason.DENIED),
        (Answers(404), Reason.UNREACHABLE),
    ],
)
def test_what_a_person_must_mend_is_told_at_once(
    fault: Answers, expected: Reason, proxied_store: S3Store, s3_proxy: FaultProxy
) -> None:
    s3_proxy.next("", fault, times=1000)
    for ask in (lambda: proxied_store.put("a", b"x"), lambda: proxied_store.get("a")):
        before = len(s3_proxy.seen)
        with pytest.raises((StoreUnavailable, StoreDenied)) as caught:
            ask()
        assert isinstance(caught.value, StoreUnavailable | StoreDenied)
        assert caught.value.reason is expected, caught.value
        assert len(s3_proxy.seen) - before == 1


def test_a_404_without_a_word_is_not_a_missing_object(
    proxied_store: S3Store, s3_proxy: FaultProxy
) -> None:
    """A proxy that has lost the store behind it answers so; a restore must not end there."""
    s3_proxy.next("", Answers(404), times=1000)
    for ask in (
        proxied_store.get,
        proxied_store.stat,
        lambda key: [*proxied_store.get_stream(key)],
    ):
        with pytest.raises(PostbaseError) as caught:
            ask("wal/1")
        assert not isinstance(caught.value, NotFound)


def test_an_error_never_repeats_keys(proxied_store: S3Store, s3_proxy: FaultProxy) -> None:
    for code, status in (("AccessDenied", 403), ("Whatever", 400), ("InternalError", 500)):
        said = "key AKTESTROOT and not-a-secret/but+long=enough"
        s3_proxy.next("", Answers(status, code, said), times=4)
        with pytest.raises(PostbaseError) as caught:
            proxied_store.get("a")
        if status == 500:
            continue
        assert "AKTESTROOT" not in str(caught.value)
        assert "not-a-secret" not in str(caught.value)
        assert "key *** and ***" in str(caught.value)


def test_a_put_whose_answer_is_lost_is_a_success(
    proxied_store: S3Store, s3_proxy: FaultProxy
) -> None:
    s3_proxy.next("PUT", Lost())
    stored = proxied_store.put("a", b"x")
    assert [line.split(" ")[0] for line in s3_proxy.seen] == ["PUT", "PUT", "HEAD"]
    assert stored.sha256 == proxied_store.stat("a").metadata["sha256"]


def test_a_412_for_other_bytes_is_a_conflict(proxied_store: S3Store, s3_proxy: FaultProxy) -> None:
    proxied_store.put("a", b"x")
    s3_proxy.next("PUT", Lost())
    with pytest.raises(AlreadyExists):
        proxied_store.put("a", b"y")


def test_a_412_for_what_is_gone_again_is_not_a_success(
    proxied_store: S3Store, s3_proxy: FaultProxy
) -> None:
    s3_proxy.next("PUT", Answers(412, "PreconditionFailed"))
    with pytest.raises(Conflict):
        proxied_store.put("a", b"x")


@pytest.mark.parametrize(("after", "times"), [(0, 2), (1, 2), (1 << 20, 6), ((3 << 20) + 17, 3)])
def test_a_body_that_is_cut_on_its_way_down_is_read_on(
    after: int, times: int, proxied_store: S3Store, s3_proxy: FaultProxy
) -> None:
    proxied_store.put_stream("a", pieces(LONG))
    s3_proxy.seen.clear()
    s3_proxy.next("GET", Cuts(after), times)
    assert b"".join(proxied_store.get_stream("a")) == LONG
    assert len(s3_proxy.seen) == times + 1


def test_a_small_body_that_is_cut_is_asked_again(
    proxied_store: S3Store, s3_proxy: FaultProxy
) -> None:
    proxied_store.put("a", b"0123456789")
    s3_proxy.next("GET", Cuts(4), times=2)
    assert proxied_store.get("a") == b"0123456789"


def test_a_body_that_always_ends_early_is_told(
    proxied_store: S3Store, s3_proxy: FaultProxy
) -> None:
    proxied_store.put("a", b"0123456789")
    s3_proxy.next("GET", Cuts(0), times=1000)
    with pytest.raises(StoreUnavailable):
        list(proxied_store.get_stream("a"))


def test_an_object_that_is_replaced_meanwhile_is_not_mixed(
    proxied_store: S3Store, s3_proxy: FaultProxy, s3_store: S3Store
) -> None:
    proxied_store.put_stream("a", pieces(LONG))
    s3_proxy.next("GET", Cuts(5 << 20))
    stream = proxied_store.get_stream("a")
    next(stream)
    s3_store.put("a", b"another", if_absent=False)
    with pytest.raises(Conflict, match="replaced"):
        list(stream)


@pytest.mark.parametrize("after", [0, 100_000, 3 << 20])
def test_a_body_that_is_cut_on_its_way_up_is_sent_again(
    after: int, proxied_store: S3Store, s3_proxy: FaultProxy
) -> None:
    s3_proxy.next("PUT", Resets(after), times=2)
    proxied_store.put("a", LONG[: 4 << 20])
    assert proxied_store.get("a") == LONG[: 4 << 20]


PARTS: dict[str, tuple[str, Fault]] = {
    "begin": ("POST .*uploads", PASSING["503"]),
    "part refused": ("PUT .*partNumber=2", PASSING["503"]),
    "part reset": ("PUT .*partNumber=1", Resets(1 << 20)),
    "part hangs": ("PUT .*partNumber=3", Hangs()),
    "part's answer lost": ("PUT .*partNumber=2", Lost()),
    "complete refused": ("POST .*uploadId", PASSING["500"]),
    "complete's answer lost": ("POST .*uploadId", Lost()),
}


@pytest.mark.parametrize("fault", PARTS)
@pytest.mark.parametrize("if_absent", [True, False])
def test_an_upload_in_parts_survives(
    fault: str, if_absent: bool, s3_proxy: FaultProxy, s3_config: StoreConfig
) -> None:
    wanted, what = PARTS[fault]
    s3_proxy.next(wanted, what)
    limits = replace(HANGING, request=5.0, idle=1.5) if fault == "part hangs" else CALM
    proxied_store = store_of(s3_config, limits, endpoint=s3_proxy.endpoint)
    stored = proxied_store.put_stream("a", pieces(LONG), if_absent=if_absent)
    assert (stored.size, stored.sha256) == (len(LONG), DIGEST)
    assert b"".join(proxied_store.get_stream("a")) == LONG
    assert uploads(s3_config) == []


@pytest.mark.parametrize("second", [Answers(404, "NoSuchUpload"), Answers(412)])
@pytest.mark.parametrize("if_absent", [True, False])
def test_a_lost_completion_is_known_by_its_mark(
    second: Answers, if_absent: bool, proxied_store: S3Store, s3_proxy: FaultProxy
) -> None:
    s3_proxy.next("POST .*uploadId", Lost())
    s3_proxy.next("POST .*uploadId", second)
    stored = proxied_store.put_stream("a", pieces(LONG), if_absent=if_absent)
    assert stored.sha256 == DIGEST
    assert not [line for line in s3_proxy.seen if line.startswith("GET")], "it was read again"


def test_an_upload_that_fails_for_good_is_aborted(
    proxied_store: S3Store, s3_proxy: FaultProxy, s3_config: StoreConfig
) -> None:
    s3_proxy.next("PUT .*partNumber=2", Answers(503, "SlowDown"), times=1000)
    with pytest.raises(StoreUnavailable):
        proxied_store.put_stream("a", pieces(LONG))
    assert uploads(s3_config) == []


def test_an_upload_that_somebody_aborted_is_a_conflict(
    proxied_store: S3Store, s3_proxy: FaultProxy, s3_config: StoreConfig
) -> None:
    def meddled() -> object:
        yield from pieces(LONG)
        client = plain_client(s3_config)
        for upload in client.list_multipart_uploads(Bucket=s3_config.bucket)["Uploads"]:
            client.abort_multipart_upload(
                Bucket=s3_config.bucket, Key="a", UploadId=upload["UploadId"]
            )

    with pytest.raises((Conflict, NotFound)):
        proxied_store.put_stream("a", meddled())  # type: ignore[arg-type]


def test_another_writer_of_the_same_key_wins_or_is_the_same(
    proxied_store: S3Store, s3_config: StoreConfig
) -> None:
    def overtaken(by: bytes) -> object:
        yield from pieces(LONG)
        store_of(s3_config).put_stream("a", pieces(by))

    with pytest.raises(AlreadyExists):
        proxied_store.put_stream("a", overtaken(LONG + b"!"))  # type: ignore[arg-type]
    assert uploads(s3_config) == []
    store_of(s3_config).delete("a")
    proxied_store.put_stream("a", overtaken(LONG))  # type: ignore[arg-type]
    assert uploads(s3_config) == []


def test_one_of_many_deletions_that_is_refused_is_told(
    proxied_store: S3Store, s3_proxy: FaultProxy
) -> None:
    s3_proxy.next("POST", Answers(403, "AccessDenied"))
    with pytest.raises(StoreDenied, match="AccessDenied"):
        proxied_store.delete_many(["a", "b"])
