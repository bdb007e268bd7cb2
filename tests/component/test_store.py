"""Objects in a real store: written once, read, listed, deleted, linked to."""

from __future__ import annotations

import hashlib
import http.client
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from component.fault_proxy import FaultProxy
from component.store_server import CALM, StoreServer, plain_client, store_of, store_server
from postbase_operator.errors import InvalidSpec
from postbase_operator.objectstore import s3
from postbase_operator.objectstore.s3 import S3Store
from postbase_operator.objectstore.settings import StoreConfig
from postbase_operator.objectstore.store import (
    AlreadyExists,
    NotFound,
    Reason,
    StoreDenied,
    StoreUnavailable,
)


def test_what_is_put_is_read_again_with_its_sum(s3_store: S3Store) -> None:
    stored = s3_store.put("v1/a/backup.json", b"{}", metadata={"kind": "backup"})
    assert s3_store.get("v1/a/backup.json") == b"{}"
    info = s3_store.stat("v1/a/backup.json")
    assert (info.key, info.size) == ("v1/a/backup.json", 2)
    assert info.metadata == {"kind": "backup", "sha256": hashlib.sha256(b"{}").hexdigest()}
    assert stored.sha256 == info.metadata["sha256"]
    assert abs(info.modified - datetime.now(UTC)) < timedelta(minutes=1)


def test_an_empty_object_is_one(s3_store: S3Store) -> None:
    s3_store.put("empty", b"")
    assert s3_store.get("empty") == b""
    assert list(s3_store.get_stream("empty")) == []
    assert s3_store.stat("empty").size == 0


def test_the_same_again_is_a_success_and_something_else_a_conflict(s3_store: S3Store) -> None:
    s3_store.put("once", b"first")
    s3_store.put("once", b"first")
    with pytest.raises(AlreadyExists, match="once"):
        s3_store.put("once", b"other")
    assert s3_store.get("once") == b"first"


def test_an_object_of_other_hands_is_compared_by_its_bytes(
    s3_store: S3Store, s3_config: StoreConfig
) -> None:
    plain_client(s3_config).put_object(Bucket=s3_config.bucket, Key="by-hand", Body=b"same")
    s3_store.put("by-hand", b"same")
    with pytest.raises(AlreadyExists):
        s3_store.put("by-hand", b"else")


def test_progress_is_written_over(s3_store: S3Store) -> None:
    s3_store.put("progress.json", b"1", if_absent=False)
    s3_store.put("progress.json", b"2", if_absent=False)
    assert s3_store.get("progress.json") == b"2"


def test_without_conditional_put_the_key_is_looked_at_first(s3_config: StoreConfig) -> None:
    store = store_of(s3_config, conditional_put=False)
    store.put("once", b"first")
    store.put("once", b"first")
    with pytest.raises(AlreadyExists):
        store.put("once", b"other")
    assert store.get("once") == b"first"


def test_what_is_not_there_is_not_found(s3_store: S3Store) -> None:
    for ask in (s3_store.get, s3_store.stat, lambda key: list(s3_store.get_stream(key))):
        with pytest.raises(NotFound, match="nothing"):
            ask("nothing")
    s3_store.delete("nothing")


def test_a_store_lives_in_its_folder(s3_config: StoreConfig) -> None:
    team = store_of(s3_config, prefix="team/shop")
    team.put("v1/a", b"x")
    assert [info.key for info in team.list("v1/")] == ["v1/a"]
    whole = store_of(s3_config)
    assert [info.key for info in whole.list("")] == ["team/shop/v1/a"]
    assert [info.key for info in store_of(s3_config, prefix="team/sho").list("")] == []


def test_a_list_has_all_pages_in_order_beyond_a_key(
    s3_store: S3Store, s3_config: StoreConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "PAGE", 10)
    keys = [f"wal/{number:04d} ü&+" for number in range(35)]
    client = plain_client(s3_config)
    for key in keys:
        client.put_object(Bucket=s3_config.bucket, Key=key, Body=b"")
    assert [info.key for info in s3_store.list("wal/")] == keys
    assert [info.key for info in s3_store.list("wal/", after=keys[12])] == keys[13:]
    s3_store.delete_many(iter(keys[:34]))
    assert [info.key for info in s3_store.list("")] == keys[34:]


def test_a_link_is_read_without_keys_and_has_a_name(s3_store: S3Store) -> None:
    s3_store.put("p/d/b.dump.gz", b"dump")
    link = urlsplit(s3_store.presign("p/d/b.dump.gz", timedelta(minutes=5), 'shop "main".dump.gz'))
    connection = http.client.HTTPConnection(link.netloc, timeout=60)
    connection.request("GET", f"{link.path}?{link.query}")
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"dump")
    assert answer.getheader("content-disposition") == 'attachment; filename="shop _main_.dump.gz"'
    connection.close()


def test_a_link_carries_the_public_endpoint_and_needs_no_store(s3_config: StoreConfig) -> None:
    store = store_of(s3_config, endpoint="http://127.0.0.1:1", public_endpoint="https://s3.example")
    assert store.presign("k", timedelta(days=7), "k").startswith("https://s3.example/bucket-")
    with pytest.raises(InvalidSpec, match="7 days"):
        store.presign("k", timedelta(days=8), "k")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"bucket": "no-such-bucket"}, Reason.NO_SUCH_BUCKET),
        ({"region": "eu-west-1"}, Reason.WRONG_REGION),
        ({"access_key_id": "NOBODY"}, Reason.DENIED),
        ({"secret_access_key": "a-wrong-one"}, Reason.DENIED),
        ({"endpoint": "http://127.0.0.1:1"}, Reason.UNREACHABLE),
        ({"endpoint": "http://no-such-host.invalid"}, Reason.UNREACHABLE),
    ],
)
def test_each_way_of_not_serving_has_its_reason(
    s3_config: StoreConfig, changes: dict[str, Any], reason: Reason
) -> None:
    store = store_of(s3_config, **changes)
    by_boto: tuple[Callable[[], object], ...] = (
        lambda: list(store.list("")),
        lambda: store.delete_many(["a"]),
        lambda: store.put_stream("a", [b"x" * (20 << 20)]),
        lambda: store.abort_orphans("", timedelta()),
    )
    if reason is Reason.WRONG_REGION:
        by_boto = ()  # boto3 asks the right region of its own accord
    for ask in (
        lambda: store.put("a", b"x"),
        lambda: store.get("a"),
        lambda: store.stat("a"),
        lambda: list(store.get_stream("a")),
        *by_boto,
    ):
        with pytest.raises((StoreUnavailable, StoreDenied)) as caught:
            ask()
        assert isinstance(caught.value, StoreUnavailable | StoreDenied)
        assert caught.value.reason is reason, caught.value
        secret = changes.get("secret_access_key", s3_config.secret_access_key)
        for hidden in (secret, changes.get("access_key_id", s3_config.access_key_id)):
            assert hidden not in str(caught.value)
        assert caught.value.__cause__ is None


def test_tls_by_an_authority_of_ones_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    with store_server(tmp_path_factory.mktemp("s3-tls"), tls=True) as server:
        config = server.config
        store = store_of(config)
        store.put("a", b"x")
        store.put_stream("b", [b"y" * (17 << 20)])
        assert [info.key for info in store.list("")] == ["a", "b"]
        _fails_by_tls(store_of(config, ca=""))
        _fails_by_tls(store_of(config, endpoint=config.endpoint.replace("localhost", "127.0.0.1")))


def test_https_to_a_plain_server_is_told_as_tls(s3_server: StoreServer) -> None:
    config = s3_server.config
    _fails_by_tls(store_of(config, endpoint=config.endpoint.replace("http:", "https:")))


def _fails_by_tls(store: S3Store) -> None:
    for ask in (lambda: store.get("a"), lambda: list(store.list(""))):
        with pytest.raises(StoreUnavailable) as caught:
            ask()
        assert caught.value.reason is Reason.TLS_FAILED, caught.value


def test_rotated_keys_count_from_the_next_request_on(s3_config: StoreConfig) -> None:
    now = [replace(s3_config, secret_access_key="taken away")]
    store = S3Store(lambda: now[0])
    with pytest.raises(StoreDenied):
        store.put("a", b"x")
    now[0] = s3_config
    store.put("a", b"x")
    assert [info.key for info in store.list("")] == ["a"]


def test_encryption_is_asked_for_with_every_write(
    s3_config: StoreConfig, s3_proxy: FaultProxy
) -> None:
    store = store_of(s3_config, CALM, endpoint=s3_proxy.endpoint, sse="aws:kms", kms_key_id="key-7")
    store.put("a", b"x")
    store.put_stream("b", [b"y" * (17 << 20)])
    begun = [head for head in s3_proxy.heads if b"PUT /" in head or b"?uploads" in head]
    begun = [head for head in begun if b"partNumber" not in head]
    assert len(begun) == 2
    for head in begun:
        assert b"x-amz-server-side-encryption: aws:kms" in head.lower()
        assert b"x-amz-server-side-encryption-aws-kms-key-id: key-7" in head.lower()


def test_without_keys_the_identity_of_the_pod_counts(
    s3_config: StoreConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here by the environment; a service account's comes by the same chain."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_config.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_config.secret_access_key)
    store = store_of(s3_config, access_key_id="", secret_access_key="")
    store.put("a", b"x")
    assert [info.key for info in store.list("")] == ["a"]


def test_no_keys_and_no_identity_is_denied(
    s3_config: StoreConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    store = store_of(s3_config, access_key_id="", secret_access_key="")
    for ask in (lambda: store.put("a", b"x"), lambda: list(store.list(""))):
        with pytest.raises(StoreDenied, match="no identity"):
            ask()
