"""The plan of an Account: a namespace of its own, or why it gets none. PURE."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from postbase_operator.api import conditions as cond
from postbase_operator.api.account import Account, AccountPhase, AccountStatus
from postbase_operator.api.conditions import Condition
from postbase_operator.errors import InvalidSpec

NEVER = ("default", "kube-system", "kube-public", "kube-node-lease")


@dataclass(frozen=True, slots=True)
class Tenancy:
    """What was found: the namespace, whose label it has ("" where it is nobody's yet), whether it
    is going, and whether the quota counts already."""

    namespace: str
    belongs_to: str = ""
    going: bool = False
    counted: bool = False


def check_namespace(namespace: str, operators: str) -> None:
    """Raises InvalidSpec for one in which no tenant may be."""
    if namespace in (*NEVER, operators) or namespace.startswith("kube-"):
        raise InvalidSpec(
            "spec.namespace",
            f"{namespace!r} is the cluster's own; make another Account without it",
            reason="NamespaceNotAllowed",
        )


def check_owner(account: Account, seen: Tenancy) -> None:
    """Raises InvalidSpec where the namespace is another Account's."""
    if seen.belongs_to not in ("", account.metadata.name):
        raise InvalidSpec(
            "spec.namespace",
            f"{seen.namespace!r} belongs to the Account {seen.belongs_to!r}; make another Account "
            "with another one",
            reason="NamespaceTaken",
        )


def active(account: Account, seen: Tenancy, now: datetime) -> AccountStatus:
    """Its namespace is told only once everything in it counts: the gateway writes from then on."""
    generation, held = account.metadata.generation, account.status.conditions
    if seen.going:
        told = "The namespace is being deleted"
        conditions = cond.set_reconciling(held, "NamespaceTerminating", told, now, generation)
        return _status(account, AccountPhase.PENDING, None, conditions)
    if not seen.counted:
        told = "The namespace's quota is not counted yet"
        conditions = cond.set_reconciling(held, "QuotaPending", told, now, generation)
        return _status(account, AccountPhase.PENDING, account.status.namespace, conditions)
    phase = AccountPhase.SUSPENDED if account.spec.suspended else AccountPhase.ACTIVE
    conditions = cond.set_ready(held, phase.value, "", now, generation)
    return _status(account, phase, seen.namespace, conditions)


def refused(account: Account, error: InvalidSpec, now: datetime) -> AccountStatus:
    conditions = cond.set_stalled(
        account.status.conditions, error.reason, str(error), now, account.metadata.generation
    )
    return _status(account, AccountPhase.FAILED, None, conditions)


def _status(
    account: Account, phase: AccountPhase, namespace: str | None, conditions: Sequence[Condition]
) -> AccountStatus:
    return account.status.model_copy(
        update={
            "id": account.id,
            "phase": phase,
            "namespace": namespace,
            "observed_generation": account.metadata.generation,
            "conditions": tuple(conditions),
        }
    )
