"""The models against the table that the API server is tested with, and against the examples."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from apiserver.cases import CASES, DESIGN, Case
from postbase_operator.api.base import Resource
from postbase_operator.api.crd import crd
from postbase_operator.api.database import Database
from postbase_operator.api.kinds import KINDS

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.yaml"))
MODELS: dict[str, type[Resource]] = {kind.definition.kind: kind for kind in KINDS}


@pytest.mark.parametrize("case", [c for c in CASES if not c.refused], ids=str)
def test_reads_what_the_api_server_accepts(case: Case) -> None:
    model = MODELS[case.kind]
    read = model.model_validate(case.changed)
    assert model.model_validate(read.to_wire()) == read


@pytest.mark.parametrize("case", [c for c in CASES if c.model], ids=str)
def test_refuses_what_makes_no_sense_without_an_api_server(case: Case) -> None:
    with pytest.raises(ValidationError):
        MODELS[case.kind].model_validate(case.changed)


@pytest.mark.parametrize("case", [c for c in CASES if c.refused and not c.model], ids=str)
def test_reads_what_only_a_rule_refuses(case: Case) -> None:
    """Objects older than a rule are still there: they must stay readable."""
    MODELS[case.kind].model_validate(case.changed)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_are_numbered_explained_and_known_to_the_schema(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("# ")
    assert path.name[:2].isdigit()
    for manifest in yaml.safe_load_all(text):
        model = MODELS[manifest["kind"]]
        model.model_validate(manifest)
        version = crd(model)["spec"]["versions"][0]
        schema = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
        assert not unknown(manifest["spec"], schema, "spec")


def test_examples_are_in_sequence() -> None:
    assert [int(p.name[:2]) for p in EXAMPLES] == list(range(1, len(EXAMPLES) + 1))


def unknown(value: object, schema: dict[str, object], path: str) -> list[str]:
    """Fields of a manifest that the API server would prune."""
    if isinstance(value, list):
        items = schema["items"]
        assert isinstance(items, dict)
        return [lost for item in value for lost in unknown(item, items, f"{path}[]")]
    if not isinstance(value, dict) or "additionalProperties" in schema:
        return []
    fields = schema.get("properties", {})
    assert isinstance(fields, dict)
    lost = [f"{path}.{name}" for name in value if name not in fields]
    return lost + [
        deeper
        for name, child in value.items()
        if name in fields
        for deeper in unknown(child, fields[name], f"{path}.{name}")
    ]


def test_the_designs_database_means_what_it_says() -> None:
    manifest = next(m for m in yaml.safe_load_all(DESIGN) if m["kind"] == "Database")
    spec = Database.model_validate(manifest).spec
    assert spec.project_ref.name == "shop"
    assert spec.postgres_version == "15"
    assert spec.parameters == {"work_mem": "8MB"}
    assert spec.pitr.enabled is True
