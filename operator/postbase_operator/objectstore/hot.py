"""S3 without boto3, for whoever lives beside a database: 30 MiB smaller."""

from __future__ import annotations

from collections.abc import Iterator

import obstore

from postbase_operator.objectstore.clients import Clients
from postbase_operator.objectstore.s3 import S3Store
from postbase_operator.objectstore.store import ObjectInfo


class HotS3Store(S3Store):
    """As S3Store; the keys that are listed must be below a folder, `prefix` with its slash."""

    def list(self, prefix: str, after: str | None = None) -> Iterator[ObjectInfo]:
        def request(clients: Clients) -> list[ObjectInfo]:
            config = clients.config
            beyond = config.full_key(after) if after else None
            pages = obstore.list(clients.quick, config.full_key(prefix.rstrip("/")), offset=beyond)
            return [
                ObjectInfo(
                    config.relative_key(one["path"]),
                    one["size"],
                    one["e_tag"] or "",
                    one["last_modified"],
                )
                for page in pages
                for one in page
            ]

        found = self._hot(f"LIST {prefix}", request)
        yield from sorted(found, key=lambda info: info.key)
