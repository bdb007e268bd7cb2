"""Which policies a release brings: by the namespaces that it serves, or none at all."""

from __future__ import annotations

import yaml

from apiserver.access import Api
from apiserver.charts import LISTED
from apiserver.policies import (
    CANARY,
    OURS,
    PROTECTED,
    claim,
    database,
    delete,
    in_force,
    make,
    policies,
)


def test_listed_namespaces_alone_are_guarded(api: Api) -> None:
    objects = policies(LISTED, release="listed")
    names = ("team-a", "elsewhere")
    spaces = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": n}} for n in names]
    api.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(spaces))
    with in_force(api, objects, "team-a"):
        make(api, "elsewhere", database(CANARY, protected=True), claim(CANARY, OURS | PROTECTED))
        api.kubectl("label", "namespace", "elsewhere", "postbase.sh/protected=true", "--overwrite")
        dry = "--dry-run=server"
        for what in ("database/canary", "pvc/canary", "namespace/elsewhere"):
            assert delete(api, "elsewhere", what, dry) == ""


def test_definitions_are_guarded_by_the_release_that_brought_them() -> None:
    for values, guards in (
        ({}, True),
        ({"crds": {"enabled": False}}, True),
        (LISTED, True),
        ({**LISTED, "crds": {"enabled": False}}, False),
    ):
        names = [o["metadata"]["name"] for o in policies(values)]
        assert ("postbase-definitions.postbase.sh" in names) is guards, values


def test_switched_off_there_are_none() -> None:
    assert not policies({"admissionPolicies": {"enabled": False}})


def test_every_policy_is_bound_and_denies() -> None:
    for values in ({}, LISTED):
        objects = policies(values)
        bound = [o["spec"] for o in objects if o["kind"] == "ValidatingAdmissionPolicyBinding"]
        names = [o["metadata"]["name"] for o in objects if "policyName" not in o["spec"]]
        assert [b["policyName"] for b in bound] == names
        assert all(b["validationActions"] == ["Deny"] for b in bound)
