"""Makes the bucket itself: for a store of our own, which begins without one."""

from __future__ import annotations

from botocore.exceptions import ClientError

from postbase_operator.objectstore.clients import Clients, control
from postbase_operator.objectstore.retry import Limits
from postbase_operator.objectstore.settings import StoreConfig

OURS_ALREADY = frozenset({"BucketAlreadyOwnedByYou", "BucketAlreadyExists"})


def make_bucket(config: StoreConfig) -> None:
    """Leaves the bucket; that there is one is as well. Raises StoreUnavailable or StoreDenied."""
    clients = Clients(config, Limits())
    with control(f"CREATE {config.bucket}", config):
        try:
            clients.control.create_bucket(Bucket=config.bucket)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in OURS_ALREADY:
                raise
