"""The chart's admission policies: each refusal and each exception, on a real API server with the
controllers that end namespaces and claims."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Iterator

import pytest
import yaml
from kubernetes import config

from apiserver.access import ROOT, Api
from apiserver.charts import Body, rendered
from apiserver.policies import (
    KUBE_SYSTEM,
    OPERATOR,
    OURS,
    PROTECTED,
    attempt,
    claim,
    collection,
    database,
    delete,
    in_force,
    make,
    policies,
    type_checked,
)
from node import golang, waiting
from node.control_plane import control_plane

pytestmark = pytest.mark.timeout(300)
POLICIES = [o for o in policies({}) if o["kind"] == "ValidatingAdmissionPolicy"]
DATABASES = "apis/postbase.sh/v1alpha1"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions?dryRun=All"
SYSTEM = "postbase-system"
NUMBERS = itertools.count(1)
STRANGER: Body = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "toys.example.com"},
    "spec": {
        "group": "example.com",
        "names": {"kind": "Toy", "plural": "toys"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object"}},
            }
        ],
    },
}


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The release's rights and definitions, without its policies and pods."""
    if not (golang.built("kube").exists() and golang.built("helm").exists()):
        pytest.skip("the programs are not built: run `make up`, or `python3 -m node build`")
    with control_plane(tmp_path_factory.mktemp("admission"), controllers=True) as plane:
        client = config.new_client_from_config(str(plane.kubeconfig))
        api = Api(plane.kubeconfig, plane.kubectl, client)
        api.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
        api.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(STRANGER))
        api.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        api.kubectl("create", "namespace", SYSTEM)
        rights = [o for o in rendered({}) if o["kind"] == "ClusterRole" or "roleRef" in o]
        api.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(rights))
        yield api
        client.close()


@pytest.fixture(scope="module")
def guarded(bare: Api) -> Iterator[Api]:
    bare.kubectl("create", "namespace", "canaries")
    with in_force(bare, policies({}), "canaries"):
        yield bare


@pytest.fixture
def team(guarded: Api) -> str:
    """A namespace with a protected Database, its claim, and one of each that is not."""
    name = f"team-{next(NUMBERS)}"
    guarded.kubectl("create", "namespace", name)
    make(
        guarded,
        name,
        database("main", protected=True),
        database("scratch", protected=False),
        claim("main-1-1", OURS | PROTECTED),
        claim("scratch-1-1", OURS | {"postbase.sh/database": "scratch"}),
        claim("files", PROTECTED),
    )
    return name


def left(api: Api, namespace: str, kind: str) -> list[str]:
    """Those that stay; one that is on its way out must not count as saved."""
    items = json.loads(api.kubectl("get", kind, f"--namespace={namespace}", "-o", "json"))["items"]
    names = [i["metadata"]["name"] for i in items if "deletionTimestamp" not in i["metadata"]]
    return sorted(names)


# -- what the API server makes of the policies -------------------------------------------------


@pytest.mark.parametrize("policy", [p["metadata"]["name"] for p in POLICIES])
def test_the_api_server_finds_no_fault_with_the_types(guarded: Api, policy: str) -> None:
    def looked() -> bool:
        return type_checked(guarded, policy) is not None

    waiting.until(looked, f"{policy} is type-checked", seconds=30)
    assert type_checked(guarded, policy) == []


@pytest.mark.parametrize("policy", POLICIES, ids=lambda p: p["metadata"]["name"])
def test_it_would_find_one(guarded: Api, policy: Body) -> None:
    """Each policy's types are known to the API server: a field that is not there is told."""
    wrong = copy.deepcopy(policy)
    wrong["metadata"]["name"] = f"wrong-{policy['metadata']['name']}"
    wrong["spec"]["validations"].append({"expression": "has(oldObject.metadata.undeletable)"})
    guarded.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(wrong))
    waiting.until(lambda: type_checked(guarded, wrong["metadata"]["name"]), "a warning", seconds=30)
    guarded.kubectl("delete", "validatingadmissionpolicy", wrong["metadata"]["name"])


# -- Databases ---------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["database/main", "databases --all", "collection"])
def test_a_protected_database_stays(guarded: Api, team: str, what: str) -> None:
    words = [collection(team, "databases", DATABASES)] if what == "collection" else what.split()
    told = delete(guarded, team, *words)
    assert f"Database {team}/main has spec.deletionProtection: true; set it to false" in told
    assert "main" in left(guarded, team, "databases")


def test_all_takes_what_is_not_protected(guarded: Api, team: str) -> None:
    assert "scratch" not in delete(guarded, team, "databases", "--all")
    assert left(guarded, team, "databases") == ["main"]


def test_a_database_goes_once_it_is_not_protected(guarded: Api, team: str) -> None:
    """As the message says."""
    off = '{"spec": {"deletionProtection": false}}'
    guarded.kubectl("patch", "database/main", f"-n={team}", "--type=merge", f"--patch={off}")
    assert delete(guarded, team, "database/main") == ""
    assert left(guarded, team, "databases") == ["scratch"]


LATE = {
    "database/scratch": '{"spec": {"deletionProtection": true}}',
    "pvc/scratch-1-1": '{"metadata": {"labels": {"postbase.sh/protected": "true"}}}',
}


@pytest.mark.parametrize("what", LATE)
def test_a_deletion_that_is_under_way_is_not_held_up(guarded: Api, team: str, what: str) -> None:
    """Protection that comes too late must not keep anybody from finishing."""

    def patch(text: str) -> None:
        guarded.kubectl("patch", what, f"-n={team}", "--type=merge", f"--patch={text}")

    patch('{"metadata": {"finalizers": ["example.com/hold"]}}')
    assert delete(guarded, team, what, "--wait=false") == ""
    patch(LATE[what])
    assert delete(guarded, team, what, "--wait=false") == ""
    patch('{"metadata": {"finalizers": null}}')
    guarded.kubectl("wait", what, f"-n={team}", "--for=delete", "--timeout=30s")


# -- volume claims -----------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["pvc/main-1-1", "pvc --all", "collection"])
def test_a_protected_claim_stays(guarded: Api, team: str, what: str) -> None:
    words = [collection(team, "persistentvolumeclaims")] if what == "collection" else what.split()
    told = delete(guarded, team, *words)
    assert f"PersistentVolumeClaim {team}/main-1-1" in told
    assert "has spec.deletionProtection: true; set that to false" in told
    assert f"kubectl -n {team} label pvc main-1-1 postbase.sh/protected-" in told
    assert "main-1-1" in left(guarded, team, "pvc")


def test_claims_that_are_not_ours_or_not_protected_go(guarded: Api, team: str) -> None:
    told = delete(guarded, team, "pvc", "--all")
    assert "scratch-1-1" not in told
    assert "files" not in told
    assert left(guarded, team, "pvc") == ["main-1-1"]


def test_the_operator_may_delete_a_claim(guarded: Api, team: str) -> None:
    """To the end: the controller that protects claims in use takes its finalizer off."""
    assert delete(guarded, team, "pvc/main-1-1", user=(f"--as={OPERATOR}",)) == ""


@pytest.mark.parametrize("controller", ["generic-garbage-collector", "namespace-controller"])
def test_a_controller_may_not_in_a_namespace_that_lives(
    guarded: Api, team: str, controller: str
) -> None:
    """The first would follow an owner that somebody gave the claim."""
    told = delete(guarded, team, "pvc/main-1-1", user=(f"--as={KUBE_SYSTEM}:{controller}",))
    assert "spec.deletionProtection" in told


def test_an_owner_by_mistake_takes_no_claim_along(guarded: Api, team: str) -> None:
    make(guarded, team, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner"}})
    uid = guarded.kubectl("get", "cm/owner", f"-n={team}", "-o", "jsonpath={.metadata.uid}")
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}
    patch = json.dumps({"metadata": {"ownerReferences": [owner]}})
    for name in ("main-1-1", "scratch-1-1"):
        guarded.kubectl("patch", f"pvc/{name}", f"-n={team}", "--type=merge", f"--patch={patch}")
    assert delete(guarded, team, "configmap/owner") == ""
    waiting.until(
        lambda: "scratch-1-1" not in left(guarded, team, "pvc"), "it was collected", seconds=60
    )
    assert "main-1-1" in left(guarded, team, "pvc")


def test_the_label_taken_off_lets_it_go(guarded: Api, team: str) -> None:
    guarded.kubectl("label", "pvc/main-1-1", f"-n={team}", "postbase.sh/protected-")
    assert delete(guarded, team, "pvc/main-1-1") == ""


# -- namespaces --------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["by name", "by label"])
def test_a_protected_namespace_stays(guarded: Api, team: str, what: str) -> None:
    guarded.kubectl("label", "namespace", team, "postbase.sh/protected=true", f"team={team}")
    words = [f"namespace/{team}"] if what == "by name" else ["namespaces", f"-l=team={team}"]
    told = delete(guarded, team, *words)
    assert f"namespace {team} is labelled postbase.sh/protected" in told
    assert "set spec.deletionProtection to false on each Database" in told
    assert f"kubectl label namespace {team} postbase.sh/protected-" in told
    assert left(guarded, team, "pvc") == ["files", "main-1-1", "scratch-1-1"]


@pytest.mark.parametrize("labels", [[], ["postbase.sh/protected=false"]], ids=["without", "false"])
def test_a_dying_namespace_is_not_left_hanging(guarded: Api, team: str, labels: list[str]) -> None:
    """Protected Database and claim included: the namespace controller comes back for each that
    it could not delete at first, and nothing may stop it."""
    for label in labels:
        guarded.kubectl("label", "namespace", team, label)
    assert delete(guarded, team, f"namespace/{team}") == ""
    assert attempt(guarded, "get", "namespace", team) != ""


def test_a_label_that_comes_while_it_dies_changes_nothing(guarded: Api, team: str) -> None:
    held = '{"metadata": {"finalizers": ["example.com/hold"]}}'
    guarded.kubectl("patch", "pvc/files", f"-n={team}", "--type=merge", f"--patch={held}")
    assert delete(guarded, team, f"namespace/{team}", "--wait=false") == ""
    guarded.kubectl("label", "namespace", team, "postbase.sh/protected=true")
    again = delete(guarded, team, f"namespace/{team}", "--wait=false")
    assert "ValidatingAdmissionPolicy" not in again
    freed = '{"metadata": {"finalizers": null}}'
    guarded.kubectl("patch", "pvc/files", f"-n={team}", "--type=merge", f"--patch={freed}")
    guarded.kubectl("wait", f"namespace/{team}", "--for=delete", "--timeout=60s")


# -- definitions -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [["crd/databases.postbase.sh"], ["crd", "--all"], [f"--raw={DEFINITIONS}"]],
    ids=["by name", "all", "collection"],
)
def test_our_definitions_stay(guarded: Api, words: list[str]) -> None:
    dry = [] if "--raw" in words[0] else ["--dry-run=server"]
    told = attempt(guarded, "delete", *words, *dry)
    if "--raw" not in words[0]:  # a collection ends at its first refusal
        assert "deletes every Database in the cluster" in told
        assert "kubectl label crd databases.postbase.sh postbase.sh/allow-deletion=true" in told
    assert "spec.deletionProtection" in told
    assert "toys.example.com" not in told


def test_others_definitions_go(guarded: Api) -> None:
    assert attempt(guarded, "delete", "crd/toys.example.com", "--dry-run=server") == ""


@pytest.mark.parametrize(("value", "goes"), [("true", True), ("false", False)])
def test_a_definition_goes_when_that_is_meant(guarded: Api, value: str, goes: bool) -> None:
    name = "crd/accounts.postbase.sh"
    guarded.kubectl("label", name, f"postbase.sh/allow-deletion={value}")
    told = attempt(guarded, "delete", name, "--dry-run=server")
    guarded.kubectl("label", name, "postbase.sh/allow-deletion-")
    assert (told == "") is goes
