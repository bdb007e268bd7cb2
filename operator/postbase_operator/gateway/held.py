"""One object as the watch cache holds it: small, ordered, and rendered once.

Ten thousand Backups as Python objects would be hundreds of megabytes. What is held is what lookups
ask for, the JSON as it came (without managedFields) for the models that a request wants, and the
object's JSON in lists, made when it is first asked for.
"""

from __future__ import annotations

import json

from postbase_operator.api.ids import public_id
from postbase_operator.kube.kinds import API_TOKEN, BACKUP, DATABASE, PITR_RESTORE, Body, Kind

DISPLAY_NAME = "postbase.sh/display-name"
"""A name that REST clients chose: object names are made from it and its parent."""
IDEMPOTENCY_KEY = "postbase.sh/idempotency-key"
BODY_HASH = "postbase.sh/request-hash"
GITOPS_MARKS = (
    "kustomize.toolkit.fluxcd.io/name",
    "helm.toolkit.fluxcd.io/name",
    "argocd.argoproj.io/instance",
    "argocd.argoproj.io/tracking-id",
)
GITOPS_MANAGERS = frozenset({"argocd-controller", "kustomize-controller", "helm-controller"})
"""Argo CD's default label is Helm's, too: who owns fields of the spec tells more."""


class Held:
    """`parent` is what lists are made under: the name of a Project, a Database, an Account."""

    __slots__ = (
        "created",
        "deleting",
        "display",
        "id",
        "idempotency",
        "is_managed",
        "kind",
        "memo",
        "name",
        "namespace",
        "parent",
        "physical",
        "raw",
        "uid",
        "version",
    )

    def __init__(self, kind: Kind, body: Body) -> None:
        meta = body["metadata"]
        notes = meta.get("annotations") or {}
        self.kind = kind
        self.namespace: str = meta.get("namespace", "")
        self.name: str = meta["name"]
        self.uid: str = meta["uid"]
        self.id = public_id(kind.kind, self.uid)
        self.version = version_of(body)
        self.created: str = meta.get("creationTimestamp") or ""
        self.deleting = "deletionTimestamp" in meta
        self.display: str = notes.get(DISPLAY_NAME) or self.name
        self.idempotency: tuple[str, str] = (
            notes.get(IDEMPOTENCY_KEY, ""),
            notes.get(BODY_HASH, ""),
        )
        self.is_managed = is_managed(body)
        self.parent = parent_of(kind, body)
        self.physical = kind is BACKUP and body["spec"].get("method") == "Physical"
        trimmed = {k: v for k, v in meta.items() if k != "managedFields"}
        whole = {**body, "apiVersion": kind.api_version, "kind": kind.kind, "metadata": trimmed}
        self.memo: object = None
        """What its readers have made of it: its JSON in lists, or the facts of a token."""
        self.raw = json.dumps(whole, separators=(",", ":")).encode()

    @property
    def body(self) -> Body:
        parsed: Body = json.loads(self.raw)
        return parsed

    @property
    def place(self) -> tuple[str, str]:
        return self.namespace, self.name

    @property
    def order(self) -> tuple[str, str]:
        """Rises with the time of creation; within its second, with the UID."""
        return self.created, self.uid


def version_of(body: Body) -> int:
    raw = str(body["metadata"].get("resourceVersion", "0"))
    return int(raw) if raw.isdigit() else 0


def parent_of(kind: Kind, body: Body) -> str:
    spec = body.get("spec") or {}
    if kind is DATABASE:
        return str(spec["projectRef"]["name"])
    if kind in (BACKUP, PITR_RESTORE):
        return str(spec["databaseRef"]["name"])
    if kind is API_TOKEN:
        return str(spec["accountRef"]["name"])
    return ""


def is_managed(body: Body) -> bool:
    """Whether a GitOps tool owns it, which would put back whatever is changed here."""
    meta = body["metadata"]
    marks = {**(meta.get("labels") or {}), **(meta.get("annotations") or {})}
    if any(mark in marks for mark in GITOPS_MARKS):
        return True
    return any(
        entry.get("manager") in GITOPS_MANAGERS and "f:spec" in (entry.get("fieldsV1") or {})
        for entry in meta.get("managedFields") or ()
    )
