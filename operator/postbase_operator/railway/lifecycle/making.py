"""A service is made on Railway: whose it is stands in it from the first moment on."""

from __future__ import annotations

from collections.abc import Mapping

from postbase_operator.api.database import Database
from postbase_operator.errors import NotReady
from postbase_operator.railway.graphql import changes, reads
from postbase_operator.railway.graphql.faults import AlreadyExists, UnknownOutcome
from postbase_operator.railway.ground import Ground

SERVICE, VOLUME, DEPLOYMENT = "service", "volume", "deployment"
"""What may have been asked for and not show yet (ground.py)."""


async def create_service(
    ground: Ground, db: Database, name: str, variables: Mapping[str, str]
) -> str:
    """The id of it. `variables` have the marker in them. Raises NotReady where one was asked for
    that may still show."""
    ground.wait_for(SERVICE, name)
    ground.sight.changed()
    try:
        made = await changes.create_service(ground.client, ground.place, name, variables)
    except AlreadyExists:
        await _explain(ground, db, name)
        raise
    except UnknownOutcome:
        ground.asked(SERVICE, name)
        raise
    ground.asked(SERVICE, name)
    return made.id


async def _explain(ground: Ground, db: Database, name: str) -> None:
    """There is one of this name, and the environment does not show it: late, or another's."""
    found = await reads.services(ground.client, ground.place.project_id)
    held = next((each for each in found if each.name == name), None)
    if held is not None:
        ground.refuse_stranger(db, await ground.sight.variables(held.id), name)
    raise NotReady(f"Railway does not show the service {name} yet", 2.0)
