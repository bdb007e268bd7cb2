"""What is promised: the description that is committed, the codes, and the page's own endpoints."""

from __future__ import annotations

import re
from html import escape

import pytest

from postbase_operator.gateway import openapi, reference
from postbase_operator.gateway.problems import STATUS, Code
from postbase_operator.gateway.route import Route, Router
from postbase_operator.gateway.routes import ROUTES

THE_PAGE = """
GET /
POST /auth/device
POST /auth/device/token
GET /auth/me
GET /projects
POST /projects
GET /projects/:id
DELETE /projects/:id
GET /projects/:project_id/databases
POST /projects/:project_id/databases
GET /projects/:project_id/databases/:name
GET /projects/:project_id/databases/:name/url
DELETE /projects/:project_id/databases/:name
GET /projects/:project_id/databases/:name/backups
POST /projects/:project_id/databases/:name/backups
GET /projects/:project_id/databases/:name/backups/:backup_id
GET /projects/:project_id/databases/:name/backups/:backup_id/download
POST /projects/:project_id/databases/:name/backups/:backup_id/restore
DELETE /projects/:project_id/databases/:name/backups/:backup_id
GET /projects/:project_id/databases/:name/pitr/config
POST /projects/:project_id/databases/:name/pitr/enable
POST /projects/:project_id/databases/:name/pitr/disable
GET /projects/:project_id/databases/:name/pitr/wal
GET /projects/:project_id/databases/:name/pitr/recovery-window
POST /projects/:project_id/databases/:name/pitr/restore
GET /projects/:project_id/databases/:name/pitr/restores
GET /projects/:project_id/databases/:name/pitr/restores/:restore_id
GET /projects/:project_id/databases/:name/pitr/receiver-status
POST /projects/:project_id/databases/:name/pitr/restart-receiver
"""
ENDPOINTS = THE_PAGE.split("\n")[1:-1]
ROUTER = Router(ROUTES)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_every_endpoint_of_the_page_is_there(endpoint: str) -> None:
    method, path = endpoint.split(" ")
    parts = [re.sub(r"^:.*", "value", part) for part in path.split("/")[1:] if part]
    methods, values = ROUTER.find(parts)
    assert method in methods
    assert values == ["value"] * path.count(":")
    assert len(methods[method].parameters) == len(values)


def test_the_page_has_29() -> None:
    assert len(ENDPOINTS) == 29


def test_the_committed_description_is_this_one() -> None:
    """Written anew by `python -m postbase_operator.gateway.openapi`."""
    assert openapi.FILE.read_text() == openapi.text()


def test_every_operation_is_described_once() -> None:
    paths = openapi.document()["paths"]
    described = {(m.upper(), path) for path, methods in paths.items() for m in methods}
    assert described == {(route.method, route.path) for route in ROUTES}
    ids = [method["operationId"] for methods in paths.values() for method in methods.values()]
    assert len(ids) == len(set(ids))


def test_references_lead_somewhere() -> None:
    text = openapi.text()
    schemas = openapi.document()["components"]["schemas"]
    named = set(re.findall(r'"#/components/schemas/(\w+)"', text))
    assert named <= set(schemas)


@pytest.mark.parametrize("code", Code)
def test_every_code_has_a_status_of_its_kind(code: Code) -> None:
    assert 400 <= STATUS[code] < 600


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_each_route_says_what_it_answers(route: Route) -> None:
    assert len(route.codes) == len(set(route.codes))
    if not route.public:
        assert Code.AUTH_REQUIRED in route.codes
    if "{database}" in route.path:
        assert {Code.PROJECT_NOT_FOUND, Code.DATABASE_NOT_FOUND} <= set(route.codes)


def test_paths_that_are_none() -> None:
    for parts in (
        ["nothing"],
        ["projects", "p", "nothing"],
        ["projects", "p", "databases", "d", "x"],
    ):
        assert not ROUTER.find(parts)[0]


def test_the_reference_page_fetches_nothing() -> None:
    page = reference.page(ROUTES)
    assert not re.findall(r'(?:src|href)="https?://', page)
    assert "<script" not in page
    assert all(escape(route.summary) in page for route in ROUTES)
