"""`catalog list`: Databases that the object stores know, with the YAML that brings each back."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from postbase_operator.api.project import Project
from postbase_operator.archive.record import CatalogueEntry
from postbase_operator.errors import PostbaseError
from postbase_operator.kube.budget import WriteBudget
from postbase_operator.kube.kinds import PROJECT
from postbase_operator.kube.session import Session
from postbase_operator.kube.stores import Source, Stores
from postbase_operator.objectstore import catalogue
from postbase_operator.objectstore.archive_log import StoredLog, load
from postbase_operator.objectstore.store import ObjectStore
from postbase_operator.planning.recovery import Target, plan_recovery
from postbase_operator.planning.recovery_way import Recovery
from postbase_operator.settings import Settings


def main(settings: Settings, namespace: str | None) -> int:
    """Prints to standard output; 0 also where there is nothing."""
    return asyncio.run(_main(settings, namespace))


async def _main(settings: Settings, namespace: str | None) -> int:
    api = await Session.login(WriteBudget(1.0))
    try:
        stores = Stores(api, settings)
        for source in await _sources(api, stores, looked_in(settings, namespace)):
            client = await stores.client(source)
            for each in await asyncio.to_thread(_all_told, client, namespace):
                sys.stdout.write(f"{each}\n")
    finally:
        await api.close()
    return 0


def looked_in(settings: Settings, namespace: str | None) -> Sequence[str | None]:
    """Where Projects are listed: an operator that serves some namespaces only has no rights in
    others, and none over all at once."""
    if namespace is not None:
        return (namespace,)
    return settings.watch_namespaces or (None,)


async def _sources(api: Session, stores: Stores, namespaces: Sequence[str | None]) -> list[Source]:
    """The installation's store, and those that Projects bring."""
    listed = [body for each in namespaces for body in (await api.list(PROJECT, each)).items]
    projects = [None, *(Project.model_validate(body) for body in listed)]
    found = (stores.source(project) for project in projects)
    return list(dict.fromkeys(each for each in found if each is not None))


def _all_told(store: ObjectStore, namespace: str | None) -> list[str]:
    return list(told(store, namespace))


def told(store: ObjectStore, namespace: str | None) -> Iterator[str]:
    """One text for each Database of the catalogue, ready to be pasted."""
    for entry in catalogue.entries(store):
        if namespace in (None, entry.namespace):
            yield text(entry, _recovery(store, entry.database_uid))


def text(entry: CatalogueEntry, found: Recovery | str) -> str:
    """`found`: all that there is of it, or why there is nothing. PURE."""
    head = (
        f"# {entry.namespace}/{entry.name} of cluster {entry.cluster}, "
        f"made {_moment(entry.created_at)}\n"
    )
    if isinstance(found, str):
        return f"{head}# {found}\n"
    last = _moment(found.last_commit) if found.last_commit is not None else "the backup's"
    return (
        f"{head}"
        f"# can be restored: {_moment(found.span.begin)} to {_moment(found.span.until)}; "
        f"last commit: {last}\n"
        "spec:\n"
        f'  postgresVersion: "{found.base.major}"\n'
        "  bootstrap:\n"
        "    restore:\n"
        f"      from: {{databaseUID: {entry.database_uid}}}\n"
        "      latest: {}\n"
    )


def _recovery(store: ObjectStore, uid: str) -> Recovery | str:
    archive = catalogue.newest_archive(store, uid)
    if archive is None:
        return "has no archive: nothing can be restored"
    archived = load(store, archive)
    reader = StoredLog(store, archived.index.segment_size)
    try:
        return plan_recovery(archived, reader, Target(), datetime.now(UTC))
    except PostbaseError as error:
        return f"cannot be restored: {error}"


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
