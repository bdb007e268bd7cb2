"""Railway's schema, as graphql-core understands it."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path

from graphql import GraphQLSchema, build_client_schema

FILE = Path(__file__).resolve().parents[2] / "railway_schema" / "schema.json.gz"


@cache
def schema() -> GraphQLSchema:
    """`assume_valid`: it breaks a rule about deprecated fields itself (Team.id, Node.id)."""
    told = json.loads(gzip.decompress(FILE.read_bytes()))
    return build_client_schema(told["data"], assume_valid=True)
