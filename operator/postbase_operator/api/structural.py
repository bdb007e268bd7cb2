"""From the models to Kubernetes' "structural" schemas.

pydantic speaks JSON Schema, Kubernetes a stricter part of it: no references, no unions, defaults
only where a server may put them. What cannot be said in it raises here, at generation, and is not
a field that the API server silently drops.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from postbase_operator.api.base import Resource
from postbase_operator.api.rules import KEYWORD as RULES
from postbase_operator.api.scalars import format_duration

Schema = dict[str, Any]

# Keywords that mean the same in both languages, in the order in which they are written.
KEPT = (
    "description",
    "type",
    "format",
    "enum",
    "default",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-preserve-unknown-fields",
    RULES,
    "required",
)
TRANSLATED = ("const", "anyOf", "exclusiveMinimum", "exclusiveMaximum")
NESTED = ("properties", "items", "additionalProperties")
IGNORED = ("title",)  # pydantic's guess at a heading
INT_OR_STRING = "x-kubernetes-int-or-string"
NULL = {"type": "null"}


class UnstructuralSchema(Exception):
    """A model says something that a CRD cannot."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path}: {why}")


class WireJsonSchema(GenerateJsonSchema):
    """pydantic's own, but defaults as they are written in YAML."""

    def encode_default(self, dft: Any) -> Any:
        return format_duration(dft) if isinstance(dft, timedelta) else super().encode_default(dft)


def structural(schema: Schema, definitions: Mapping[str, Schema], path: str) -> Schema:
    """The structural schema of the same values, references put in place."""
    schema = resolved(schema, definitions, path)
    unknown = schema.keys() - {*KEPT, *TRANSLATED, *NESTED, *IGNORED}
    if unknown:
        raise UnstructuralSchema(path, f"{', '.join(sorted(unknown))}: cannot be said in a CRD")
    if "type" not in schema and INT_OR_STRING not in schema:
        raise UnstructuralSchema(path, "has no type")
    nested: Schema = {}
    if schema.get("properties"):  # the API server drops an empty one, and Git would differ
        nested["properties"] = {
            name: structural(child, definitions, f"{path}.{name}")
            for name, child in schema["properties"].items()
        }
    if "items" in schema:
        nested["items"] = structural(schema["items"], definitions, f"{path}[]")
    if "additionalProperties" in schema:
        values = schema["additionalProperties"]
        if not isinstance(values, dict):
            raise UnstructuralSchema(path, "is a map whose values have no type")
        nested["additionalProperties"] = structural(values, definitions, f"{path}.*")
    plain = {keyword: schema[keyword] for keyword in KEPT if keyword in schema}
    return without_idle_default({**plain, **translated(schema), **nested})


def translated(schema: Schema) -> Schema:
    """What OpenAPI 3.0 says in other words than JSON Schema."""
    result: Schema = {}
    if "const" in schema:
        result["enum"] = [schema["const"]]
    if "anyOf" in schema:  # left by `resolved` for int-or-string only
        result["anyOf"] = schema["anyOf"]
    for bound in ("minimum", "maximum"):
        exclusive = f"exclusive{bound.capitalize()}"
        if exclusive in schema:
            result |= {bound: schema[exclusive], exclusive: True}
    return result


def resolved(schema: Schema, definitions: Mapping[str, Schema], path: str) -> Schema:
    """Without references, and `X | None` as X: in Kubernetes an optional field is just absent."""
    schema = dict(schema)
    if "anyOf" in schema and INT_OR_STRING not in schema:
        chosen = [kind for kind in schema.pop("anyOf") if kind != NULL]
        if len(chosen) != 1:
            raise UnstructuralSchema(path, "is a union; make it an object with exactly_one_of")
        schema = {**resolved(chosen[0], definitions, path), **schema}
    if "$ref" in schema:
        name = schema.pop("$ref").removeprefix("#/$defs/")
        target = resolved(definitions[name], definitions, path)
        both = [*target.get(RULES, []), *schema.get(RULES, [])]
        schema = {**target, **schema, **({RULES: both} if both else {})}
    return schema


def without_idle_default(schema: Schema) -> Schema:
    """Drops defaults that say nothing; an object's own is `{}`, filled from its fields' defaults.

    An object without defaulted fields gets none: `kubectl get -o yaml` shows what was said.
    """
    default = schema.get("default")
    if isinstance(default, dict):
        filled = any("default" in child for child in schema.get("properties", {}).values())
        default = {} if filled else None
    idle = default is None or default == []
    kept = {keyword: value for keyword, value in schema.items() if keyword != "default"}
    return kept if idle else {**schema, "default": default}


def check(schema: Schema, path: str, *, in_list: bool = False) -> None:
    """What the API server lets pass and users would suffer from."""
    if in_list and "default" in schema:
        # Argo CD and Flux compare lists item by item: a default there is a diff for ever.
        raise UnstructuralSchema(path, "has a default inside a list")
    if not schema.get("description") and not path.endswith(("[]", ".*")):
        raise UnstructuralSchema(path, "has no description")
    for name, child in schema.get("properties", {}).items():
        check(child, f"{path}.{name}", in_list=in_list)
    if "items" in schema:
        check(schema["items"], f"{path}[]", in_list=True)
    if "additionalProperties" in schema:
        check(schema["additionalProperties"], f"{path}.*", in_list=in_list)


def openapi(kind: type[Resource]) -> Schema:
    """The schema of a whole object; metadata is Kubernetes' own."""
    name = kind.definition.kind
    raw = kind.model_json_schema(by_alias=True, schema_generator=WireJsonSchema)
    definitions = raw.pop("$defs", {})
    properties = {
        part: structural(raw["properties"][part], definitions, f"{name}.{part}")
        for part in ("spec", "status")
    }
    for part, schema in properties.items():
        check(schema, f"{name}.{part}")
    root: Schema = {
        "description": raw["description"],
        "type": "object",
        "properties": {
            # Bounded, so that the API server can tell what a rule on the name costs.
            "metadata": {
                "type": "object",
                "properties": {"name": {"type": "string", "maxLength": 253}},
            },
            **properties,
        },
        "required": ["spec"] if "spec" in raw.get("required", []) else None,
        RULES: raw.get(RULES),
    }
    return {keyword: value for keyword, value in root.items() if value}
