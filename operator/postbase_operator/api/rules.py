"""Rules that the API server checks, declared on the models that they guard.

A rule is CEL: it runs in the API server, so that `kubectl apply` refuses a mistake at once, with no
webhook to keep alive. Each message names the field and says what to do instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

from pydantic import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

KEYWORD = "x-kubernetes-validations"


@dataclass(frozen=True, slots=True)
class Rule:
    """One CEL rule; as `Annotated` metadata it guards a value, in `Model.rules` an object."""

    cel: str
    _: KW_ONLY
    message: str
    message_expression: str = ""
    """CEL that makes the message of the actual values; `message` is said where it fails."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return with_rules(handler(schema), [self])

    def as_schema(self) -> dict[str, Any]:
        parts = {
            "rule": self.cel,
            "message": self.message,
            "messageExpression": self.message_expression,
        }
        return {keyword: text for keyword, text in parts.items() if text}


def with_rules(schema: JsonSchemaValue, rules: Sequence[Rule]) -> JsonSchemaValue:
    if not rules:
        return schema
    return {**schema, KEYWORD: [*schema.get(KEYWORD, []), *(r.as_schema() for r in rules)]}


def immutable(path: str, instead: str) -> Rule:
    """For a value that is always there: `instead` says what to do where it must differ."""
    return Rule("self == oldSelf", message=f"{path} cannot be changed: {instead}")


# Words of CEL's own that a field may have for a name: asked for as __name__ (Kubernetes' escaping).
RESERVED = frozenset({"as", "for", "function", "import", "in", "namespace", "package", "return"})


def selected(name: str) -> str:
    return f"__{name}__" if name in RESERVED else name


def unchanged(name: str) -> str:
    """CEL for an optional field. Not `self.?x == oldSelf.?x`: its cost cannot be bounded."""
    field = selected(name)
    return (
        f"has(self.{field}) == has(oldSelf.{field}) && "
        f"(!has(self.{field}) || self.{field} == oldSelf.{field})"
    )


def fixed(name: str, path: str, instead: str) -> Rule:
    """For an optional field, on the object that holds it: not changed, added nor taken away."""
    return Rule(unchanged(name), message=f"{path} cannot be changed, added or removed: {instead}")


def matching(pattern: str, message: str, *, of: str = "self") -> Rule:
    """The pattern in words: of a `pattern` the API server shows the regular expression alone.

    `of` is string(self) for what may be a number; of a string its cost could not be bounded.
    """
    return Rule(f"{of}.matches(r'''{pattern}''')", message=message)


def short_name(length: int, *, of_a_service: bool = False) -> Rule:
    """For a kind whose name goes into labels and names of children; a Service's is DNS-1035."""
    first, and_so = ("a-z", " that begins with a letter") if of_a_service else ("a-z0-9", "")
    return Rule(
        f"self.metadata.name.size() <= {length} && "
        f"self.metadata.name.matches('^[{first}]([-a-z0-9]*[a-z0-9])?$')",
        message=f"metadata.name must be a DNS label of at most {length} characters{and_so}: "
        "choose a shorter or plainer name",
    )


def exactly_one(names: Sequence[str]) -> Rule:
    """For objects that are a choice: the way to have a union that every Kubernetes tool reads."""
    present = ", ".join(f"has(self.{selected(name)})" for name in names)
    return Rule(
        f"[{present}].exists_one(x, x)",
        message=f"set exactly one of {', '.join(names)}: keep one and take the others away",
    )


def names_a_branch(*moments: str) -> Rule:
    """For `timeline` beside a choice: `moments` are those that it may say the branch of."""
    named = " || ".join(f"has(self.{each})" for each in moments)
    return Rule(
        f"!has(self.timeline) || {named}",
        message=f"timeline says on which branch {' or '.join(moments)} is meant: set one of them "
        "with it, or take it away",
    )
