"""ResourceQuotas of a real API server, whose controller is not there to count: it is played."""

from __future__ import annotations

from apiserver.loop import MANAGER
from postbase_operator.kube.kinds import Body, Kind
from postbase_operator.kube.session import Session

QUOTA = Kind("v1", "ResourceQuota", "resourcequotas")


async def quota(session: Session, namespace: str, hard: dict[str, str]) -> None:
    """In force, with nothing used yet."""
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
