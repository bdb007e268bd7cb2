"""Each document is valid for the schema, used by code, and right without its newest fields."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest
from graphql import FieldNode, OperationDefinitionNode, parse, specified_rules, validate
from graphql.validation import NoDeprecatedCustomRule

from postbase_operator.railway import operations
from postbase_operator.railway.operations import Document, environment_state, unknown_fields
from railway.schema import FOLDER, SHA256, schema

DOCUMENTED = Path(inspect.getfile(operations)).parent
FILES = sorted(DOCUMENTED.glob("*.graphql"))
DOCUMENTS = {name: each for name, each in vars(operations).items() if isinstance(each, Document)}


def faults(text: str) -> list[str]:
    rules = [*specified_rules, NoDeprecatedCustomRule]
    return [error.message for error in validate(schema(), parse(text), rules)]


SENT = {
    node.attr
    for path in DOCUMENTED.parent.rglob("*.py")
    for node in ast.walk(ast.parse(path.read_text()))
    if isinstance(node, ast.Attribute)
    and isinstance(node.value, ast.Name)
    and node.value.id == "operations"
}
"""What any module takes from operations."""


def test_the_schema_is_the_one_that_its_readme_names() -> None:
    assert SHA256 in (FOLDER / "README.md").read_text()  # and schema() holds the file to it


def test_a_document_that_is_wrong_is_found() -> None:
    (wrong,) = faults("query X { me { idd } }")
    assert unknown_fields([wrong]) == frozenset({("User", "idd")})
    assert faults("mutation X { serviceDelete }")
    assert faults("query X { me { projects { edges { node { id } } } } }")  # deprecated


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_file_is_a_document_that_is_loaded(path: Path) -> None:
    assert path.stem in {document.name for document in DOCUMENTS.values()}
    assert not faults(path.read_text())


@pytest.mark.parametrize("name", DOCUMENTS)
def test_each_document_is_valid_as_it_is_sent(name: str) -> None:
    document = DOCUMENTS[name]
    assert not faults(document.body)
    assert "#" not in document.body
    assert document.mutation == document.body.startswith("mutation ")
    assert name.replace("_", "").lower() == document.name.lower()


def roots(text: str) -> set[str]:
    found = [each for each in parse(text).definitions if isinstance(each, OperationDefinitionNode)]
    fields = [each for operation in found for each in operation.selection_set.selections]
    return {each.name.value for each in fields if isinstance(each, FieldNode)}


@pytest.mark.trap("backups-are-snapshots", "staged-by-others", "redeploy-hides-image")
def test_snapshots_the_stage_and_the_image_of_before_are_asked_for_by_nobody() -> None:
    sent = set().union(*(roots(path.read_text()) for path in FILES))
    assert {"volumeCreate", "environmentPatchCommit", "serviceInstanceDeployV2"} <= sent
    words = ("backup", "pitr", "stage", "redeploy")
    assert not [field for field in sent if any(word in field.lower() for word in words)]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_each_document_is_used_by_code(name: str) -> None:
    if name == "ENVIRONMENT_STATE":  # with proxies, or without
        assert "ENVIRONMENT_STATE" in inspect.getsource(environment_state)
        name = "environment_state"
    assert name in SENT, f"{name} is sent by nobody: take it out"


def test_what_nobody_sends_is_found() -> None:
    assert "REDEPLOY" not in SENT


@pytest.mark.parametrize("services", [0, 1, 3])
@pytest.mark.trap("proxy-only-by-query")
def test_proxies_join_the_environment(services: int) -> None:
    document = environment_state(services)
    assert not faults(document.body)
    assert document.body.count(": tcpProxies(") == services
    assert document.body.count("syncStatus") == services
    assert document.optional == operations.ENVIRONMENT_STATE.optional


@pytest.mark.parametrize("name", [name for name, each in DOCUMENTS.items() if each.optional])
@pytest.mark.trap("schema-moves")
def test_a_document_is_valid_without_each_of_its_optional_fields(name: str) -> None:
    document = DOCUMENTS[name]
    assert document.text.count("# optional") == len(document.optional)
    for field in document.optional:
        less = document.without([field])
        assert len(less.body) < len(document.body)
        assert less.optional == document.optional - {field}
        assert not faults(less.body)
        assert field[0] in schema().type_map
        assert field[1] in schema().type_map[field[0]].fields  # type: ignore[attr-defined]
    assert not faults(document.without(document.optional).body)


def test_only_the_marked_one_of_two_fields_of_a_name_goes() -> None:
    document = environment_state(1)
    less = document.without([("VolumeInstance", "deletedAt"), ("ServiceInstance", "deletedAt")])
    assert document.body.count("deletedAt") - less.body.count("deletedAt") == 1
    assert document.without([("Volume", "id")]).body == document.body
    both = Document.of("query X {\n a # optional Left\n b {\n  a # optional Right\n }\n}")
    assert both.without([("Right", "a")]).body == "query X { a b { } }"


def test_what_railway_does_not_know_is_read_off_its_words() -> None:
    etag = 'Cannot query field "configEtag" on type "Environment". Did you mean "config"?'
    assert unknown_fields([etag]) == frozenset({("Environment", "configEtag")})
    assert unknown_fields([etag, 'Unknown argument "first" on field "Query.regions".']) is None
    assert unknown_fields([]) is None
