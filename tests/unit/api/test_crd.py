"""The generated files: as committed, and such that users and the API server get on with them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
import yaml
from pydantic import Field

from postbase_operator.api import crd
from postbase_operator.api.base import Model, Resource
from postbase_operator.api.kinds import KINDS
from postbase_operator.api.rules import Rule
from postbase_operator.api.structural import UnstructuralSchema, check, openapi, structural

ROOT = Path(__file__).resolve().parents[3]
Schema = dict[str, Any]


def nodes(schema: Schema, path: str, in_list: bool = False) -> Iterator[tuple[str, Schema, bool]]:
    """Every schema below, with its path and whether it is somewhere in a list."""
    yield path, schema, in_list
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}", in_list)
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]", True)
    if "additionalProperties" in schema:
        yield from nodes(schema["additionalProperties"], f"{path}.*", in_list)


SCHEMAS = {kind.definition.kind: openapi(kind) for kind in KINDS}
FILES = crd.files()


def fields(kind: str) -> Iterator[tuple[str, Schema, bool]]:
    for part in ("spec", "status"):
        yield from nodes(SCHEMAS[kind]["properties"][part], f"{kind}.{part}")


each_kind = pytest.mark.parametrize("kind", SCHEMAS)


@pytest.mark.parametrize(("path", "text"), FILES.items(), ids=FILES)
def test_committed_files_are_up_to_date(path: str, text: str) -> None:
    assert (ROOT / path).read_text() == text, "run `make crds`"


@pytest.mark.parametrize("folder", ["crds", "charts/postbase/templates/crds"])
def test_no_file_of_a_former_kind_is_left(folder: str) -> None:
    assert {p.name for p in (ROOT / folder).iterdir()} == set(crd.render())


@each_kind
def test_every_field_is_described(kind: str) -> None:
    for path, schema, _ in fields(kind):
        description = schema.get("description", "")
        if path.endswith(("[]", ".*")) and not description:
            continue  # the list or map has said it
        assert description[:1].isupper() or description.startswith("`"), f"{path}: {description!r}"
        assert description.endswith("."), path


@each_kind
def test_no_defaults_in_lists(kind: str) -> None:
    assert not [path for path, schema, in_list in fields(kind) if in_list and "default" in schema]


@each_kind
def test_everything_is_bounded(kind: str) -> None:
    """The API server refuses CRDs whose rules could cost too much; etcd, objects that grow."""
    for path, schema, _ in fields(kind):
        match schema.get("type"):
            case "array":
                assert "maxItems" in schema, path
            case "object" if "additionalProperties" in schema:
                assert "maxProperties" in schema, path
            case "string":
                assert {"maxLength", "enum", "format"} & schema.keys(), path


@each_kind
def test_defaults_tell_what_the_description_says(kind: str) -> None:
    """`kubectl explain` shows no defaults: the text must."""
    for path, schema, _ in fields(kind):
        default = schema.get("default")
        if default is None or isinstance(default, dict) or ".status" in path:
            continue
        shown = str(default).lower() if isinstance(default, bool) else str(default)
        assert shown in schema["description"], f"{path}: {default}"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.definition.kind)
def test_columns_and_selectable_fields_exist(kind: type[Resource]) -> None:
    definition = kind.definition
    known = {path.removeprefix(definition.kind) for path, _, _ in fields(definition.kind)}
    for path in (*definition.selectable, *(c.path for c in definition.columns)):
        assert path in known or path.startswith((".metadata", ".status.conditions[")), path


def test_settings_that_a_project_may_default_have_no_schema_default() -> None:
    """A default could not be told from a choice, and the Project's would never count."""
    settings = ("Database.spec.backup", "Database.spec.pitr", "Database.spec.region")
    defaulted = [path for path, schema, _ in fields("Database") if "default" in schema]
    assert not [path for path in defaulted if path.startswith(settings)]


@each_kind
def test_rules_say_the_field_and_the_remedy(kind: str) -> None:
    for path, schema, _ in nodes(SCHEMAS[kind], kind):
        for rule in schema.get("x-kubernetes-validations", []):
            assert len(rule["message"]) > 40, f"{path}: {rule['message']}"
            assert "\n" not in rule["rule"], path


@each_kind
def test_every_pattern_is_told_in_words(kind: str) -> None:
    """Of a pattern the API server shows the regular expression alone."""
    for path, schema, _ in nodes(SCHEMAS[kind]["properties"]["spec"], kind):
        rules = [rule["rule"] for rule in schema.get("x-kubernetes-validations", [])]
        assert "pattern" not in schema or any("self" in rule for rule in rules), path


class TestChart:
    """The chart's copy is a template, which Helm renders."""

    def test_braces_in_a_description_do_not_become_a_template(self) -> None:
        text = crd.as_template({"metadata": {"name": "x"}, "spec": "write {{ this }}"})
        assert 'write {{ "{{" }} this }}' in text

    def test_switches(self) -> None:
        first, second, *rest = crd.as_template(crd.crd(KINDS[0])).splitlines()
        assert first == "{{- if .Values.crds.enabled }}"
        assert second.startswith("# Generated")
        assert rest[-1] == "{{- end }}"
        assert rest.count("    helm.sh/resource-policy: keep") == 1
        assert rest.count("  {{- if .Values.crds.keep }}") == 1

    @pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.definition.kind)
    def test_is_the_same_crd(self, kind: type[Resource]) -> None:
        lines = crd.as_template(crd.crd(kind)).splitlines()
        plain = yaml.safe_load("\n".join(line for line in lines if "{{" not in line))
        assert plain["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
        assert plain["metadata"].pop("labels") == {"postbase.sh/allow-deletion": "true"}
        assert plain == crd.crd(kind)


def converted(model: type[Model]) -> Schema:
    raw = model.model_json_schema(by_alias=True)
    return structural(raw, raw.pop("$defs", {}), "x")


class TestRefuses:
    """What a CRD cannot say is an error at generation."""

    def test_unions(self) -> None:
        class Union(Model):
            value: int | str

        with pytest.raises(UnstructuralSchema, match=r"x\.value: is a union"):
            converted(Union)

    def test_untyped_values(self) -> None:
        class Untyped(Model):
            value: Any

        with pytest.raises(UnstructuralSchema, match=r"x\.value: has no type"):
            converted(Untyped)

    def test_untyped_maps(self) -> None:
        class Untyped(Model):
            value: dict[str, Any]

        with pytest.raises(UnstructuralSchema, match=r"x\.value: is a map"):
            converted(Untyped)

    def test_unknown_keywords(self) -> None:
        class Multiple(Model):
            value: Annotated[int, Field(multiple_of=2)]

        with pytest.raises(UnstructuralSchema, match="multipleOf"):
            converted(Multiple)

    def test_defaults_in_lists(self) -> None:
        class Item(Model):
            value: Annotated[int, Field(description="Value.")] = 1

        class Outer(Model):
            """Outer."""

            items: Annotated[tuple[Item, ...], Field(description="Items.")] = ()

        with pytest.raises(UnstructuralSchema, match="default inside a list"):
            check(converted(Outer), "x")

    def test_fields_without_a_description(self) -> None:
        class Silent(Model):
            """Silent."""

            value: int

        with pytest.raises(UnstructuralSchema, match=r"x\.value: has no description"):
            check(converted(Silent), "x")


class TestConversion:
    def convert(self, annotation: Any) -> Schema:
        model = type("M", (Model,), {"__annotations__": {"value": annotation}, "__module__": "m"})
        value: Schema = converted(model)["properties"]["value"]
        return value

    def test_exclusive_bounds_become_flags(self) -> None:
        bound = self.convert(Annotated[int, Field(gt=0, lt=9)])
        assert bound == {
            "type": "integer",
            "minimum": 0,
            "exclusiveMinimum": True,
            "maximum": 9,
            "exclusiveMaximum": True,
        }

    def test_rules_of_a_type_and_of_its_use_add_up(self) -> None:
        class Guarded(Model):
            """Guarded."""

            rules = (Rule("a", message="A"),)

        schema = self.convert(Annotated[Guarded, Rule("b", message="B")])
        assert [r["rule"] for r in schema["x-kubernetes-validations"]] == ["a", "b"]

    def test_optional_is_just_absent(self) -> None:
        assert self.convert(Annotated[int, Field(ge=1)] | None) == {"type": "integer", "minimum": 1}
