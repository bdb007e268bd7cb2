"""What clients of several stores have in common."""

from __future__ import annotations

from collections.abc import Iterator

import boto3.session
import pytest

from postbase_operator.objectstore import clients
from postbase_operator.objectstore.clients import Clients
from postbase_operator.objectstore.retry import Limits
from postbase_operator.objectstore.settings import StoreConfig


@pytest.fixture(autouse=True)
def anew() -> Iterator[None]:
    clients._session.cache_clear()
    yield
    clients._session.cache_clear()


def config(bucket: str) -> StoreConfig:
    return StoreConfig(
        bucket=bucket,
        endpoint=f"http://{bucket}.example.com",
        region="us-east-1",
        access_key_id="id",
        secret_access_key="secret",
    )


def test_the_description_of_s3_is_loaded_once_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each session has its own of 12 MiB: an operator with a few stores had 100 MiB of them."""
    made: list[Session] = []

    class Session(boto3.session.Session):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    monkeypatch.setattr(boto3.session, "Session", Session)
    ends = set()
    for bucket in ("one", "two", "three"):
        each = Clients(config(bucket), Limits())
        ends |= {each.control.meta.endpoint_url, each.links.meta.endpoint_url}
    assert len(made) == 1
    assert len(ends) == 3, "each still goes to its own store"
