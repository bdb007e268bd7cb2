"""Railway's schema as it was found, and the documents that are known to be valid against it."""

from __future__ import annotations

import functools
import gzip
import hashlib
import json
from pathlib import Path

from graphql import GraphQLSchema, GraphQLSyntaxError, build_client_schema, parse, print_ast
from graphql.language import FieldNode, OperationDefinitionNode

FOLDER = Path(__file__).parent
SHA256 = "5e849390d4d43a2d7222d2f490005b853142b8158875d657efa1d8c37dbd0815"


@functools.cache
def schema() -> GraphQLSchema:
    """graphql-core refuses it as such: `Team.id` is deprecated, `Node.id` is not (notes, top)."""
    data = gzip.decompress((FOLDER / "schema.json.gz").read_bytes())
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise RuntimeError("schema.json.gz is not the schema of README.md")
    return build_client_schema(json.loads(data)["data"], assume_valid=True)


@functools.cache
def documents() -> dict[str, str]:
    """By operation's name."""
    every = parse((FOLDER / "operations.graphql").read_text(), no_location=True)
    found = {}
    for each in every.definitions:
        assert isinstance(each, OperationDefinitionNode)
        assert each.name is not None
        found[each.name.value] = print_ast(each)
    return found


@functools.cache
def asked(document: str) -> tuple[str, tuple[str, ...]]:
    """The name of the first operation, and the fields of the root; nothing of no GraphQL."""
    try:
        parsed = parse(document)
    except GraphQLSyntaxError:
        return "", ()
    operations = [each for each in parsed.definitions if isinstance(each, OperationDefinitionNode)]
    selections = [each for op in operations for each in op.selection_set.selections]
    fields = tuple(each.name.value for each in selections if isinstance(each, FieldNode))
    name = operations[0].name if operations else None
    return name.value if name else "", fields
