"""Where a store is and how one gets in: the content of a mounted Secret, as values.

The Secret has the keys AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN (all optional:
without them the pod's identity counts), store.json (the rest, by the names of spec.objectStore)
and ca.crt (PEM).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from postbase_operator.errors import InvalidSpec

STORE_JSON = "store.json"
CA_CRT = "ca.crt"
ACCESS_KEY_ID = "AWS_ACCESS_KEY_ID"
SECRET_ACCESS_KEY = "AWS_SECRET_ACCESS_KEY"  # noqa: S105 - the name of a key, not a key
SESSION_TOKEN = "AWS_SESSION_TOKEN"  # noqa: S105
KEYS = (ACCESS_KEY_ID, SECRET_ACCESS_KEY, SESSION_TOKEN, STORE_JSON, CA_CRT)

SSE_ALGORITHMS = {"": "", "S3": "AES256", "KMS": "aws:kms"}


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """One folder of one bucket. Equal configurations make equal clients."""

    bucket: str
    endpoint: str = ""
    """https://host[:port]; empty is AWS, by region."""

    public_endpoint: str = ""
    """The same store as clients outside the cluster reach it; empty is `endpoint`."""

    prefix: str = ""
    """Folder in the bucket, no slash at either end; empty is the bucket itself."""

    region: str = "us-east-1"
    path_style: bool = False
    sse: str = ""
    """AES256 or aws:kms, as the header has it; empty leaves it to the bucket."""

    kms_key_id: str = ""
    conditional_put: bool = True
    """False where the probe found that the store ignores If-None-Match."""

    access_key_id: str = field(default="", repr=False)
    secret_access_key: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)
    ca: str = field(default="", repr=False)
    """PEM of the authorities that sign the store's certificate; empty is the public ones."""

    def __post_init__(self) -> None:
        if bool(self.access_key_id) != bool(self.secret_access_key):
            raise InvalidSpec(
                "objectStore.credentialsSecretRef",
                f"the Secret must have both {ACCESS_KEY_ID} and {SECRET_ACCESS_KEY}, or neither",
            )

    @classmethod
    def from_mapping(cls, secret: Mapping[str, str]) -> StoreConfig:
        """From the Secret's keys; InvalidSpec names the one that cannot be used."""
        store = _parsed(secret.get(STORE_JSON, ""))
        sse = _member(store, "sse", dict)
        mode = _member(sse, "mode", str)
        if mode not in SSE_ALGORITHMS:
            raise InvalidSpec("objectStore.sse.mode", f"{mode!r} is neither S3 nor KMS")
        bucket = _member(store, "bucket", str)
        if not bucket:
            raise InvalidSpec("objectStore.bucket", f"is missing from {STORE_JSON}: name a bucket")
        return cls(
            bucket=bucket,
            endpoint=_address(store, "endpoint"),
            public_endpoint=_address(store, "publicEndpoint"),
            prefix=_member(store, "prefix", str).strip("/"),
            region=_member(store, "region", str) or "us-east-1",
            path_style=_member(store, "pathStyle", bool),
            sse=SSE_ALGORITHMS[mode],
            kms_key_id=_member(sse, "kmsKeyId", str),
            conditional_put=_member(store, "conditionalPut", bool, missing=True),
            access_key_id=secret.get(ACCESS_KEY_ID, "").strip(),
            secret_access_key=secret.get(SECRET_ACCESS_KEY, "").strip(),
            session_token=secret.get(SESSION_TOKEN, "").strip(),
            ca=secret.get(CA_CRT, ""),
        )

    @classmethod
    def from_folder(cls, folder: Path) -> StoreConfig:
        """From a mounted Secret, all of it of one moment.

        The kubelet changes all files at once by pointing `..data` at another folder, so that
        link is followed once: an old id beside a new key would be refused by the store.
        """
        current = (folder / "..data").resolve() if (folder / "..data").exists() else folder
        files = {key: current / key for key in KEYS}
        return cls.from_mapping({k: f.read_text() for k, f in files.items() if f.is_file()})

    @property
    def in_path(self) -> bool:
        """Whether the bucket goes into the path: a dot in its name breaks the host's TLS name."""
        return self.path_style or "." in self.bucket

    @property
    def bucket_endpoint(self) -> str:
        """The endpoint with the bucket in its host, where it belongs there; empty is AWS."""
        if not self.endpoint or self.in_path:
            return self.endpoint
        parts = urlsplit(self.endpoint)
        return f"{parts.scheme}://{self.bucket}.{parts.netloc}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no message may contain."""
        values = (self.access_key_id, self.secret_access_key, self.session_token)
        return tuple(value for value in values if value)

    def full_key(self, key: str) -> str:
        """The key in the bucket."""
        return f"{self.prefix}/{key}" if self.prefix else key

    def relative_key(self, full_key: str) -> str:
        """The key in the store's folder."""
        return full_key.removeprefix(f"{self.prefix}/") if self.prefix else full_key


class Mounted:
    """The configuration in a folder of files, read again whenever the files changed.

    Rotated keys are taken up without a restart. While what lies there cannot be read, the error
    is told, not the former configuration: its keys may be the ones that were taken away.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: tuple[object, ...] = ()
        self._config: StoreConfig | None = None

    def __call__(self) -> StoreConfig:
        seen = tuple(self._mark(key) for key in KEYS)
        if self._config is None or seen != self._seen:
            self._config = StoreConfig.from_folder(self._folder)
            self._seen = seen
        return self._config

    def _mark(self, key: str) -> tuple[int, int, int] | None:
        try:
            stat = (self._folder / key).stat()
        except FileNotFoundError:
            return None
        return stat.st_ino, stat.st_mtime_ns, stat.st_size


def _parsed(text: str) -> dict[str, Any]:
    try:
        store = json.loads(text or "{}")
    except ValueError as error:
        raise InvalidSpec(STORE_JSON, f"is not JSON: {error}") from None
    if not isinstance(store, dict):
        raise InvalidSpec(STORE_JSON, "must be a JSON object with the fields of spec.objectStore")
    return store


def _member(of: Mapping[str, Any], name: str, kind: type, missing: object = None) -> Any:
    value = of.get(name)
    if value is None:
        return kind() if missing is None else missing
    if not isinstance(value, kind):
        raise InvalidSpec(f"objectStore.{name}", f"must be a {kind.__name__}, not {value!r}")
    return value


def _address(store: Mapping[str, Any], name: str) -> str:
    value: str = _member(store, name, str).rstrip("/")
    parts = urlsplit(value)
    if value and (parts.scheme not in ("http", "https") or not parts.netloc or parts.path):
        raise InvalidSpec(
            f"objectStore.{name}", "must be http:// or https:// and a host, without a path"
        )
    return value
