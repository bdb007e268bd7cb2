"""The probe says of a real store whether it serves, and of one that does not what to change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from component.fault_proxy import Answers, FaultProxy
from component.store_server import StoreServer, plain_client, store_of, store_server
from postbase_operator.objectstore.probe import FOLDER, Probe, probe
from postbase_operator.objectstore.s3 import S3Store
from postbase_operator.objectstore.settings import StoreConfig
from postbase_operator.objectstore.store import Reason, Stored


def test_a_store_that_serves_is_left_as_it_was(s3_store: S3Store) -> None:
    assert probe(s3_store) == Probe()
    assert list(s3_store.list("")) == []


def test_the_probe_stays_in_its_folder(s3_config: StoreConfig, s3_proxy: FaultProxy) -> None:
    store = store_of(s3_config, prefix="team/shop", endpoint=s3_proxy.endpoint)
    assert probe(store).serves
    puts = [line for line in s3_proxy.seen if line.startswith("PUT")]
    assert puts
    assert all(f"/team/shop/{FOLDER}" in line for line in puts)


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"bucket": "no-such-bucket"}, Reason.NO_SUCH_BUCKET, "spec.objectStore.bucket"),
        ({"region": "eu-west-1"}, Reason.WRONG_REGION, "spec.objectStore.region"),
        ({"access_key_id": "NOBODY"}, Reason.DENIED, "spec.objectStore.credentialsSecretRef"),
        ({"endpoint": "http://127.0.0.1:1"}, Reason.UNREACHABLE, "spec.objectStore.endpoint"),
        ({"endpoint": "https://127.0.0.1:{port}"}, Reason.TLS_FAILED, "spec.objectStore.caSecret"),
    ],
)
def test_what_is_wrong_names_the_field(
    s3_server: StoreServer,
    s3_config: StoreConfig,
    changes: dict[str, str],
    reason: Reason,
    field: str,
) -> None:
    filled: dict[str, Any] = {
        name: value.format(port=s3_server.port) for name, value in changes.items()
    }
    found = probe(store_of(s3_config, **filled))
    assert found.reason is reason, found
    assert field in found.message
    assert not found.serves
    assert s3_config.secret_access_key not in found.message


@pytest.mark.parametrize(
    ("method", "status", "code", "reason"),
    [
        ("PUT", 403, "RequestTimeTooSkewed", Reason.CLOCK_SKEW),
        ("PUT", 403, "AccessDenied", Reason.DENIED),
        ("GET .*/probe/", 403, "AccessDenied", Reason.DENIED),
        ("GET .*list-type", 403, "AccessDenied", Reason.DENIED),
        ("POST .*delete", 403, "AccessDenied", Reason.DENIED),
        ("GET .*/probe/", 503, "SlowDown", Reason.UNREACHABLE),
    ],
)
def test_each_right_is_tried(
    method: str,
    status: int,
    code: str,
    reason: Reason,
    s3_config: StoreConfig,
    s3_proxy: FaultProxy,
) -> None:
    s3_proxy.next(method, Answers(status, code), times=1000)
    found = probe(store_of(s3_config, endpoint=s3_proxy.endpoint))
    assert found.reason is reason, found
    if reason is Reason.CLOCK_SKEW:
        assert "clock" in found.message
    answer = plain_client(s3_config).list_objects_v2(Bucket=s3_config.bucket)
    assert answer["KeyCount"] == 0


def test_a_store_that_refuses_the_condition_is_used_without(
    s3_config: StoreConfig, s3_proxy: FaultProxy
) -> None:
    s3_proxy.next("PUT", Answers(501, "NotImplemented"))
    found = probe(store_of(s3_config, endpoint=s3_proxy.endpoint))
    assert (found.reason, found.conditional_put) == (Reason.NO_CONDITIONAL_PUT, False)
    assert found.serves
    assert "If-None-Match" in found.message


class Heedless(S3Store):
    """A store that takes the condition and does not keep it, as older ones do."""

    def put(
        self,
        key: str,
        body: bytes | bytearray,
        *,
        if_absent: bool = True,  # noqa: ARG002 - that it is not looked at is the point
        metadata: Mapping[str, str] | None = None,
    ) -> Stored:
        return super().put(key, body, if_absent=False, metadata=metadata)


def test_a_store_that_ignores_the_condition_is_found(s3_config: StoreConfig) -> None:
    found = probe(Heedless(lambda: s3_config))
    assert (found.reason, found.conditional_put) == (Reason.NO_CONDITIONAL_PUT, False)


@pytest.fixture
def versioned(tmp_path: Path) -> Iterator[StoreConfig]:
    (tmp_path / "versions").mkdir()
    with store_server(tmp_path, "--versioning-dir", str(tmp_path / "versions")) as server:
        config = server.config
        plain_client(config).put_bucket_versioning(
            Bucket=config.bucket, VersioningConfiguration={"Status": "Enabled"}
        )
        yield config


def test_a_bucket_that_keeps_what_is_deleted_is_told(versioned: StoreConfig) -> None:
    assert probe(store_of(versioned)) == Probe(versioned=True)
