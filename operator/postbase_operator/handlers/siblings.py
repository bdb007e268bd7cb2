"""Databases of one Project, by age: a quota lets the elder ones be."""

from __future__ import annotations

from postbase_operator.api.project import Project
from postbase_operator.handlers.keys import project_key
from postbase_operator.kube.cache import Cache
from postbase_operator.kube.kinds import DATABASE, Body


def elder(cache: Cache, body: Body, project: Project | None) -> int:
    """How many were there before this one; counted only where a quota asks."""
    if project is None or project.spec.quota.databases is None:
        return 0
    key, born = project_key(body), _birth(body)
    siblings = (db for db in cache.all(DATABASE) if project_key(db) == key)
    return sum(_birth(db) < born for db in siblings)


def _birth(body: Body) -> tuple[str, str]:
    """Within one second, by name."""
    return body["metadata"].get("creationTimestamp") or "", body["metadata"]["name"]
