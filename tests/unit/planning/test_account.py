"""An Account gets a namespace of its own, or hears why not."""

from __future__ import annotations

from typing import Any

import pytest

from postbase_operator.api.account import Account, AccountPhase
from postbase_operator.desired import tenancy
from postbase_operator.errors import InvalidSpec
from postbase_operator.kube.apply import body_of
from postbase_operator.planning.account import (
    Tenancy,
    active,
    check_namespace,
    check_owner,
    refused,
)
from postbase_operator.settings import Settings
from unit.conftest import NOW, UID

SETTINGS = Settings(sidecar_image="i", gateway_account="postbase-gateway")


def account(**spec: Any) -> Account:
    meta = {"name": "jane", "uid": UID, "generation": 2}
    return Account.model_validate({"metadata": meta, "spec": {"login": "jane", **spec}})


def test_the_namespace_is_named_after_the_id_or_as_it_says() -> None:
    assert tenancy.namespace_of(account()) == account().id.replace("_", "-")
    assert tenancy.namespace_of(account(namespace="team")) == "team"


def test_what_is_made() -> None:
    jane = account(plan="Pro")
    labels = body_of(tenancy.namespace(jane))["metadata"]["labels"]
    assert labels["postbase.sh/account"] == "jane"
    assert labels["postbase.sh/plan"] == "Pro"
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    binding = body_of(tenancy.binding(jane, SETTINGS))
    assert binding["roleRef"]["name"] == "postbase-gateway-tenant"
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": "postbase-gateway", "namespace": "postbase-system"}
    ]
    hard = body_of(tenancy.quota(jane))["spec"]["hard"]
    assert hard["count/databases.postbase.sh"] == "1000"
    assert body_of(tenancy.quota(account()))["spec"]["hard"]["count/databases.postbase.sh"] == "30"


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-anything", "postbase-system"])
def test_the_clusters_own_namespaces_are_nobodys(name: str) -> None:
    with pytest.raises(InvalidSpec, match="the cluster's own"):
        check_namespace(name, "postbase-system")


def test_a_namespace_is_one_accounts() -> None:
    """Else a tenant would read another's Secrets."""
    check_owner(account(), Tenancy("team"))
    check_owner(account(), Tenancy("team", belongs_to="jane"))
    with pytest.raises(InvalidSpec, match="belongs to the Account 'joe'") as error:
        check_owner(account(), Tenancy("team", belongs_to="joe"))
    status = refused(account(), error.value, NOW)
    assert (status.phase, status.namespace) == (AccountPhase.FAILED, None)
    assert status.conditions[-1].reason == "NamespaceTaken"


def test_the_namespace_is_told_once_it_counts() -> None:
    """The gateway writes from then on."""
    waiting = active(account(), Tenancy("team"), NOW)
    assert (waiting.phase, waiting.namespace) == (AccountPhase.PENDING, None)
    there = active(account(), Tenancy("team", counted=True), NOW)
    assert (there.phase, there.namespace) == (AccountPhase.ACTIVE, "team")
    assert there.id == account().id
    assert there.observed_generation == 2
    asleep = active(account(suspended=True), Tenancy("team", counted=True), NOW)
    assert (asleep.phase, asleep.namespace) == (AccountPhase.SUSPENDED, "team")


def test_of_a_namespace_that_goes_nothing_is_told() -> None:
    status = active(account(), Tenancy("team", going=True, counted=True), NOW)
    assert (status.phase, status.namespace) == (AccountPhase.PENDING, None)
