"""The CustomResourceDefinitions, generated from the models: `python -m postbase_operator.api.crd`.

Three copies are committed: crds/ to apply by hand, the chart's, and the reference in docs/api.md.
A test regenerates and compares them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from postbase_operator.api.base import CATEGORY, GROUP, VERSION, Column, Resource
from postbase_operator.api.kinds import KINDS
from postbase_operator.api.reference import reference
from postbase_operator.api.structural import openapi


def column(column: Column) -> dict[str, Any]:
    return {
        "name": column.name,
        "type": column.type,
        "description": column.description,
        "jsonPath": column.path,
        **({"priority": column.priority} if column.priority else {}),
    }


def crd(kind: type[Resource]) -> dict[str, Any]:
    """The CustomResourceDefinition of a kind."""
    definition = kind.definition
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": openapi(kind)},
        "subresources": {"status": {}},
        "additionalPrinterColumns": [column(c) for c in definition.columns],
    }
    if definition.selectable:
        version["selectableFields"] = [{"jsonPath": path} for path in definition.selectable]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{definition.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": definition.kind,
                "listKind": f"{definition.kind}List",
                "plural": definition.plural,
                "singular": definition.singular,
                "shortNames": list(definition.short_names),
                "categories": [CATEGORY],
            },
            "scope": "Namespaced" if definition.namespaced else "Cluster",
            "versions": [version],
        },
    }


class Dumper(yaml.SafeDumper):
    """As people write YAML: no anchors for texts that happen to be the same."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


HEADER = "# Generated from operator/postbase_operator/api by `make crds`. Do not edit.\n"


def as_yaml(document: dict[str, Any]) -> str:
    return yaml.dump(document, Dumper=Dumper, sort_keys=False, width=100, allow_unicode=True)


def as_template(document: dict[str, Any]) -> str:
    """The chart's copy: a template, because Helm never upgrades what lies in its crds/ folder.

    The label lets it go with the release: without it the chart's admission policy refuses.
    """
    text = as_yaml(document).replace("{{", '{{ "{{" }}')
    keep = (
        "metadata:\n"
        "  {{- if .Values.crds.keep }}\n"
        "  annotations:\n"
        "    helm.sh/resource-policy: keep\n"
        "  {{- else }}\n"
        "  labels:\n"
        "    postbase.sh/allow-deletion: 'true'\n"
        "  {{- end }}\n"
    )
    text = text.replace("metadata:\n", keep, 1)
    return f"{{{{- if .Values.crds.enabled }}}}\n{HEADER}{text}{{{{- end }}}}\n"


def render() -> dict[str, str]:
    """File name to YAML, for crds/ and for `postbase-operator crds`."""
    return {kind.definition.file_name: HEADER + as_yaml(crd(kind)) for kind in KINDS}


def files() -> dict[str, str]:
    """Everything generated from the models: path from the root of the checkout, to text."""
    chart = {kind.definition.file_name: as_template(crd(kind)) for kind in KINDS}
    return {
        **{f"crds/{name}": text for name, text in render().items()},
        **{f"charts/postbase/templates/crds/{name}": text for name, text in chart.items()},
        "docs/api.md": reference(KINDS),
    }


def main() -> None:
    for path, text in files().items():
        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
