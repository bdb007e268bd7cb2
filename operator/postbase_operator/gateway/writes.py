"""Writes: custom resources and nothing else, one request to the API server each.

Made by POST, because "somebody made it first" must be an answer. Changed by server-side apply: each
concern has a field manager of its own and says all of its fields each time, so that one never takes
away what another has set. The answer goes into the index: whoever has written reads what he wrote.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum

from postbase_operator.errors import Conflict, Denied, PostbaseError, Unavailable
from postbase_operator.gateway.held import BODY_HASH, DISPLAY_NAME, IDEMPOTENCY_KEY, Held
from postbase_operator.gateway.index import Index
from postbase_operator.gateway.problems import Code, Problem, invalid, unavailable
from postbase_operator.kube.kinds import Body, Kind
from postbase_operator.kube.refusals import (
    AlreadyExists,
    NamespaceGoing,
    NotFound,
    QuotaExceeded,
    Refused,
)
from postbase_operator.kube.session import Session

REQUEST_ID = "postbase.sh/request-id"
REQUESTED_BY = "postbase.sh/requested-by"
MANAGER = "postbase-gateway"
PLAN_POLICY = "-plans.postbase.sh"
"""End of the name of the chart's admission policy for plans."""


class Concern(StrEnum):
    """Field managers of changes."""

    SIZE = "postbase-gateway-size"
    PITR = "postbase-gateway-pitr"
    DELETION = "postbase-gateway-deletion"
    ROTATION = "postbase-gateway-rotation"
    RECEIVER = "postbase-gateway-receiver"
    PROFILE = "postbase-gateway-profile"
    EXPIRY = "postbase-gateway-expiry"


@dataclass(frozen=True, slots=True)
class Origin:
    """Of one request: who asked, by which id, and with which Idempotency-Key ("" for none)."""

    request_id: str
    account: str
    idempotency_key: str = ""
    body_hash: str = ""

    def notes(self) -> dict[str, str]:
        keyed = {IDEMPOTENCY_KEY: self.idempotency_key, BODY_HASH: self.body_hash}
        return {
            REQUEST_ID: self.request_id,
            REQUESTED_BY: self.account,
            **(keyed if self.idempotency_key else {}),
        }


def object_name(kind: Kind, *seeds: str) -> str:
    """`<kind>-` and 16 characters made of the seeds: the same ones always make the same name."""
    raw = hashlib.sha256(json.dumps(seeds).encode()).digest()
    return f"{kind.kind.lower()}-{base64.b32encode(raw)[:16].decode().lower()}"


def body_hash(route: str, body: bytes) -> str:
    return hashlib.sha256(route.encode() + b"\0" + body).hexdigest()[:32]


class Writer:
    """Raises Problem: what the API server said, in the API's words."""

    def __init__(self, session: Session, index: Index) -> None:
        self._session = session
        self._index = index

    async def create(  # noqa: PLR0913 - an object's parts
        self,
        kind: Kind,
        namespace: str,
        name: str,
        spec: Body,
        origin: Origin,
        *,
        display: str = "",
        labels: dict[str, str] | None = None,
        notes: dict[str, str] | None = None,
    ) -> Held:
        """The object, made or, by the same Idempotency-Key and body, made before."""
        named = {DISPLAY_NAME: display} if display else {}
        body: Body = {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": {
                "name": name,
                **({"namespace": namespace} if kind.namespaced else {}),
                "annotations": {**origin.notes(), **named, **(notes or {})},
                **({"labels": labels} if labels else {}),
            },
            "spec": spec,
        }
        try:
            live = await self._session.create(kind, namespace or None, body, MANAGER)
        except AlreadyExists as error:
            return await self._made_before(kind, namespace, name, origin, error)
        except PostbaseError as error:
            raise told(error) from error
        return self._index.put(kind, live)

    async def _made_before(
        self, kind: Kind, namespace: str, name: str, origin: Origin, error: AlreadyExists
    ) -> Held:
        try:
            live = await self._session.get(kind, namespace or None, name)
        except PostbaseError as trouble:
            raise told(trouble) from trouble
        held = self._index.put(kind, live)
        repeated(held, origin)
        if held.deleting:
            raise Problem(
                Code.CONFLICT,
                f"The former {kind.kind.lower()} of this name is still being deleted",
                retry_after=5,
            ) from error
        if not origin.idempotency_key or held.idempotency[0] != origin.idempotency_key:
            raise taken(kind) from error
        return held

    async def change(
        self, held: Held, concern: Concern, origin: Origin, spec: Body, notes: dict[str, str]
    ) -> Held:
        """Server-side apply of one concern's fields. `origin` goes into the annotations, but where
        GitOps owns the object: there nothing is written that is not asked for."""
        said = notes if held.is_managed else {REQUEST_ID: origin.request_id, **notes}
        body: Body = {
            "apiVersion": held.kind.api_version,
            "kind": held.kind.kind,
            # The UID makes it this very object: one deleted and made anew is not meant.
            "metadata": {
                "name": held.name,
                **({"namespace": held.namespace} if held.kind.namespaced else {}),
                "uid": held.uid,
                "annotations": said,
            },
            **({"spec": spec} if spec else {}),
        }
        try:
            live = await self._session.apply(held.kind, body, concern)
        except PostbaseError as error:
            raise told(error) from error
        return self._index.put(held.kind, live)

    async def delete(self, held: Held) -> None:
        """Asks for it; finalizers do the work. What is gone is gone by somebody else."""
        namespace = held.namespace or None
        try:
            await self._session.delete(held.kind, namespace, held.name, held.uid, foreground=False)
            live = await self._session.find(held.kind, namespace, held.name)
        except PostbaseError as error:
            raise told(error) from error
        if live is None or live["metadata"]["uid"] != held.uid:
            self._index.forget(held)
        else:
            self._index.put(held.kind, live)


def repeated(held: Held, origin: Origin) -> None:
    """Raises IDEMPOTENCY_KEY_REUSED where the object came by the same key and another request."""
    key, hashed = held.idempotency
    if origin.idempotency_key and key == origin.idempotency_key and hashed != origin.body_hash:
        raise Problem(
            Code.IDEMPOTENCY_KEY_REUSED, "This Idempotency-Key came with another request before"
        )


def taken(kind: Kind) -> Problem:
    return Problem(Code.CONFLICT, f"There is a {kind.kind.lower()} of this name already")


def refuse_managed(held: Held) -> None:
    if held.is_managed:
        raise Problem(
            Code.MANAGED_EXTERNALLY,
            f"This {held.kind.kind.lower()} is kept by a GitOps tool, which would put it back: "
            "change it where it comes from",
        )


def told(error: PostbaseError) -> Problem:
    """What the API server said. Its sentences name fields, and never hold a secret."""
    match error:
        case NamespaceGoing():
            return Problem(Code.CONFLICT, "The account is being deleted")
        case QuotaExceeded():
            return Problem(Code.PLAN_LIMIT_EXCEEDED, "The plan does not allow for one more")
        case Refused():
            return invalid(error.message[:500])
        case Denied() if "ValidatingAdmissionPolicy" in str(error):
            plan = PLAN_POLICY in str(error)
            code = Code.PLAN_LIMIT_EXCEEDED if plan else Code.CONFLICT
            return Problem(code, str(error).rpartition("denied request: ")[2][:500])
        case Denied():
            return unavailable("The account is not set up yet", 2)
        case Conflict():
            return Problem(Code.CONFLICT, "Somebody changed it at the same time: try again")
        case NotFound():
            return Problem(Code.CONFLICT, "It was deleted meanwhile")
        case Unavailable():
            return unavailable("The Kubernetes API does not answer", error.retry_after or 5)
    return unavailable("The request could not be carried out")
