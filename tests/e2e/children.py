"""The children of a Database as `desired` has them, and what people do to them by hand.

Nothing here names a kind: one that is added to `desired` is deleted and edited like the others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from e2e.cluster import Body, KubectlFailed
from e2e.database import Db, resource
from postbase_operator.api.database import Database
from postbase_operator.desired import meta, workload
from postbase_operator.kube.apply import body_of
from postbase_operator.kube.kinds import kind_of
from postbase_operator.settings import Settings

Path = tuple[str | int, ...]
Leaf = tuple[Path, Any]

TOGETHER = 8
"""So many fields, or fewer, are one part: one of them is edited for all."""
OTHER_WORDS = {
    "ClusterIP": "NodePort",
    "PreferDualStack": "SingleStack",
    "IfNotPresent": "Always",
    "Retain": "Delete",
    "RuntimeDefault": "Unconfined",
}
REFUSALS = ("is invalid", "BadRequest", "Forbidden")
IDENTITIES = ("containerPort", "port", "mountPath", "name")
"""By the first of these an item of a list is told from the others: another value, another item."""


@dataclass(frozen=True)
class Child:
    """A child by kubectl's name of its kind; `body` is as `desired` would have it."""

    resource: str
    name: str
    body: Body = field(repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.resource}/{self.name}"

    def live(self, db: Db) -> Body | None:
        return db.cluster.find(self.resource, db.namespace, self.name)


def database(name: str) -> Database:
    """One with the least spec; children do not depend on where it is."""
    return Database.model_validate(
        {
            "apiVersion": "postbase.sh/v1alpha1",
            "kind": "Database",
            "metadata": {"name": name, "namespace": "any", "uid": "any"},
            "spec": {
                "projectRef": {"name": "shop"},
                "postgresVersion": "15",
                "storage": {"size": "1Gi"},
            },
        }
    )


def children_of(name: str) -> list[Child]:
    """What runs on the volume of a Database; images and settings do not matter here."""
    db, settings = database(name), Settings(sidecar_image="any")
    claim = meta.names_of(db).volume(1)
    return [child(body_of(each)) for each in workload.objects(db, claim, "any", "any", settings)]


def child(body: Body) -> Child:
    return Child(resource(kind_of(body)), body["metadata"]["name"], body)


def names_of(name: str) -> list[str]:
    """kind/name of all that a running Database has, sorted: what `Db.names` must answer."""
    known = meta.names_of(database(name))
    secrets = (known.authority, known.credentials, known.tls)
    return sorted(
        [
            *(f"{each.body['kind']}/{each.name}" for each in children_of(name)),
            *(f"Secret/{secret}" for secret in secrets),
            f"PersistentVolumeClaim/{known.volume(1)}",
            f"Pod/{known.pod}",
        ]
    )


def parts(body: Body) -> Iterator[list[Leaf]]:
    """Fields by what belongs together: each label, the owners, each few fields of the rest."""
    for label, value in body["metadata"]["labels"].items():
        yield [(("metadata", "labels", label), value)]
    for number, owner in enumerate(body["metadata"].get("ownerReferences", [])):
        path = ("metadata", "ownerReferences", number)
        yield [(path, owner)]
        yield [((*path, "blockOwnerDeletion"), owner["blockOwnerDeletion"])]
    for name, value in body.items():
        if name == "data":
            for key, each in value.items():
                yield [((name, key), each)]
        elif name not in ("apiVersion", "kind", "metadata"):
            yield from split((name,), value)
            yield from identities((name,), value)


def split(path: Path, value: Any) -> Iterator[list[Leaf]]:
    found = list(leaves(path, value))
    if len(found) <= TOGETHER:
        yield sorted(found, key=lambda leaf: leaf[0][-1] in IDENTITIES)
        return
    for key, each in items(value):
        yield from split((*path, key), each)


def identities(path: Path, value: Any) -> Iterator[list[Leaf]]:
    """Of each list its first item's identity: put back, the item must not be there twice."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        for key in [key for key in IDENTITIES if key in value[0]][:1]:
            yield [((*path, 0, key), value[0][key])]
    for step, each in items(value):
        yield from identities((*path, step), each)


def leaves(path: Path, value: Any) -> Iterator[Leaf]:
    below = list(items(value))
    if not below:
        yield path, value
    for key, each in below:
        yield from leaves((*path, key), each)


def items(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)


def at(body: Any, path: Path) -> Any:
    for key in path:
        body = body[key]
    return body


def edits(leaf: Leaf, live: Body) -> Iterator[Body]:
    """JSON patch operations: what else this field could be made to say, and nothing at all.

    A `false` is removed first: many of these mean "true" where they are not there.
    """
    path = leaf[0]
    value = at(live, path)
    where = "".join(f"/{str(key).replace('~', '~0').replace('/', '~1')}" for key in path)
    removed = {"op": "remove", "path": where}
    if value is False:
        yield removed
    for other in others(value):
        yield {"op": "replace", "path": where, "value": other}
    yield removed


def others(value: Any) -> Iterator[Any]:
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield value + 1
    elif isinstance(value, str):
        quantity = re.fullmatch(r"(\d+)([A-Za-z]*)", value)
        if value in OTHER_WORDS:
            yield OTHER_WORDS[value]
        elif quantity:
            yield f"{int(quantity[1]) + 1}{quantity[2]}"
        yield f"{value}-edited"


def ours(body: Body) -> Body:
    """All of an object that is not the server's own bookkeeping."""
    held = {name: value for name, value in body.items() if name not in ("metadata", "status")}
    for name in ("labels", "annotations", "ownerReferences"):
        held[name] = body["metadata"].get(name)
    return held


def edit(db: Db, which: Child, part: list[Leaf], before: Body) -> Body | None:
    """The first edit of the part that the API server takes and that changes something."""
    for leaf in part:
        for operation in edits(leaf, before):
            words = ("patch", which.resource, which.name, f"--namespace={db.namespace}")
            patch = json.dumps([operation])
            try:
                out = db.cluster.kubectl(*words, "--type=json", "--output=json", f"--patch={patch}")
            except KubectlFailed as error:
                if not any(refusal in str(error) for refusal in REFUSALS):
                    raise
                continue
            if ours(json.loads(out)) != ours(before):
                return operation
    return None
