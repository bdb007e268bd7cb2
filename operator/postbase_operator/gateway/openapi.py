"""The API's description, OpenAPI 3.1, made of the route table. PURE.

Run as a module it writes the file that is committed: `python -m postbase_operator.gateway.openapi`.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from postbase_operator import __version__
from postbase_operator.gateway.bodies import Body, NoBody, NoQuery
from postbase_operator.gateway.problems import STATUS, Code
from postbase_operator.gateway.route import Route
from postbase_operator.gateway.routes import ROUTES

Schema = dict[str, Any]
REFERENCE = "#/components/schemas/{model}"
ABOUT = {
    "project": "Id (proj_…) or name.",
    "database": "Name or id (db_…).",
    "backup": "Id, bkp_….",
    "restore": "Id, rstr_….",
    "token": "Id, tok_….",
}
PATTERNS = {
    "project": r"^(proj_[a-z2-7]{26}|[a-z][a-z0-9-]{1,48}[a-z0-9])$",
    "database": r"^(db_[a-z2-7]{26}|[a-z][a-z0-9-]{1,48}[a-z0-9])$",
    "backup": r"^bkp_[a-z2-7]{26}$",
    "restore": r"^rstr_[a-z2-7]{26}$",
    "token": r"^tok_[a-z2-7]{26}$",
}
FILE = Path(__file__).resolve().parents[3] / "docs" / "openapi.json"


def document(routes: tuple[Route, ...] = ROUTES) -> Schema:
    models = {model for route in routes for model in (*route.answers, route.body)} - {NoBody}
    ordered = sorted(models, key=lambda model: (model.__module__, model.__name__))
    # `Config` is a body and a part of an answer: pydantic tells them apart by their modules.
    references, definitions = models_json_schema(
        [(model, mode(model)) for model in ordered], ref_template=REFERENCE
    )
    schemas: dict[Any, Schema] = {key[0]: value for key, value in references.items()}
    paths: dict[str, Schema] = defaultdict(dict)
    for route in routes:
        paths[route.path][route.method.lower()] = operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Postbase Cloud API",
            "version": __version__,
            "description": "PostgreSQL databases over custom resources. Every answer is an "
            "envelope: `success` with `data`, or with `error`.",
        },
        "security": [{"token": []}],
        "paths": dict(paths),
        "components": {
            "schemas": {
                **definitions.get("$defs", {}),
                "Error": error_schema(),
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def mode(model: type[BaseModel]) -> Any:
    return "validation" if issubclass(model, Body) else "serialization"


def operation(route: Route, schemas: dict[Any, Schema]) -> Schema:
    made: Schema = {
        "operationId": operation_id(route),
        "summary": route.summary,
        "tags": [route.parts[0] if route.parts else "system"],
        "parameters": [*path_parameters(route), *query_parameters(route), *headers(route)],
        "responses": responses(route, schemas),
    }
    if route.body is not NoBody:
        made["requestBody"] = {
            "required": route.body_needed,
            "content": {"application/json": {"schema": schemas[route.body]}},
        }
    if route.public:
        made["security"] = []
    return {key: value for key, value in made.items() if value != [] or key == "security"}


def operation_id(route: Route) -> str:
    return route.handler.__name__


def path_parameters(route: Route) -> list[Schema]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": ABOUT[name],
            "schema": {"type": "string", "pattern": PATTERNS[name]},
        }
        for name in route.parameters
    ]


def query_parameters(route: Route) -> list[Schema]:
    if route.query is NoQuery:
        return []
    schema = route.query.model_json_schema()
    found = []
    for name, described in schema["properties"].items():
        # A value of a query string is there or not; it cannot be null.
        choices = [each for each in described.get("anyOf", ()) if each.get("type") != "null"]
        about = {
            k: described[k] for k in ("default", "description") if described.get(k) is not None
        }
        plain = {k: v for k, v in described.items() if k not in ("title", "anyOf", "default")}
        value = {**(choices[0] if choices else plain)}
        value.pop("description", None)
        if "default" in about:
            value["default"] = about["default"]
        made = {"name": name, "in": "query", "schema": value}
        found.append(made | {k: v for k, v in about.items() if k == "description"})
    return found


def headers(route: Route) -> list[Schema]:
    if not route.idempotent:
        return []
    return [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "description": "The same key and body again answer with what was made at first.",
            "schema": {"type": "string", "pattern": r"^[!-~]{1,128}$"},
        }
    ]


def responses(route: Route, schemas: dict[Any, Schema]) -> Schema:
    found: Schema = {str(route.status): answer(route, schemas)}
    by_status: dict[int, list[Code]] = defaultdict(list)
    for code in route.codes:
        by_status[STATUS[code]].append(code)
    for status, codes in sorted(by_status.items()):
        found[str(status)] = {
            "description": ", ".join(codes),
            "content": {"application/json": {"schema": {"$ref": REFERENCE.format(model="Error")}}},
        }
    return found


def answer(route: Route, schemas: dict[Any, Schema]) -> Schema:
    if route.path == "/docs":
        return {"description": route.summary, "content": {"text/html": {}}}
    if not route.answers:
        return {"description": route.summary, "content": {"application/json": {}}}
    shown = [schemas[model] for model in route.answers]
    return {
        "description": route.summary,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["success", "data"],
                    "properties": {
                        "success": {"const": True},
                        "data": shown[0] if len(shown) == 1 else {"anyOf": shown},
                    },
                }
            }
        },
    }


def error_schema() -> Schema:
    return {
        "type": "object",
        "required": ["success", "error"],
        "properties": {
            "success": {"const": False},
            "error": {
                "type": "object",
                "required": ["code", "message"],
                "properties": {
                    "code": {"type": "string", "enum": list(Code)},
                    "message": {"type": "string"},
                },
            },
        },
    }


def text(routes: tuple[Route, ...] = ROUTES) -> str:
    """The committed file. Kept to what a reader needs: titles say each name once more."""
    made = untitled(document(routes))
    return re.sub(r"\s+$", "", json.dumps(made, indent=1, ensure_ascii=False)) + "\n"


def untitled(node: Any) -> Any:
    """Without the titles that pydantic makes of names; a property called title stays."""
    if isinstance(node, list):
        return [untitled(each) for each in node]
    if not isinstance(node, dict):
        return node
    # A map whose keys have a pattern has no others; pydantic leaves that open.
    closed = {"additionalProperties": False} if "patternProperties" in node else {}
    kept = {
        key: untitled(value)
        for key, value in node.items()
        if key != "title" or "version" in node or not isinstance(value, str)
    }
    return {**kept, **closed}


if __name__ == "__main__":
    FILE.write_text(text())
