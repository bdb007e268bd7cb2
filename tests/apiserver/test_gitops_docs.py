"""docs/gitops.md: its script is the chart's, its manifests are taken, its values fit the chart."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

import verdicts
from apiserver.access import ROOT, Api
from apiserver.charts import helm

PAGE = (ROOT / "docs" / "gitops.md").read_text()
BLOCKS = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
MANIFESTS: list[dict[str, Any]] = [
    body for block in BLOCKS for body in yaml.safe_load_all(block) if "kind" in body
]


def of_kind(kind: str) -> list[dict[str, Any]]:
    found = [body for body in MANIFESTS if body["kind"] == kind]
    assert found, f"docs/gitops.md has no {kind}"
    return found


def test_the_script_for_argocd_is_the_charts() -> None:
    """And its key is the wildcard's: no key of a ConfigMap may have a star in it."""
    (config,) = of_kind("ConfigMap")
    assert set(config["data"]) == {"resource.customizations"}
    customizations = yaml.safe_load(config["data"]["resource.customizations"])
    assert customizations == {"postbase.sh/*": {"health.lua": verdicts.HEALTH.read_text()}}


@pytest.mark.parametrize("kind", ["Project", "Database", "ConfigMap", "Namespace"])
def test_the_api_server_takes_its_manifests(api: Api, namespace: str, kind: str) -> None:
    for body in of_kind(kind):
        if "namespace" in body["metadata"]:
            body = {**body, "metadata": {**body["metadata"], "namespace": namespace}}
        words = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-")
        api.kubectl(*words, stdin=yaml.safe_dump(body))


def values() -> list[dict[str, Any]]:
    (release,) = of_kind("HelmRelease")
    sources = [application["spec"]["source"] for application in of_kind("Application")]
    assert release["spec"]["chart"]["spec"]["chart"] == "./charts/postbase"
    return [
        release["spec"]["values"],
        *(s["helm"]["valuesObject"] for s in sources if s["path"] == "charts/postbase"),
    ]


def test_the_chart_takes_its_values(tmp_path: Any) -> None:
    assert len(values()) == 2
    for number, wanted in enumerate(values()):
        file = tmp_path / f"{number}.yaml"
        file.write_text(yaml.safe_dump(wanted))
        options = (f"--values={file}", "--kube-version=1.34.0", "--namespace=postbase-system")
        done = helm("template", "postbase", str(ROOT / "charts" / "postbase"), *options)
        assert done.returncode == 0, done.stderr
        assert "helm.sh/resource-policy: keep" in done.stdout
