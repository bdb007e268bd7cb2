"""What an Account has in the cluster: its namespace, the gateway's rights there, and its quota."""

from __future__ import annotations

from kubernetes.client import (
    RbacV1Subject,
    V1Namespace,
    V1ObjectMeta,
    V1ResourceQuota,
    V1ResourceQuotaSpec,
    V1RoleBinding,
    V1RoleRef,
)

from postbase_operator.api.account import Account
from postbase_operator.api.base import GROUP
from postbase_operator.api.plan_limits import LIMITS
from postbase_operator.desired import names
from postbase_operator.settings import Settings

LABEL_ACCOUNT = "postbase.sh/account"
"""On a namespace: whose it is. One namespace is one Account's."""
LABEL_PLAN = "postbase.sh/plan"
"""On a namespace: what the chart's admission policies go by."""
POD_SECURITY = "pod-security.kubernetes.io/enforce"
BINDING = "postbase-gateway"
QUOTA = "postbase-plan"
TENANT_ROLE = "{account}-tenant"


def namespace_of(account: Account) -> str:
    """The one it names, or one that is named after its id."""
    return account.spec.namespace or account.id.replace("_", "-")


def labels(account: Account) -> dict[str, str]:
    return {names.LABEL_MANAGED_BY: names.MANAGED_BY, LABEL_ACCOUNT: account.metadata.name}


def namespace(account: Account) -> V1Namespace:
    """Nothing but restricted pods: all of ours are."""
    marks = {LABEL_PLAN: account.spec.plan.value, POD_SECURITY: "restricted"}
    return V1Namespace(
        api_version="v1",
        kind="Namespace",
        metadata=V1ObjectMeta(name=namespace_of(account), labels={**labels(account), **marks}),
    )


def binding(account: Account, settings: Settings) -> V1RoleBinding:
    """The gateway reads Secrets and writes resources in Accounts' namespaces, nowhere else."""
    gateway = settings.gateway_account
    return V1RoleBinding(
        api_version="rbac.authorization.k8s.io/v1",
        kind="RoleBinding",
        metadata=V1ObjectMeta(
            name=BINDING, namespace=namespace_of(account), labels=labels(account)
        ),
        role_ref=V1RoleRef(
            api_group="rbac.authorization.k8s.io",
            kind="ClusterRole",
            name=TENANT_ROLE.format(account=gateway),
        ),
        subjects=[
            RbacV1Subject(
                kind="ServiceAccount", name=gateway, namespace=settings.operator_namespace
            )
        ],
    )


def quota(account: Account) -> V1ResourceQuota:
    """Counts cannot be CEL's matter. What is one project's is its own spec.quota."""
    objects = LIMITS[account.spec.plan].objects
    return V1ResourceQuota(
        api_version="v1",
        kind="ResourceQuota",
        metadata=V1ObjectMeta(name=QUOTA, namespace=namespace_of(account), labels=labels(account)),
        spec=V1ResourceQuotaSpec(
            hard={f"count/{plural}.{GROUP}": str(most) for plural, most in objects.items()}
        ),
    )
