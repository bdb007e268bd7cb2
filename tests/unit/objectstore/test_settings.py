"""What is mounted becomes a configuration, or a sentence that names the field."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from postbase_operator.errors import InvalidSpec
from postbase_operator.objectstore.settings import Mounted, StoreConfig

KEYS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "hidden\n"}


def secret(**store: Any) -> dict[str, str]:
    return {**KEYS, "store.json": json.dumps({"bucket": "shop", **store})}


def test_all_of_it() -> None:
    config = StoreConfig.from_mapping(
        secret(
            endpoint="https://s3.example.com:9000/",
            publicEndpoint="https://public.example.com",
            prefix="team/shop/",
            region="eu-west-1",
            pathStyle=True,
            sse={"mode": "KMS", "kmsKeyId": "key-7"},
            conditionalPut=False,
            credentialsSecretRef={"name": "of the operator alone"},
        )
        | {"AWS_SESSION_TOKEN": "token", "ca.crt": "PEM"}
    )
    assert config == StoreConfig(
        bucket="shop",
        endpoint="https://s3.example.com:9000",
        public_endpoint="https://public.example.com",
        prefix="team/shop",
        region="eu-west-1",
        path_style=True,
        sse="aws:kms",
        kms_key_id="key-7",
        conditional_put=False,
        access_key_id="AKID",
        secret_access_key="hidden",
        session_token="token",
        ca="PEM",
    )
    for value in ("AKID", "hidden", "token", "PEM"):
        assert value not in repr(config)


def test_the_least_is_a_bucket_at_aws_with_the_identity_of_the_pod() -> None:
    config = StoreConfig.from_mapping({"store.json": '{"bucket": "shop"}'})
    assert (config.region, config.endpoint, config.access_key_id) == ("us-east-1", "", "")
    assert config.conditional_put
    assert not config.path_style


@pytest.mark.parametrize(
    ("mapping", "field"),
    [
        ({}, "objectStore.bucket"),
        ({"store.json": "{"}, "store.json"),
        ({"store.json": "[]"}, "store.json"),
        (secret(bucket=7), "objectStore.bucket"),
        (secret(pathStyle="yes"), "objectStore.pathStyle"),
        (secret(endpoint="s3.example.com"), "objectStore.endpoint"),
        (secret(endpoint="https://s3.example.com/bucket"), "objectStore.endpoint"),
        (secret(publicEndpoint="ftp://x"), "objectStore.publicEndpoint"),
        (secret(sse={"mode": "GCM"}), "objectStore.sse.mode"),
        (secret() | {"AWS_SECRET_ACCESS_KEY": ""}, "objectStore.credentialsSecretRef"),
        (secret() | {"AWS_ACCESS_KEY_ID": ""}, "objectStore.credentialsSecretRef"),
    ],
)
def test_what_cannot_be_used_is_named(mapping: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidSpec) as caught:
        StoreConfig.from_mapping(mapping)
    assert caught.value.field == field
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("bucket", "path_style", "endpoint", "expected"),
    [
        ("shop", False, "https://s3.example.com:9000", "https://shop.s3.example.com:9000"),
        ("shop", True, "https://s3.example.com:9000", "https://s3.example.com:9000"),
        ("shop.eu", False, "https://s3.example.com", "https://s3.example.com"),
        ("shop", False, "", ""),
    ],
)
def test_where_the_bucket_goes(bucket: str, path_style: bool, endpoint: str, expected: str) -> None:
    config = StoreConfig(bucket, endpoint, path_style=path_style)
    assert config.bucket_endpoint == expected


def test_keys_are_relative_to_the_folder() -> None:
    config = StoreConfig("shop", prefix="team")
    assert config.full_key("v1/a") == "team/v1/a"
    assert config.relative_key("team/v1/a") == "v1/a"
    assert StoreConfig("shop").relative_key("team/v1/a") == "team/v1/a"


def mount(folder: Path, version: str, content: dict[str, str]) -> None:
    """As the kubelet does it: a new folder, and one link that is pointed at it."""
    (folder / version).mkdir(parents=True)
    for name, text in content.items():
        (folder / version / name).write_text(text)
        link = folder / name
        if not link.is_symlink():
            link.symlink_to(Path("..data") / name)
    (folder / "..next").symlink_to(version)
    (folder / "..next").rename(folder / "..data")


def test_a_mounted_secret_is_followed(tmp_path: Path) -> None:
    mount(tmp_path, "..1", secret())
    source = Mounted(tmp_path)
    before = source()
    assert before.access_key_id == "AKID"
    assert source() is before
    mount(tmp_path, "..2", secret() | {"AWS_ACCESS_KEY_ID": "AKNEW"})
    shutil.rmtree(tmp_path / "..1")
    assert source().access_key_id == "AKNEW"
    assert source().secret_access_key == "hidden"


def test_what_became_unreadable_is_told_and_mended(tmp_path: Path) -> None:
    mount(tmp_path, "..1", secret())
    source = Mounted(tmp_path)
    source()
    mount(tmp_path, "..2", secret() | {"AWS_ACCESS_KEY_ID": ""})
    for _ in range(2):
        with pytest.raises(InvalidSpec, match="neither"):
            source()
    mount(tmp_path, "..3", secret())
    assert source().access_key_id == "AKID"


def test_a_folder_without_links_will_do(tmp_path: Path) -> None:
    for name, text in secret().items():
        (tmp_path / name).write_text(text)
    assert StoreConfig.from_folder(tmp_path).bucket == "shop"
