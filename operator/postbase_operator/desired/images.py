"""Which stock image a Database runs."""

from __future__ import annotations

from postbase_operator.api.database import Database
from postbase_operator.settings import Settings


def image(db: Database, settings: Settings) -> str:
    """The user's own image, or the known one of the major. Raises InvalidSpec (UnknownVersion)."""
    return db.spec.image or settings.image_for(str(db.spec.postgres_version))
