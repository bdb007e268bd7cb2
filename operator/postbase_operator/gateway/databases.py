"""Databases of a project: made, listed, changed, deleted."""

from __future__ import annotations

from postbase_operator.api.database import Database
from postbase_operator.api.project import Project
from postbase_operator.gateway import bodies, lists, rendering
from postbase_operator.gateway.call import Call
from postbase_operator.gateway.held import Held
from postbase_operator.gateway.plans import Limits, Size, check_size
from postbase_operator.gateway.problems import Code, Problem, invalid
from postbase_operator.gateway.projects import check_key
from postbase_operator.gateway.route import Answer
from postbase_operator.gateway.shapes import Deleting
from postbase_operator.gateway.writes import Concern, object_name, refuse_managed, taken
from postbase_operator.kube.kinds import BACKUP, DATABASE, Body

KEPT_FOR = "72h"
"""A volume that could not go with a last backup: a tenant's DELETE must not fill disks for ever."""


def shown(held: Held) -> bytes:
    def render(held: Held) -> bytes:
        model = Database.model_validate_json(held.raw)
        return rendering.database(model, held.display).model_dump_json().encode()

    return lists.fragment(held, render)


async def list_databases(call: Call) -> Answer:
    project = await call.project()
    found = call.index.under(DATABASE, project.namespace, project.name)
    return lists.page("databases", found, call.query(bodies.Paged), shown)


async def get_database(call: Call) -> Answer:
    return Answer(shown((await call.database()).held))


async def create_database(call: Call) -> Answer:
    project, body = await call.project(), call.body(bodies.NewDatabase)
    others = call.index.under(DATABASE, project.namespace, project.name)
    check_key(call, others)
    same = next((held for held in others if held.display == body.name), None)
    if same is not None and same.idempotency[0] != (call.origin.idempotency_key or None):
        raise taken(DATABASE)
    if same is None:
        check_count(call.who.limits, others)
    held = await call.writer.create(
        DATABASE,
        project.namespace,
        same.name if same is not None else free_name(call, project, body.name),
        spec_of(call, project, body),
        call.origin,
        display=body.name,
    )
    call.ids["database"] = held.id
    place = f"/projects/{project.id}/databases/{held.display}"
    return Answer(shown(held), 201, {"Location": place})


def check_count(limits: Limits, others: list[Held]) -> None:
    if limits.databases is not None and len(others) >= limits.databases:
        raise Problem(
            Code.PLAN_LIMIT_EXCEEDED, f"The plan has {limits.databases} databases per project"
        )


def free_name(call: Call, project: Held, display: str) -> str:
    """The object's name: the same for all who ask at once, so that one of them gets it.

    A database of this name that was deleted has left its volume's and its backups' names behind:
    the next life of the name gets another object name.
    """
    for life in range(1000):
        name = object_name(DATABASE, project.uid, display, str(life))
        if not call.index.under(BACKUP, project.namespace, name):
            return name
    raise Problem(Code.CONFLICT, "This name was used too often: take another")


def spec_of(call: Call, project: Held, body: bodies.NewDatabase) -> Body:
    settings, limits = call.services.settings, call.who.limits
    size = size_of(body.config, limits.default)
    check_size(limits, size)
    version = body.postgres_version or settings.postgres_version
    if version not in settings.postgres_versions:
        known = ", ".join(settings.postgres_versions)
        raise invalid(f"postgres_version: known here are {known}")
    region = region_of(call, project, body.region)
    return {
        "projectRef": {"name": project.name},
        "postgresVersion": version,
        "storage": {"size": f"{size.storage}Gi"},
        "resources": {"cpu": cpu(size), "memory": f"{size.memory}Mi"},
        "backup": {"retentionDays": limits.backup_days},
        # Whoever asks for a new database means an empty one, whatever an earlier one has left.
        "bootstrap": {"empty": {}},
        "deletionPolicy": "FinalBackup",
        **({"region": region} if region is not None else {}),
        **place_in(region, settings.railway_regions),
    }


def place_in(region: str | None, of_railway: tuple[str, ...]) -> Body:
    """Who runs it: said outright, so that a later change of these regions moves nothing. On Railway
    no volume goes by itself: what is kept there, `retainVolumeFor` is refused for."""
    return {"provider": "Railway"} if region in of_railway else {"retainVolumeFor": KEPT_FOR}


def cpu(size: Size) -> str:
    return f"{round(size.cpu * 1000)}m"


def size_of(asked: bodies.WantedConfig | None, default: Size) -> Size:
    """What is not said is as `default` has it."""
    asked = asked or bodies.WantedConfig()
    return Size(
        asked.cpu if asked.cpu is not None else default.cpu,
        asked.memory if asked.memory is not None else default.memory,
        asked.storage if asked.storage is not None else default.storage,
    )


def region_of(call: Call, project: Held, asked: str | None) -> str | None:
    """One of the installation's; else the project's default, else the installation's."""
    settings = call.services.settings
    if asked is not None:
        if settings.regions and asked not in settings.all_regions:
            raise invalid(f"region: known here are {', '.join(settings.all_regions)}")
        return asked
    default = Project.model_validate_json(project.raw).spec.defaults.region
    return default or settings.default_region


async def change_database(call: Call) -> Answer:
    found, body = await call.database(), call.body(bodies.DatabaseChange)
    refuse_managed(found.held)
    db = found.model
    refuse_unready(found.held)
    now = rendering.config(db)
    size = size_of(body.config, Size(now.cpu, now.memory, now.storage))
    if body.config is not None:
        check_size(call.who.limits, size)
    if size.storage < now.storage:
        raise Problem(Code.CONFLICT, "config.storage may only grow: no volume can shrink")
    parameters = body.parameters if body.parameters is not None else db.spec.parameters
    spec: Body = {
        "resources": {"cpu": cpu(size), "memory": f"{size.memory}Mi"},
        "parameters": parameters,
    }
    if body.config is not None and body.config.storage is not None:
        spec["storage"] = {"size": f"{size.storage}Gi"}
    else:
        spec["storage"] = {"size": db.spec.storage.size}
    held = await call.writer.change(found.held, Concern.SIZE, call.origin, spec, {})
    return Answer(shown(held))


def refuse_unready(held: Held) -> None:
    if held.deleting:
        raise Problem(Code.DATABASE_NOT_READY, "The database is being deleted")


async def delete_database(call: Call) -> Answer:
    found = await call.database()
    refuse_managed(found.held)
    if not found.held.deleting:
        await call.writer.delete(found.held)
    return Answer(Deleting(id=found.held.id), 202)
