"""The object store of the installation, as whoever has its keys sees it: plain S3."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import boto3
from botocore.config import Config

from e2e.cluster import OPERATOR, OPERATOR_NAMESPACE, Cluster

VARIABLE = "POSTBASE_OBJECT_STORE"


class Bucket:
    """The one that the operator's Deployment names."""

    def __init__(self, cluster: Cluster) -> None:
        where = _named(cluster)
        service = where["endpoint"].removeprefix("http://").split(".")[0]
        address = cluster.get("service", OPERATOR_NAMESPACE, service)["spec"]["clusterIP"]
        secret = where["credentialsSecretRef"]["name"]
        held = cluster.get("secret", OPERATOR_NAMESPACE, secret)["data"]
        keys = {name: base64.b64decode(value).decode() for name, value in held.items()}
        self.name = where["bucket"]
        self.keys = keys
        """What gets one in: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."""
        self._s3 = boto3.session.Session().client(
            "s3",
            endpoint_url=f"http://{address}",  # by its address a bucket is a path
            aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
            region_name="us-east-1",
            # Beside modules that kill the store: for as long as a restart with its back-off takes.
            config=Config(retries={"mode": "standard", "max_attempts": 12}),
        )

    def sizes(self, prefix: str) -> dict[str, int]:
        """Bytes of each object whose key begins so, by the key."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        try:
            found = [each for page in pages for each in page.get("Contents", [])]
        except self._s3.exceptions.NoSuchBucket:  # the operator makes it when it first needs it
            return {}
        return {each["Key"]: each["Size"] for each in found}

    def get(self, key: str) -> bytes:
        return self._s3.get_object(Bucket=self.name, Key=key)["Body"].read()

    def put(self, key: str, content: bytes) -> None:
        self._s3.put_object(Bucket=self.name, Key=key, Body=content)

    def clear(self, prefix: str) -> None:
        for key in self.sizes(prefix):
            self._s3.delete_object(Bucket=self.name, Key=key)


class Stored:
    """What one Backup has left in the bucket, by the objectKey of its status."""

    def __init__(self, bucket: Bucket, object_key: str) -> None:
        self.bucket = bucket
        self.stem = object_key.removesuffix(".dump.gz")
        whole = self.stem.endswith("/")
        self.record_key = f"{self.stem}backup.json" if whole else f"{self.stem}.json"

    def sizes(self) -> dict[str, int]:
        return self.bucket.sizes(self.stem)

    def record(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.bucket.get(self.record_key))
        return found

    def hashes(self) -> dict[str, str]:
        """SHA-256 of every object but the record, by the key that the record has for it."""
        keys = [key for key in self.sizes() if key != self.record_key]
        return {
            key.removeprefix(self.stem): hashlib.sha256(self.bucket.get(key)).hexdigest()
            for key in keys
        }

    def flip(self, part: str) -> None:
        """One bit in the middle of the first object whose key holds these words."""
        key = next(key for key in sorted(self.sizes()) if part in key)
        content = bytearray(self.bucket.get(key))
        content[len(content) // 2] ^= 1
        self.bucket.put(key, bytes(content))


def _named(cluster: Cluster) -> dict[str, Any]:
    (deployment,) = cluster.listed("deployments", OPERATOR_NAMESPACE, OPERATOR)
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    (value,) = [each["value"] for each in container["env"] if each["name"] == VARIABLE]
    found: dict[str, Any] = json.loads(value)
    return found
