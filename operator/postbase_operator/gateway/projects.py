"""Projects: what databases of an account belong to."""

from __future__ import annotations

from postbase_operator.api.project import Project
from postbase_operator.gateway import lists, rendering
from postbase_operator.gateway.bodies import NewProject, Paged, ProjectDeletion
from postbase_operator.gateway.call import Call, is_gone
from postbase_operator.gateway.held import Held
from postbase_operator.gateway.problems import Code, Problem
from postbase_operator.gateway.route import Answer
from postbase_operator.gateway.shapes import Deleting
from postbase_operator.gateway.writes import object_name, refuse_managed, repeated, taken
from postbase_operator.kube.kinds import DATABASE, PROJECT

MOST_PROJECTS = 1000


def shown(held: Held) -> bytes:
    def render(held: Held) -> bytes:
        model = Project.model_validate_json(held.raw)
        return rendering.project(model, held.display).model_dump_json().encode()

    return lists.fragment(held, render)


async def list_projects(call: Call) -> Answer:
    return lists.page("projects", _there(call), call.query(Paged), shown)


def _there(call: Call) -> list[Held]:
    """Of an account without a namespace there are none: not those of all."""
    namespace = call.who.namespace
    held = call.index.under(PROJECT, namespace) if namespace else []
    if any(each.deleting for each in held):
        return [each for each in held if not is_gone(call.index, each)]
    return held


async def create_project(call: Call) -> Answer:
    name, namespace = call.body(NewProject).name, await call.namespace()
    others = call.index.under(PROJECT, namespace)
    check_key(call, others)
    same = next((held for held in others if held.display == name), None)
    if same is not None and same.idempotency[0] != (call.origin.idempotency_key or None):
        raise taken(PROJECT)
    if len(others) >= MOST_PROJECTS:
        raise Problem(Code.PLAN_LIMIT_EXCEEDED, f"An account may have {MOST_PROJECTS} projects")
    limits = call.who.limits
    quota = {"backupGiB": limits.backup_gib}
    if limits.databases is not None:
        quota["databases"] = limits.databases
    held = await call.writer.create(
        PROJECT,
        namespace,
        object_name(PROJECT, call.who.account.uid, name),
        {"displayName": name, "quota": quota},
        call.origin,
        display=name,
    )
    call.ids["project"] = held.id
    return Answer(shown(held), 201, {"Location": f"/projects/{held.id}"})


def check_key(call: Call, others: list[Held]) -> None:
    """The same Idempotency-Key with another body would make another name: found here."""
    for held in others:
        repeated(held, call.origin)


async def get_project(call: Call) -> Answer:
    return Answer(shown(await call.project()))


async def delete_project(call: Call) -> Answer:
    held = await call.project()
    refuse_managed(held)
    databases = call.index.under(DATABASE, held.namespace, held.name)
    if databases and not call.query(ProjectDeletion).force:
        raise Problem(
            Code.PROJECT_NOT_EMPTY,
            "Databases are in the project: delete them first, or all of it with ?force=true",
        )
    for database in databases:
        refuse_managed(database)
    for database in databases:
        if not database.deleting:
            await call.writer.delete(database)
    await call.writer.delete(held)
    return Answer(Deleting(id=held.id))
