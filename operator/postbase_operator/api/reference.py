"""The reference page of the API, docs/api.md: the same schema as the CRDs', for people to read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from postbase_operator.api.base import API_VERSION, Resource
from postbase_operator.api.rules import KEYWORD as RULES
from postbase_operator.api.structural import Schema, openapi

INTRODUCTION = f"""\
# API reference

Generated from the models in `operator/postbase_operator/api` by `make crds`; the same text is in
`kubectl explain`. All kinds are `apiVersion: {API_VERSION}`.

Durations are written as `72h`, `5m` or `1h30m`; quantities as Kubernetes has them, `10Gi` or
`500m`; times in RFC 3339 with a zone, `2026-11-23T14:30:00.5Z`. Bold fields are required
where the object that they are in is given.
"""


def reference(kinds: Sequence[type[Resource]]) -> str:
    contents = "".join(f"- [{k.definition.kind}](#{k.definition.kind.lower()})\n" for k in kinds)
    return "\n".join([INTRODUCTION, contents, *(chapter(kind) for kind in kinds)])


def chapter(kind: type[Resource]) -> str:
    definition = kind.definition
    schema = openapi(kind)
    scope = "in a namespace" if definition.namespaced else "for the whole cluster"
    names = ", ".join(f"`{n}`" for n in (definition.plural, *definition.short_names))
    rules = "".join(f"- {message}\n" for message in messages(schema))
    return "\n".join(
        [
            f"## {definition.kind}\n",
            f"{schema['description']} Lives {scope}; `kubectl get` knows it as {names}.\n",
            *(table(part, schema["properties"][part]) for part in ("spec", "status")),
            *([f"### What the API server refuses\n\n{rules}"] if rules else []),
        ]
    )


def table(part: str, schema: Schema) -> str:
    rows = "".join(f"| {name} | {type} | {text} |\n" for name, type, text in fields(schema, part))
    return f"### {part}\n\n| Field | Type | |\n|---|---|---|\n{rows}"


def fields(schema: Schema, path: str) -> Iterator[tuple[str, str, str]]:
    """Every field below: its path, its type, its description."""
    for name, child in schema.get("properties", {}).items():
        here = f"{path}.{name}"
        shown = f"**`{here}`**" if name in schema.get("required", []) else f"`{here}`"
        yield shown, type_of(child), cell(child.get("description", ""))
        if here.endswith("status.conditions"):
            continue  # metav1.Condition, which everybody knows
        inner = child.get("items", child)
        yield from fields(inner, f"{here}[]" if inner is not child else here)


def type_of(schema: Schema) -> str:
    """In a word or two, with what bounds it."""
    if "enum" in schema:
        return cell(" ".join(f"`{value}`" for value in schema["enum"]))
    if schema.get("x-kubernetes-int-or-string"):
        return "text or number"
    if schema["type"] == "array":
        return f"list of {type_of(schema['items'])}"
    if schema["type"] == "object" and "additionalProperties" in schema:
        return f"map to {type_of(schema['additionalProperties'])}"
    kind = str(schema.get("format", schema["type"]))
    name = {"string": "text", "date-time": "time"}.get(kind, kind)
    if "minimum" not in schema:
        return name
    return f"{name}, {schema['minimum']} to {schema.get('maximum', '∞')}"


def messages(schema: Schema) -> Iterator[str]:
    for rule in schema.get(RULES, []):
        yield rule["message"]
    for child in schema.get("properties", {}).values():
        yield from messages(child)
    for part in ("items", "additionalProperties"):
        if part in schema:
            yield from messages(schema[part])


def cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
