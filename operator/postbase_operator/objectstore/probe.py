"""Whether a store can be used: tried with one small object, told with the field to change."""

from __future__ import annotations

import contextlib
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from postbase_operator.objectstore.store import (
    AlreadyExists,
    ObjectStore,
    Reason,
    StoreDenied,
    StoreUnavailable,
)

FOLDER = "v1/probe/"
LEFT_BEHIND = timedelta(hours=1)
"""Age at which an object or an upload of a probe is nobody's any more."""

REMEDIES = {
    Reason.NO_SUCH_BUCKET: "make the bucket, or correct spec.objectStore.bucket",
    Reason.DENIED: "check the keys in the Secret of spec.objectStore.credentialsSecretRef: they "
    "need the rights to get, put, list and delete objects of the bucket",
    Reason.WRONG_REGION: "set spec.objectStore.region to the bucket's region",
    Reason.CLOCK_SKEW: "the clocks of this cluster's nodes and of the store (see "
    "spec.objectStore.endpoint) differ by minutes: set the clock that is wrong",
    Reason.TLS_FAILED: "name the store's certificate authority in spec.objectStore.caSecretRef, "
    "or correct spec.objectStore.endpoint",
    Reason.UNREACHABLE: "check spec.objectStore.endpoint and whether the cluster's network "
    "policies let it be reached",
    Reason.NO_CONDITIONAL_PUT: "it is used all the same, by looking before each write; two writers "
    "at one moment are then not told apart. A store that knows If-None-Match does better: "
    "spec.objectStore.endpoint",
}


@dataclass(frozen=True, slots=True)
class Probe:
    """What was found; an empty reason is a store that serves.

    NoConditionalPut is a warning: the store serves once `conditionalPut: false` is in its
    store.json.
    """

    reason: Reason | None = None
    message: str = ""
    conditional_put: bool = True
    versioned: bool = False
    """Deleted objects go on costing space until a lifecycle rule of the bucket ends them."""

    @property
    def serves(self) -> bool:
        """Whether backups can go there."""
        return self.reason in (None, Reason.NO_CONDITIONAL_PUT)


def probe(store: ObjectStore) -> Probe:
    """Writes, reads, lists and deletes under `v1/probe/`; never raises for what the store says.

    `store` must be configured with `conditional_put` as if the store knew it.
    """
    key = f"{FOLDER}{uuid.uuid4().hex}"
    try:
        conditional = _writes_once(store, key)
        if not conditional:
            store.put(key, b"probe", if_absent=False)
        told = _reads_and_lists(store, key)
        store.delete_many([key, *_left_behind(store)])
        store.abort_orphans(FOLDER, LEFT_BEHIND)
        versioned = store.versioned()
    except (StoreDenied, StoreUnavailable) as error:
        with contextlib.suppress(StoreDenied, StoreUnavailable):
            store.delete(key)
        return Probe(error.reason, f"{error}: {REMEDIES[error.reason]}")
    if told:
        return Probe(Reason.UNREACHABLE, f"{told}: {REMEDIES[Reason.UNREACHABLE]}")
    if conditional:
        return Probe(versioned=versioned)
    why = f"the store does not keep If-None-Match: {REMEDIES[Reason.NO_CONDITIONAL_PUT]}"
    return Probe(Reason.NO_CONDITIONAL_PUT, why, conditional_put=False, versioned=versioned)


def _writes_once(store: ObjectStore, key: str) -> bool:
    """Whether a second write with other bytes was refused."""
    try:
        store.put(key, b"probe")
        store.put(key, b"other")
    except AlreadyExists:
        return True
    except StoreUnavailable as error:
        if error.reason is not Reason.NO_CONDITIONAL_PUT:
            raise
    return False


def _reads_and_lists(store: ObjectStore, key: str) -> str:
    """What is wrong with what it gives back; empty where nothing is."""
    if store.get(key) != b"probe":
        return f"GET {key}: other bytes came than were put"
    if key not in (info.key for info in store.list(FOLDER)):
        return f"LIST {FOLDER}: what was put is not listed"
    return ""


def _left_behind(store: ObjectStore) -> list[str]:
    before = datetime.now(UTC) - LEFT_BEHIND
    return [info.key for info in store.list(FOLDER) if info.modified < before]
