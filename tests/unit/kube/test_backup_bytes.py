"""Bytes go only where they are no backup, and a backup's go so that none lacks a piece."""

from __future__ import annotations

from typing import cast

import pytest

from postbase_operator.errors import Denied, InvalidSpec, NotReady, PostbaseError, Unavailable
from postbase_operator.kube import backup_bytes
from postbase_operator.kube.backup_trouble import hindrance
from postbase_operator.kube.refusals import QuotaExceeded, Refused
from postbase_operator.objectstore.store import ObjectStore, Reason, StoreDenied, StoreUnavailable
from unit.archive.test_keys import BASE, DUMP
from unit.kube.backup_world import Memory

DUMPED = (f"{DUMP}.dump.gz", f"{DUMP}.globals.sql", str(DUMP.progress))
COPIED = (f"{BASE}pieces/000000.tar.zst", f"{BASE}backup_manifest", str(BASE.progress))
OTHER = f"{DUMP.project_id}/shop-main/bkp_jmpe6xaaabaabaaaaaaaaaaabc.dump.gz"
BOTH = pytest.mark.parametrize(("place", "keys"), [(DUMP, DUMPED), (BASE, COPIED)])


def holding(*keys: str) -> tuple[Memory, ObjectStore]:
    memory = Memory(dict.fromkeys((*keys, OTHER), b""))
    return memory, cast(ObjectStore, memory)


@BOTH
def test_what_an_attempt_has_left_goes_and_nothing_else(
    place: backup_bytes.Place, keys: tuple[str, ...]
) -> None:
    memory, store = holding(*keys)
    backup_bytes.clear(store, place.prefix)
    assert set(memory.objects) == {OTHER}
    assert memory.aborted == [place.prefix]


@BOTH
def test_nothing_goes_where_there_is_a_record(
    place: backup_bytes.Place, keys: tuple[str, ...]
) -> None:
    memory, store = holding(*keys, str(place.record))
    backup_bytes.clear(store, place.prefix)
    assert memory.deleted == []
    assert memory.aborted == []


@BOTH
def test_a_backup_goes_record_first(place: backup_bytes.Place, keys: tuple[str, ...]) -> None:
    memory, store = holding(*keys, str(place.record))
    backup_bytes.delete(store, place.prefix)
    assert memory.deleted[0] == str(place.record)
    assert set(memory.objects) == {OTHER}
    assert memory.aborted == [place.prefix]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (QuotaExceeded("Kubernetes API", "exceeded quota: jobs"), "QuotaExceeded"),
        (Denied("Kubernetes API", "jobs is forbidden"), "Denied"),
        (Refused("POST jobs", "admission webhook denied it"), "Refused"),
        (InvalidSpec("spec.objectStore", "no Secret", "SecretNotFound"), "SecretNotFound"),
        (StoreUnavailable(Reason.NO_SUCH_BUCKET, "no bucket"), "NoSuchBucket"),
        (StoreDenied("AccessDenied"), "Denied"),
        (NotReady("pod main-1-0 has no address yet"), "DatabaseNotReady"),
        (Unavailable("PostgreSQL", "connection refused"), "DatabaseNotReady"),
    ],
)
def test_what_could_not_be_done_has_a_word(error: PostbaseError, reason: str) -> None:
    told = hindrance(error)
    assert (told.reason, told.message) == (reason, str(error))
