"""All that runs on a volume: the table of contents of a Database on Kubernetes."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from postbase_operator.api.database import Database
from postbase_operator.archive.wish import NOTHING, ArchivingWish
from postbase_operator.desired import config, disruption, network_policy, services, statefulset
from postbase_operator.settings import Settings


def objects(
    db: Database,
    claim: str,
    system_id: str,
    image: str,
    settings: Settings,
    archiving: ArchivingWish = NOTHING,
) -> Iterator[BaseModel]:
    """In the order in which they must be there: settings before the pod that mounts them."""
    yield config.config_map(db, system_id, archiving)
    yield services.headless_service(db)
    yield services.client_service(db)
    yield disruption.budget(db)
    yield network_policy.network_policy(db, settings)
    yield statefulset.statefulset(db, claim, image, settings)
