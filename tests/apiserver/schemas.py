"""JSON schemas for kubeconform, made of what a running API server says of the types it serves.

Nothing is downloaded: /openapi/v3 has every built-in type, and ours as their definitions give them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from apiserver.access import Api

LOCATION = "{{.Group}}/{{.ResourceAPIVersion}}/{{.ResourceKind}}.json"
"""Of a type's file below the folder, in kubeconform's words; it takes v1 for a group, too."""

ALTERNATIVES = ("allOf", "anyOf", "oneOf", "not")


def write(api: Api, folder: Path, api_versions: Iterable[str]) -> None:
    """A file for each type of these versions, with all that it refers to."""
    for version in api_versions:
        path = f"apis/{version}" if "/" in version else f"api/{version}"
        document = json.loads(api.kubectl("get", "--raw", f"/openapi/v3/{path}"))
        schemas = {name: close(s) for name, s in document["components"]["schemas"].items()}
        for name, schema in schemas.items():
            for of in schema.get("x-kubernetes-group-version-kind", ()):
                if version in (f"{of['group']}/{of['version']}", of["version"]):
                    file = folder / (of["group"] or version) / of["version"] / f"{of['kind']}.json"
                    file = file.with_name(file.name.lower())
                    file.parent.mkdir(parents=True, exist_ok=True)
                    reference = {"$ref": f"#/components/schemas/{name}"}
                    file.write_text(json.dumps({**reference, "components": {"schemas": schemas}}))


def close(schema: Any) -> Any:
    """No field but those that are named: the API server drops others without a word.

    An alternative names only what it is about, and so stays open.
    """
    if isinstance(schema, list):
        return [close(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: value if key in ALTERNATIVES else close(value) for key, value in schema.items()}
    if isinstance(closed.get("properties"), dict) and "additionalProperties" not in closed:
        closed["additionalProperties"] = closed.get("x-kubernetes-preserve-unknown-fields", False)
    return closed
