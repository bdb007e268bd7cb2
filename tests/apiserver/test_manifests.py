"""kubeconform, strictly, over all that people apply: the chart, the definitions, the examples.

A misspelt field is refused by no API server; it is dropped, and what it asked for never happens.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from apiserver import schemas
from apiserver.access import ROOT, Api
from apiserver.charts import CHART, MONITORED, VALUES, template
from node import golang

FILES = [*(ROOT / "crds").glob("*.yaml"), *(ROOT / "docs" / "examples").glob("*.yaml")]
NO_TYPE_HERE = "monitoring.coreos.com/v1/PodMonitor"
"""Its types are the Prometheus Operator's; test_chart.py looks at what it says."""


@pytest.fixture(scope="session")
def texts() -> dict[str, str]:
    """What is looked at, by its name."""
    charts = {f"chart, {name}": template(values) for name, values in VALUES.items()}
    files = {str(path.relative_to(ROOT)): path.read_text() for path in sorted(FILES)}
    return {**charts, **files, "chart, monitored": template(MONITORED)}


NAMES = [f"chart, {name}" for name in (*VALUES, "monitored")]
NAMES += [str(path.relative_to(ROOT)) for path in sorted(FILES)]


@pytest.fixture(scope="session")
def folder(api: Api, texts: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The schemas of every type that occurs."""
    found = {body["apiVersion"] for t in texts.values() for body in yaml.safe_load_all(t) if body}
    made = tmp_path_factory.mktemp("schemas")
    schemas.write(api, made, sorted(found - {NO_TYPE_HERE.rpartition("/")[0]}))
    return made


def complaints(text: str, folder: Path) -> str:
    """Nothing where all is well."""
    program = golang.built("kubeconform")
    if not program.exists():
        pytest.skip("kubeconform is not built: run `make up`, or `python3 -m node build`")
    done = subprocess.run(
        [
            *(str(program), "-strict", f"-skip={NO_TYPE_HERE}"),
            *("-schema-location", f"{folder}/{schemas.LOCATION}"),
        ],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode != 0) == bool(done.stdout), done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_every_field_is_one(texts: dict[str, str], folder: Path, name: str) -> None:
    assert not complaints(texts[name], folder)


def test_every_template_is_rendered_by_some_values(texts: dict[str, str]) -> None:
    rendered = set(re.findall(r"^# Source: postbase/(\S+)", "\n".join(texts.values()), re.M))
    there = {str(path.relative_to(CHART)) for path in (CHART / "templates").rglob("*.yaml")}
    assert rendered == there


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("chart, defaults", "replicas:", "replcias:"),
        ("chart, defaults", "readinessProbe:", "readynessProbe:"),
        ("chart, defaults", "policyTypes:", "policyType:"),
        ("chart, defaults", "listKind:", "listkind:"),
        ("chart, defaults", "verbs: [patch]", "verbs: patch"),
        ("docs/examples/01-minimal.yaml", "size:", "siez:"),
        ("docs/examples/03-pitr.yaml", "fallbackAfter:", "fallback:"),
    ],
)
def test_a_misspelt_field_is_named(
    texts: dict[str, str], folder: Path, name: str, right: str, wrong: str
) -> None:
    assert right in texts[name]
    said = complaints(texts[name].replace(right, wrong, 1), folder)
    assert wrong.partition(":")[0] in said, said
