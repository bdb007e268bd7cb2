"""Railway's platform, where the operator has a token for it: made here, of what the others have."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from postbase_operator.api.database import Database
from postbase_operator.api.project import Project, ProjectDefaults
from postbase_operator.errors import InvalidSpec
from postbase_operator.handlers.reconcile import now
from postbase_operator.kube.backup_objects import BackupObjects
from postbase_operator.kube.cache import Cache
from postbase_operator.kube.far_archives import FarArchives
from postbase_operator.kube.far_keys import FarKeys
from postbase_operator.kube.far_restores import FarRestores
from postbase_operator.kube.kinds import PROJECT
from postbase_operator.kube.loads import Loads
from postbase_operator.kube.restore_jobs import RestoreJobs
from postbase_operator.kube.session import Session
from postbase_operator.railway.cost import Prices
from postbase_operator.railway.graphql.budget import Budgets
from postbase_operator.railway.graphql.client import ENDPOINT, Client, Token, TokenKind
from postbase_operator.railway.graphql.reads import Place
from postbase_operator.railway.platform import RailwayPlatform
from postbase_operator.settings import PREFIX, Settings


@asynccontextmanager
async def railway_platform(
    api: Session, cache: Cache, settings: Settings
) -> AsyncIterator[RailwayPlatform | None]:
    """None without a token. Raises InvalidSpec for settings that do not go together."""
    if not settings.railway_token:
        yield None
        return

    def region_of(db: Database) -> str | None:
        held = cache.get(PROJECT, db.metadata.namespace, db.spec.project_ref.name)
        project = None if held is None else Project.model_validate(held)
        return db.region(project.spec.defaults if project is not None else ProjectDefaults())

    token = Token(_kind(settings), settings.railway_token)
    async with Client(token, Budgets(), settings.railway_endpoint or ENDPOINT) as client:
        yield RailwayPlatform(
            client,
            place_of(settings),
            FarKeys(api, now),
            FarArchives(api, cache, settings, now),
            region_of,
            settings.cluster_name,
            now,
            schedule=BackupObjects(api, cache, now),
            archives=FarRestores(api, cache, settings, now),
            loads=Loads(api, cache, settings, RestoreJobs(api, cache, settings, now)),
            image=settings.railway_image or settings.sidecar_image,
            prices=prices_of(settings),
        )


def _kind(settings: Settings) -> TokenKind:
    try:
        return TokenKind(settings.railway_token_kind)
    except ValueError:
        known = ", ".join(TokenKind)
        held = settings.railway_token_kind
        why = f"{held!r} is none: set railway.tokenKind of the chart to one of {known}"
        raise InvalidSpec(f"{PREFIX}RAILWAY_TOKEN_KIND", why) from None


def prices_of(settings: Settings) -> Prices:
    return Prices.of(settings.railway_prices, f"{PREFIX}RAILWAY_PRICES")


def place_of(settings: Settings) -> Place | None:
    """Where Databases are made; None where the token says so itself."""
    project, environment = settings.railway_project, settings.railway_environment
    if _kind(settings) is TokenKind.PROJECT:
        return None
    if not project or not environment:
        raise InvalidSpec(
            f"{PREFIX}RAILWAY_PROJECT",
            "this and the environment (railway.projectId and railway.environmentId of the chart) "
            "must be set, as the token is for more than one: the ids are "
            "in the address of the environment's page on Railway",
        )
    return Place(project, environment)
