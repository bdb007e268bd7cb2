"""Commits to an environment: what they are made of, and what became of one. PURE.

A commit says success before anything has happened; it is applied later, whole or not at all, and
one bad value rejects all of it. Its message is how it is found again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from postbase_operator.errors import NotReady, PostbaseError
from postbase_operator.railway.graphql.faults import Refused, of_sentence
from postbase_operator.railway.graphql.models import Patch, Workflow
from postbase_operator.railway.graphql.values import NULL

PORT = "5432"


def public_port(service_id: str, *, open_: bool) -> dict[str, Any]:
    """The way in from the internet; `open_` false takes it away."""
    proxies: dict[str, Any] = {PORT: {} if open_ else NULL}
    return {"services": {service_id: {"networking": {"tcpProxies": proxies}}}}


def volume_size(volume_id: str, megabytes: int) -> dict[str, Any]:
    """Grows in place, while the database runs."""
    return {"volumes": {volume_id: {"sizeMB": megabytes}}}


def merged(*patches: dict[str, Any]) -> dict[str, Any]:
    """One commit for all of it, as Railway merges them: keys that are not named stay."""
    result: dict[str, Any] = {}
    for patch in patches:
        for key, value in patch.items():
            held = result.get(key)
            both = isinstance(held, dict) and isinstance(value, dict)
            result[key] = merged(held, value) if both and held is not None else value
    return result


def verdict(patches: Sequence[Patch], message: str) -> PostbaseError | None:
    """Of the commit with this message: None where it is applied, NotReady where it is not yet, or
    not seen yet. Otherwise why it was rejected: PlanLimit, Refused …

    An applied patch is no proof: look at what it was to change.
    """
    ours = [patch for patch in patches if patch.message == message]
    if any(patch.status == "COMMITTED" and not patch.last_applied_error for patch in ours):
        return None
    if not ours or any(not patch.last_applied_error for patch in ours):
        return NotReady(f"Railway has not applied the commit {message!r} yet")
    return _rejected(message, str(ours[0].last_applied_error))


def workflow_verdict(workflow: Workflow, message: str) -> PostbaseError | None:
    """Of the workflow that applies a commit, where its id is known. One that has just begun is said
    to be NotFound."""
    if workflow.status == "Complete":
        return None
    if workflow.status == "Error":
        return _rejected(message, workflow.error or "no reason is given")
    return NotReady(f"Railway has not applied the commit {message!r} yet")


def _rejected(message: str, sentence: str) -> PostbaseError:
    why = f"commit {message!r}: {sentence[:300]}"
    return of_sentence(why, sentence) or Refused("commit", f"{message}: {sentence[:300]}")


def workflow_of(environment_id: str, patch_id: str) -> str:
    """The id of the workflow that applies a patch, as Railway's own CLI forms it."""
    return f"commitChanges/{environment_id}/{patch_id}"
