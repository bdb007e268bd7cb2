"""values.yaml is the reference of the chart: every value is in it, explained, and in the schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).resolve().parents[3] / "charts" / "postbase"
TEXT = (CHART / "values.yaml").read_text()
LINES = TEXT.splitlines()
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
HELMS_OWN = "global"


def known(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Paths of the values that the schema has; what it leaves open below one is Kubernetes'."""
    for name, child in schema["properties"].items():
        here = f"{path}.{name}".lstrip(".")
        if "properties" in child and not name.endswith("Images"):  # by major version
            yield from known(child, here)
        elif here != HELMS_OWN:
            yield here


VALUES = set(known(SCHEMA))


def written(node: yaml.MappingNode, path: str = "") -> Iterator[tuple[str, int]]:
    """Paths of the values in the file, and their lines."""
    for key, value in node.value:
        here = f"{path}.{key.value}".lstrip(".")
        if isinstance(value, yaml.MappingNode) and here not in VALUES:
            yield from written(value, here)
        else:
            yield here, key.start_mark.line


def explained(line: int) -> bool:
    """The comment right above begins with `# --`, in its first line."""
    first = line
    while LINES[first - 1].lstrip().startswith("#"):
        first -= 1
    return first < line and LINES[first].lstrip().startswith("# -- ")


def test_every_value_is_in_the_schema_and_the_other_way_round() -> None:
    root = yaml.compose(TEXT)
    assert isinstance(root, yaml.MappingNode)
    assert {path for path, _ in written(root)} == VALUES
    assert len(VALUES) > 30


def test_every_value_is_explained() -> None:
    root = yaml.compose(TEXT)
    assert isinstance(root, yaml.MappingNode)
    assert not [path for path, line in written(root) if not explained(line)]


def test_the_schema_is_closed() -> None:
    """A misspelt value must be refused, not ignored."""

    def open_ones(schema: dict[str, Any], path: str) -> Iterator[str]:
        if "properties" in schema and schema.get("additionalProperties") is not False:
            yield path
        for name, child in schema.get("properties", {}).items():
            yield from open_ones(child, f"{path}.{name}")

    assert not list(open_ones(SCHEMA, "values"))
