"""The two libraries, made from one configuration. Neither of them retries: `retry` does.

boto3 is imported when it is first needed: a WAL receiver lives without it, 30 MiB smaller.
"""

from __future__ import annotations

import re
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache, cached_property
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

from obstore.exceptions import BaseError
from obstore.store import S3Store as HotStore

from postbase_operator.objectstore import faults
from postbase_operator.objectstore.retry import Limits
from postbase_operator.objectstore.settings import StoreConfig
from postbase_operator.objectstore.store import StoreDenied

if TYPE_CHECKING:
    import boto3.session
    from obstore.store import ClientConfig, S3Config
    from types_boto3_s3.client import S3Client

Source = Callable[[], StoreConfig]

WHOLE_STREAM = timedelta(hours=12)
"""Until a streamed body must have come; `Limits.idle` is what ends one that stands still."""


NO_KEYS = "no keys are given, and the pod has no identity of its own"


class Clients:
    """Clients of one configuration; thread-safe."""

    def __init__(self, config: StoreConfig, limits: Limits) -> None:
        self.config = config
        self._limits = limits
        self._lock = threading.Lock()
        self._links: S3Client | None = None
        self._control: S3Client | None = None

    @cached_property
    def quick(self) -> HotStore:
        """For whole objects: a request ends within `Limits.request`."""
        return self._hot({"timeout": timedelta(seconds=self._limits.request)})

    @cached_property
    def streaming(self) -> HotStore:
        """For long bodies: a read ends within `Limits.idle`."""
        idle = timedelta(seconds=self._limits.idle)
        return self._hot({"timeout": WHOLE_STREAM, "read_timeout": idle})

    @property
    def control(self) -> S3Client:
        """boto3's, for all that is not hot."""
        with self._lock:
            if self._control is None:
                self._control = self._boto(self.config.endpoint)
            return self._control

    @property
    def links(self) -> S3Client:
        """boto3's, for links of the public endpoint. It never connects."""
        with self._lock:
            if self._links is None:
                self._links = self._boto(self.config.public_endpoint or self.config.endpoint)
            return self._links

    def _hot(self, timeouts: ClientConfig) -> HotStore:
        config = self.config
        settings: S3Config = {
            "bucket": config.bucket,
            "region": config.region,
            "virtual_hosted_style_request": not config.in_path,
            "disable_bulk_delete": True,  # one object is a DELETE, not a list of one
        }
        if config.bucket_endpoint:
            settings["endpoint"] = config.bucket_endpoint
        if config.sse:
            settings["server_side_encryption"] = config.sse
        if config.kms_key_id:
            settings["sse_kms_key_id"] = config.kms_key_id
        options: ClientConfig = {
            "allow_http": config.endpoint.startswith("http://"),
            "connect_timeout": timedelta(seconds=self._limits.connect),
            **timeouts,
        }
        if config.ca:
            options["root_certificate"] = config.ca
        once: Any = {"max_retries": 0}
        if not config.access_key_id:
            return HotStore(
                config=settings,
                client_options=options,
                retry_config=once,
                credential_provider=_identity_of_pod(),
            )
        settings["access_key_id"] = config.access_key_id
        settings["secret_access_key"] = config.secret_access_key
        if config.session_token:
            settings["session_token"] = config.session_token
        return HotStore(config=settings, client_options=options, retry_config=once)

    @cached_property
    def _ca_file(self) -> str:
        """boto3 takes a path only; the file goes with this object."""
        with NamedTemporaryFile("w", suffix=".crt", delete=False) as file:
            file.write(self.config.ca)
        weakref.finalize(self, Path(file.name).unlink, missing_ok=True)
        return file.name

    def _boto(self, endpoint: str) -> S3Client:
        from botocore.config import Config

        config = self.config
        return _made(
            endpoint_url=endpoint or None,
            region_name=config.region,
            aws_access_key_id=config.access_key_id or None,
            aws_secret_access_key=config.secret_access_key or None,
            aws_session_token=config.session_token or None,
            verify=self._ca_file if config.ca else None,
            config=Config(
                signature_version="s3v4",
                connect_timeout=self._limits.connect,
                read_timeout=self._limits.idle,
                retries={"total_max_attempts": 1, "mode": "standard"},
                s3={"addressing_style": "path" if config.in_path else "virtual"},
                # Checksums as trailers are unknown to many stores; the body is signed anyway.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )


def _made(**words: Any) -> S3Client:
    """Of one session: each further one would load S3's description again, 12 MiB. Making a client
    changes its session, using it does not (boto3's guide, Multithreading)."""
    import boto3.session

    if words["aws_access_key_id"] is None:  # a session keeps the identity that it has once found
        own: S3Client = boto3.session.Session().client("s3", **words)
        return own
    with _MAKING:
        made: S3Client = _session().client("s3", **words)
        return made


_MAKING = threading.Lock()


@cache
def _session() -> boto3.session.Session:
    import boto3.session

    return boto3.session.Session()


class Current:
    """The clients of the configuration as it is now; a new one makes new clients."""

    def __init__(self, source: Source, limits: Limits) -> None:
        self._source, self._limits = source, limits
        self._lock = threading.Lock()
        self._clients: Clients | None = None

    def __call__(self) -> Clients:
        """Asked for once a request, so that rotated keys count from the next one on."""
        with self._lock:
            config = self._source()
            if self._clients is None or self._clients.config != config:
                self._clients = Clients(config, self._limits)
            return self._clients


@contextmanager
def hot(request: str, config: StoreConfig) -> Iterator[None]:
    """Around a request of obstore: its errors become ours."""
    try:
        yield
    except (BaseError, FileNotFoundError) as error:
        text = str(error)
        answer = faults.parsed(text)
        if answer is None:
            raise faults.of_silence(request, text) from None
        raise faults.of_answer(request, answer, config.secrets) from None


@contextmanager
def control(request: str, config: StoreConfig) -> Iterator[None]:
    """Around a request of boto3: its errors become ours."""
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

    try:
        yield
    except ClientError as error:
        told = error.response.get("Error", {})
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        code = told.get("Code", "")
        # Without a body boto3 puts the status in the code's place.
        code = "" if re.fullmatch(r"\d{3}", code) else code
        answer = faults.Answer(status, code, told.get("Message", ""))
        raise faults.of_answer(request, answer, config.secrets) from None
    except NoCredentialsError:
        raise StoreDenied(NO_KEYS) from None
    except BotoCoreError as error:
        raise faults.of_silence(request, f"{type(error).__name__} {error}") from None


def _identity_of_pod() -> Any:
    """Keys by the pod's service account, or whatever else boto3 finds; renewed by it."""
    import boto3.session
    from obstore.auth.boto3 import Boto3CredentialProvider

    session = boto3.session.Session()
    if session.get_credentials() is None:
        raise StoreDenied(NO_KEYS)
    return Boto3CredentialProvider(session)
