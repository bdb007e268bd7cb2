"""The route table: the API page's endpoints in its order, and the additive ones among them."""

from __future__ import annotations

from postbase_operator.gateway import (
    bodies,
    connection,
    databases,
    identity,
    projects,
    shapes,
    system,
)
from postbase_operator.gateway.problems import Code
from postbase_operator.gateway.route import Route
from postbase_operator.gateway.routes_recovery import BACKUPS, DATABASE, MANAGED, RECOVERY

PROJECT = "/projects/{project}"
SIGN_IN = (Code.DEVICE_CODE_EXPIRED, Code.ACCESS_DENIED, Code.INVALID_DEVICE_CODE)

SYSTEM = (
    Route("GET", "/", "Health", system.health, (shapes.Health,), public=True, metered=False),
    Route("GET", "/openapi.json", "This description", system.openapi, (), public=True),
    Route("GET", "/docs", "This description, for people", system.reference, (), public=True),
    Route("GET", "/regions", "List regions", system.regions, (shapes.Regions,)),
)
AUTH = (
    Route(
        "POST",
        "/auth/device",
        "Start device flow",
        identity.start,
        (shapes.DeviceStart,),
        public=True,
        secret=True,
        problems=SIGN_IN,
    ),
    Route(
        "POST",
        "/auth/device/token",
        "Poll for token",
        identity.poll,
        (shapes.Pending, shapes.SignedIn),
        body=bodies.DeviceToken,
        body_needed=True,
        public=True,
        secret=True,
        problems=(*SIGN_IN, Code.CONFLICT),
    ),
    Route("GET", "/auth/me", "Get current user", identity.me, (shapes.Me,), secret=True),
    Route(
        "GET", "/auth/tokens", "List tokens", identity.list_tokens, (shapes.Tokens,), secret=True
    ),
    Route(
        "DELETE",
        "/auth/tokens/{token}",
        "Revoke a token",
        identity.revoke,
        (shapes.Deleted,),
        secret=True,
        problems=(Code.CONFLICT,),
    ),
    Route(
        "DELETE",
        "/auth/token",
        "Revoke this token",
        identity.revoke_current,
        (shapes.Deleted,),
        secret=True,
        problems=(Code.CONFLICT,),
    ),
)
PROJECTS = (
    Route(
        "GET",
        "/projects",
        "List projects",
        projects.list_projects,
        (shapes.Projects,),
        query=bodies.Paged,
    ),
    Route(
        "POST",
        "/projects",
        "Create project",
        projects.create_project,
        (shapes.Project,),
        status=201,
        body=bodies.NewProject,
        body_needed=True,
        idempotent=True,
        problems=(Code.CONFLICT, Code.PLAN_LIMIT_EXCEEDED),
    ),
    Route("GET", PROJECT, "Get project", projects.get_project, (shapes.Project,)),
    Route(
        "DELETE",
        PROJECT,
        "Delete project",
        projects.delete_project,
        (shapes.Deleting,),
        query=bodies.ProjectDeletion,
        problems=(Code.PROJECT_NOT_EMPTY, *MANAGED),
    ),
)
DATABASES = (
    Route(
        "GET",
        f"{PROJECT}/databases",
        "List databases",
        databases.list_databases,
        (shapes.Databases,),
        query=bodies.Paged,
    ),
    Route(
        "POST",
        f"{PROJECT}/databases",
        "Provision database",
        databases.create_database,
        (shapes.Database,),
        status=201,
        body=bodies.NewDatabase,
        body_needed=True,
        idempotent=True,
        problems=(Code.CONFLICT, Code.PLAN_LIMIT_EXCEEDED),
    ),
    Route("GET", DATABASE, "Get database", databases.get_database, (shapes.Database,)),
    Route(
        "PATCH",
        DATABASE,
        "Change size or parameters",
        databases.change_database,
        (shapes.Database,),
        body=bodies.DatabaseChange,
        body_needed=True,
        problems=(Code.DATABASE_NOT_READY, Code.PLAN_LIMIT_EXCEEDED, *MANAGED),
    ),
    Route(
        "GET",
        f"{DATABASE}/url",
        "Get connection URL",
        connection.get_url,
        (shapes.ConnectionUrl,),
        secret=True,
        problems=(Code.DATABASE_NOT_READY,),
    ),
    Route(
        "POST",
        f"{DATABASE}/credentials/rotate",
        "Rotate the password",
        connection.rotate,
        (shapes.Rotation,),
        status=202,
        problems=(Code.DATABASE_NOT_READY, Code.CONFLICT),
    ),
    Route("GET", f"{DATABASE}/events", "List events", connection.list_events, (shapes.Events,)),
    Route("GET", f"{DATABASE}/metrics", "Get figures", connection.metrics, (shapes.Metrics,)),
    Route(
        "DELETE",
        DATABASE,
        "Delete database",
        databases.delete_database,
        (shapes.Deleting,),
        status=202,
        problems=MANAGED,
    ),
)
ROUTES: tuple[Route, ...] = (*SYSTEM, *AUTH, *PROJECTS, *DATABASES, *BACKUPS, *RECOVERY)
