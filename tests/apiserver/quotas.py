"""ResourceQuotas of a real API server, whose controller is not there to count: it is played."""

from __future__ import annotations

from apiserver.loop import MANAGER
from postbase_operator.errors import PostbaseError
from postbase_operator.kube.kinds import LEASE, Body, Kind
from postbase_operator.kube.session import Session

QUOTA = Kind("v1", "ResourceQuota", "resourcequotas")


CANARY: Body = {
    "apiVersion": "coordination.k8s.io/v1",
    "kind": "Lease",
    "metadata": {"name": "canary"},
    "spec": {},
}
"""What each of these quotas forbids, and nobody wants."""


async def quota(session: Session, namespace: str, hard: dict[str, str]) -> None:
    """In force, with nothing used yet: the API server's admission hears of it a moment after."""
    hard = hard | {"count/leases.coordination.k8s.io": "0"}
    wanted: Body = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "little"},
        "spec": {"hard": hard},
    }
    made = await session.create(QUOTA, namespace, wanted, MANAGER)
    meta = {key: made["metadata"][key] for key in ("name", "namespace", "uid")}
    status = {"hard": hard, "used": dict.fromkeys(hard, "0")}
    body = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "status": status}
    await session.apply(QUOTA, body, MANAGER, subresource="status")
    for _ in range(3000):  # each a request: on a clock that is played none would end a pause
        try:
            await session.create(LEASE, namespace, CANARY, MANAGER, dry_run=True)
        except PostbaseError as error:
            if "exceeded quota" in str(error):
                return
    raise AssertionError("the quota is not in force")
