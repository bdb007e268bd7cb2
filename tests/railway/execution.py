"""A GraphQL request against the real schema: refused as the schema refuses, else resolved."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    ExecutionResult,
    GraphQLError,
    GraphQLResolveInfo,
    GraphQLSyntaxError,
    execute_sync,
    parse,
    validate,
)
from graphql.language import DocumentNode, OperationDefinitionNode, OperationType

from railway.errors import INTERNAL, Refused, shaped
from railway.fields import field_of
from railway.schema import schema
from railway.visit import Visit

HERE = "NotImplemented in the double"
MISSING = "NOT_IMPLEMENTED_IN_THE_DOUBLE"


@dataclass
class Answer:
    status: int = 200
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    lost: bool = False
    """The connection ends without an answer."""

    def errors(self) -> list[str]:
        if self.content_type != "application/json":
            return []
        return [each["message"] for each in json.loads(self.body).get("errors", ())]


def told(data: Any, errors: list[dict[str, Any]] | None = None, status: int = 200) -> Answer:
    body = {"data": data} | ({"errors": errors} if errors else {})
    return Answer(status, json.dumps(body))


@functools.cache
def parsed(document: str) -> DocumentNode:
    """A client sends the same few over and over."""
    return parse(document)


def check(document: str) -> Answer | None:
    faults, code = _faults(document)
    return _bad(faults, code) if faults else None


@functools.cache
def _faults(document: str) -> tuple[list[GraphQLError], str]:
    """[U] the shape of what the schema itself refuses: it is Apollo's here, with 400."""
    try:
        return list(validate(schema(), parsed(document))), "GRAPHQL_VALIDATION_FAILED"
    except GraphQLSyntaxError as error:
        return [error], "GRAPHQL_PARSE_FAILED"


def _bad(faults: list[GraphQLError], code: str) -> Answer:
    errors = []
    for fault in faults:
        places = [{"line": p.line, "column": p.column} for p in fault.locations or []]
        errors.append(shaped(fault.message, None, code) | {"locations": places})
    return Answer(400, json.dumps({"errors": errors}))


def run(visit: Visit, document: str, variables: dict[str, Any], name: str | None) -> Answer:
    result = execute_sync(
        schema(),
        parsed(document),
        context_value=visit,
        variable_values=variables,
        operation_name=name,
        field_resolver=resolve,
    )
    if result.data is None and result.errors and all(e.path is None for e in result.errors):
        return _bad(list(result.errors), "BAD_USER_INPUT")  # a variable that does not fit
    return _shown(result)


def _shown(result: ExecutionResult) -> Answer:
    errors = []
    for error in result.errors or []:
        cause, code = error.original_error, INTERNAL
        message = error.message
        if isinstance(cause, NotImplementedError):
            message, code = f"{HERE}: {cause}", MISSING
        elif cause is not None and not isinstance(cause, Refused):
            message, code = f"the double failed: {cause!r}", MISSING
        errors.append(shaped(message, error.path, code))
    return told(result.data, errors)


def only_queries(document: str) -> bool:
    every = parsed(document).definitions
    operations = [each for each in every if isinstance(each, OperationDefinitionNode)]
    return all(each.operation is OperationType.QUERY for each in operations)


def resolve(source: Any, info: GraphQLResolveInfo[Visit], **args: Any) -> Any:
    where = f"{info.parent_type.name}.{info.field_name}"
    field = field_of(info.parent_type.name, info.field_name)
    if field is None:
        raise NotImplementedError(where)
    return field(info.context, source, args)
