"""One row of the route table, and what it means: path, shapes, errors. PURE."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from postbase_operator.gateway.bodies import Body, NoBody, NoQuery, Query
from postbase_operator.gateway.problems import Code

if TYPE_CHECKING:
    from postbase_operator.gateway.call import Call


@dataclass(frozen=True, slots=True)
class Answer:
    """A success. `data` is a shape, or its JSON where that is at hand already."""

    data: BaseModel | bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    whole: bytes | None = None
    """The whole body, where it is no envelope."""


Handler = Callable[["Call"], Awaitable[Answer]]

ALWAYS = (Code.INTERNAL_ERROR, Code.RATE_LIMIT_EXCEEDED, Code.SERVICE_UNAVAILABLE)
WITH_TOKEN = (Code.AUTH_REQUIRED, Code.INSUFFICIENT_SCOPE)
WITH_BODY = (
    Code.INVALID_REQUEST,
    Code.PAYLOAD_TOO_LARGE,
    Code.UNSUPPORTED_MEDIA_TYPE,
    Code.REQUEST_TIMEOUT,
)
OF_PARAMETERS = {
    "project": Code.PROJECT_NOT_FOUND,
    "database": Code.DATABASE_NOT_FOUND,
    "backup": Code.BACKUP_NOT_FOUND,
    "restore": Code.RESTORE_NOT_FOUND,
    "token": Code.TOKEN_NOT_FOUND,
}


@dataclass(frozen=True, slots=True)
class Route:
    """`path` has its parameters in braces. `answers` is the model of `data`, or several."""

    method: str
    path: str
    summary: str
    handler: Handler
    answers: tuple[type[BaseModel], ...]
    status: int = 200
    body: type[Body] = NoBody
    body_needed: bool = False
    query: type[Query] = NoQuery
    problems: tuple[Code, ...] = ()
    public: bool = False
    """Needs no token."""
    metered: bool = True
    secret: bool = False
    """Its answer must be kept by nobody, and whoever asks is noted."""
    idempotent: bool = False
    """Knows the header Idempotency-Key."""

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(part for part in self.path.split("/") if part)

    @property
    def parameters(self) -> tuple[str, ...]:
        return tuple(part[1:-1] for part in self.parts if part.startswith("{"))

    @property
    def writes(self) -> bool:
        return self.method != "GET"

    @property
    def codes(self) -> tuple[Code, ...]:
        """All that it may answer with, but for a wrong path or method."""
        found: list[Code] = list(ALWAYS) if self.metered else [Code.INTERNAL_ERROR]
        found += () if self.public else WITH_TOKEN
        takes_body = self.body is not NoBody
        found += WITH_BODY if takes_body else ()
        found += (Code.INVALID_REQUEST,) if self.query is not NoQuery and not takes_body else ()
        found += [OF_PARAMETERS[each] for each in self.parameters]
        found += (Code.INVALID_REQUEST, Code.IDEMPOTENCY_KEY_REUSED) if self.idempotent else ()
        return tuple(dict.fromkeys([*found, *self.problems]))


class Router:
    """A tree of path segments: words before parameters. Finds in one step a segment."""

    def __init__(self, routes: tuple[Route, ...]) -> None:
        self._root: dict[str, Any] = {}
        for route in routes:
            node = self._root
            for part in route.parts:
                node = node.setdefault("{}" if part.startswith("{") else f"/{part}", {})
            node.setdefault("", {})[route.method] = route

    def find(self, parts: list[str]) -> tuple[Mapping[str, Route], list[str]]:
        """The routes of a path by their method, none where there is no such path, and the values
        of its parameters in their order."""
        node, values = self._root, []
        for part in parts:
            word = node.get(f"/{part}")
            if word is not None:
                node = word
                continue
            node = node.get("{}", {})
            if not node:
                return {}, []
            values.append(part)
        return node.get("", {}), values
