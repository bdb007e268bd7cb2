"""The CRDs as a real API server sees them."""

from __future__ import annotations

import itertools
import json
from typing import Any, cast

import pytest
import yaml
from kubernetes.client.exceptions import ApiException

from apiserver.access import ROOT, Api
from apiserver.cases import CASES, DESIGN, TENANT, Case, Manifest
from postbase_operator.api.base import GROUP, VERSION
from postbase_operator.api.kinds import KINDS

EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.yaml"))
DEFINITIONS = {kind.definition.kind: kind.definition for kind in KINDS}
NUMBERS = itertools.count()


def create(api: Api, manifest: Manifest, *, dry_run: bool) -> Manifest:
    definition, dry = DEFINITIONS[manifest["kind"]], "All" if dry_run else None
    plural, objects = definition.plural, api.objects
    if definition.namespaced:
        made = objects.create_namespaced_custom_object(
            GROUP, VERSION, "default", plural, manifest, dry_run=dry
        )
    else:
        made = objects.create_cluster_custom_object(GROUP, VERSION, plural, manifest, dry_run=dry)
    return cast(Manifest, made)


def replace(api: Api, manifest: Manifest) -> Manifest:
    """What it would be: nothing is changed."""
    definition, name = DEFINITIONS[manifest["kind"]], manifest["metadata"]["name"]
    plural, objects = definition.plural, api.objects
    if definition.namespaced:
        made = objects.replace_namespaced_custom_object(
            GROUP, VERSION, "default", plural, name, manifest, dry_run="All"
        )
    else:
        made = objects.replace_cluster_custom_object(
            GROUP, VERSION, plural, name, manifest, dry_run="All"
        )
    return cast(Manifest, made)


def submit(api: Api, case: Case) -> Manifest:
    """Creates, or creates and changes; nothing but the object to be changed is left behind."""
    if case.then is None:
        return create(api, case.manifest, dry_run=True)
    name = {"name": f"case-{next(NUMBERS)}"}
    before = create(api, {**case.manifest, "metadata": name}, dry_run=False)
    return replace(api, {**case.changed, "metadata": before["metadata"]})


@pytest.mark.parametrize("case", [c for c in CASES if not c.refused], ids=str)
def test_accepts(api: Api, case: Case) -> None:
    accepted = submit(api, case)
    lost = missing(case.changed.get("spec", {}), accepted["spec"])
    assert not lost, f"pruned: {lost}"


@pytest.mark.parametrize("case", [c for c in CASES if c.refused], ids=str)
def test_refuses_and_says_what_to_do(api: Api, case: Case) -> None:
    with pytest.raises(ApiException) as refusal:
        submit(api, case)
    answer = json.loads(str(refusal.value.body))
    assert answer["code"] == 422, answer["message"]
    for words in case.refused:
        assert words in answer["message"]


def missing(wanted: Any, found: Any, path: str = "spec") -> list[str]:
    """Fields that the schema does not know are dropped in silence: here they are named."""
    if isinstance(wanted, dict):
        if not isinstance(found, dict):
            return [path]
        return [
            lost
            for name, value in wanted.items()
            for lost in missing(value, found.get(name), f"{path}.{name}")
        ]
    return [] if wanted == found else [path]


def test_all_are_established_and_structural(api: Api) -> None:
    crds = json.loads(api.kubectl("get", "crd", "-o", "json"))["items"]
    assert len(crds) == len(KINDS)
    for crd in crds:
        conditions = {c["type"]: c["status"] for c in crd["status"]["conditions"]}
        assert conditions["Established"] == "True"
        assert conditions["NamesAccepted"] == "True"
        assert "NonStructuralSchema" not in conditions


def test_nothing_was_dropped_from_the_crds(api: Api) -> None:
    """A keyword that the API server does not know would vanish without a word."""
    for path in sorted((ROOT / "crds").glob("*.yaml")):
        written = yaml.safe_load(path.read_text())
        live = json.loads(api.kubectl("get", "crd", written["metadata"]["name"], "-o", "json"))
        assert live["spec"]["versions"] == written["spec"]["versions"]


def test_kubectl_finds_them_by_short_name_and_category(api: Api) -> None:
    resources = api.kubectl("api-resources", "--categories=postbase", "-o", "wide")
    for short in ("pbproj", "pbdb", "pbbackup", "pbrestore", "pbaccount", "pbtoken"):
        assert short in resources


@pytest.mark.parametrize("kind", [kind.definition.kind for kind in KINDS])
def test_explain_describes_every_field(api: Api, kind: str) -> None:
    text = api.kubectl("explain", kind.lower(), "--recursive=false")
    assert "<empty>" not in text
    for part in ("spec", "status"):
        text = api.kubectl("explain", f"{kind.lower()}.{part}")
        assert "<empty>" not in text
        assert "DESCRIPTION" in text


def test_explain_tells_units_and_defaults(api: Api) -> None:
    text = " ".join(api.kubectl("explain", "database.spec.pitr").split())
    assert "Length of the recovery window in days" in text
    assert "Default: the Project's, else 7." in text


@pytest.mark.parametrize("kind", [k for k in DEFINITIONS if k != "ApiToken"])
def test_a_new_object_is_in_progress(api: Api, kind: str) -> None:
    """kstatus takes an object without a status for finished; -1 is no generation."""
    case = next(c for c in CASES if c.kind == kind and not c.patch)
    manifest = {**case.manifest, "metadata": {"name": f"new-{kind.lower()}"}}
    assert create(api, manifest, dry_run=False)["status"]["observedGeneration"] == -1


def test_the_table_of_kubectl_get(api: Api) -> None:
    header = api.kubectl("get", "pbdb", "-A").splitlines()[0].split()
    assert header == [
        "NAMESPACE", "NAME", "PHASE", "READY", "VERSION", "SIZE", "ARCHIVING", "FROM",
        "RESTORABLE-TO", "AGE",
    ]  # fmt: skip


def apply(api: Api, namespace: str, text: str) -> list[str]:
    """As a GitOps tool does; answers with every object's resourceVersion."""
    where = (f"--namespace={namespace}", "-f", "-")
    git = ("--server-side", "--force-conflicts", "--field-manager=git")
    api.kubectl("apply", *git, *where, stdin=text)
    return versions(api, namespace, text)


def versions(api: Api, namespace: str, text: str) -> list[str]:
    live = json.loads(
        api.kubectl("get", f"--namespace={namespace}", "-o", "json", "-f", "-", stdin=text)
    )
    return [item["metadata"]["resourceVersion"] for item in live.get("items", [live])]


TEXTS = {"design": DESIGN, "tenant": TENANT, **{p.name: p.read_text() for p in EXAMPLES}}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_applied_again_nothing_changes(api: Api, namespace: str, text: str) -> None:
    """Once the operator has seen it: until then the default status is in no store, and the next
    write of any kind puts it there."""
    apply(api, namespace, text)
    status = ("--subresource=status", "--type=merge", "-p", '{"status":{"observedGeneration":1}}')
    api.kubectl("patch", f"--namespace={namespace}", *status, "-f", "-", stdin=text)
    seen = versions(api, namespace, text)
    assert apply(api, namespace, text) == seen


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_gitops_sees_no_difference(api: Api, namespace: str, text: str) -> None:
    """As Argo CD compares: server-side, with the schema's defaults in place."""
    apply(api, namespace, text)
    assert not api.kubectl(
        "diff", "--server-side", "--force-conflicts", "--field-manager=argocd-controller",
        f"--namespace={namespace}", "-f", "-", stdin=text,
    )  # fmt: skip
