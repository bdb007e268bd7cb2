"""What the API server must accept and refuse, as data: one table for it and for the models.

A case is a change to the smallest manifest of its kind. `refused` are words that the refusal must
have in it: the field, and the way out. Without them the manifest must be accepted. With `then` the
manifest is made first, and the verdict is about the change. `model` marks what the models refuse
as well, without an API server.
"""

# ruff: noqa: E501 - a table: one case a line, and the design verbatim

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import yaml

Manifest = dict[str, Any]

# Verbatim from the design: the names that outside checks, docs and the gateway rely on.
DESIGN = """\
apiVersion: postbase.sh/v1alpha1
kind: Project
metadata: {name: shop}
spec: {}                                  # displayName, defaults (region, backup, pitr), objectStore, deletionPolicy
---
apiVersion: postbase.sh/v1alpha1
kind: Database
metadata: {name: shop-main}
spec:
  projectRef: {name: shop}
  postgresVersion: "15"                   # the major; or image: for a stock image of one's own
  storage: {size: 1Gi}                    # storageClassName
  resources: {cpu: 500m, memory: 512Mi}
  parameters: {work_mem: 8MB}
  backup: {schedule: "0 3 * * *", retentionDays: 30}
  pitr: {enabled: true, retentionDays: 7} # rpo: Async | Zero
---
apiVersion: postbase.sh/v1alpha1
kind: Backup
metadata: {name: before-migration}
spec: {databaseRef: {name: shop-main}, method: Logical}
---
apiVersion: postbase.sh/v1alpha1
kind: PitrRestore
metadata: {name: undo-the-delete}
spec:
  databaseRef: {name: shop-main}
  source: {targetTime: "2026-11-23T14:30:00.5Z"}   # or latest: {} | lsn: | backupRef: {name: …} | previous: {}
  target: {inPlace: {}}                            # or newDatabase: {name: …}
  dryRun: false
"""
TENANT = f"""\
apiVersion: postbase.sh/v1alpha1
kind: Account
metadata: {{name: jane}}
spec: {{login: jane}}
---
apiVersion: postbase.sh/v1alpha1
kind: ApiToken
metadata: {{name: janes}}
spec: {{digest: {"0a" * 32}, accountRef: {{name: jane}}}}
"""
MANIFESTS: dict[str, Manifest] = {
    manifest["kind"]: manifest for text in (DESIGN, TENANT) for manifest in yaml.safe_load_all(text)
}


@dataclass(frozen=True)
class Case:
    name: str
    kind: str
    patch: Manifest
    refused: tuple[str, ...] = ()
    then: Manifest | None = None
    model: bool = False

    @property
    def manifest(self) -> Manifest:
        made: Manifest = merged(MANIFESTS[self.kind], self.patch)
        return made

    @property
    def changed(self) -> Manifest:
        made: Manifest = merged(self.manifest, self.then or {})
        return made

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}"


def merged(manifest: Any, patch: Any) -> Any:
    """JSON Merge Patch (RFC 7386): null takes a field away."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(manifest) if isinstance(manifest, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def spec(**fields: Any) -> Manifest:
    return {"spec": fields}


def named(name: str) -> Manifest:
    return {"metadata": {"name": name}}


DB = "Database"
SELECTOR = {"matchLabels": {"app": "web"}}
ORIGIN = {"databaseUID": "6f1c1b0e-3a52-4c1e-9d0e-0a1b2c3d4e5f"}
