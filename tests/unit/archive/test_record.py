"""Records: the agreed names, both ways, later releases, and damage told in words."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postbase_operator.api.policies import BackupMethod
from postbase_operator.archive.record import (
    BackupRecord,
    CatalogueEntry,
    Extension,
    Owner,
    Progress,
    Record,
    RunPart,
    StoredObject,
    Tool,
    UnreadableRecord,
    sum_of,
)
from unit.archive.test_keys import BASE, BKP, DUMP, PROJ, UID

AT = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)


def record(**changes: Any) -> BackupRecord:
    facts = {
        "id": BKP,
        "method": "Physical",
        "database_uid": UID,
        "project": PROJ,
        "namespace": "team",
        "name": "shop-main",
        "backup_name": "before-migration",
        "spec_hash": "0" * 64,
        "incarnation": BASE.archive.incarnation,
        "system_id": "7312345678901234567",
        "postgres_version": "15.18",
        "major": 15,
        "arch": "amd64",
        "libc": "glibc 2.36",
        "image_digest": "sha256:" + "1" * 64,
        "block_size": 8192,
        "wal_segment_size": 16777216,
        "extensions": ({"name": "plpgsql", "version": "1.0"},),
        "encoding": "UTF8",
        "started_at": AT,
        "completed_at": AT.replace(minute=3),
        "size_bytes": 1000,
        "source_bytes": 4000,
        "sha256": "2" * 64,
        "objects": ({"key": "pieces/000000.tar.zst", "size": 1000, "sha256": "3" * 64},),
        "timeline": 1,
        "start_lsn": "0/2000028",
        "stop_lsn": "0/2000100",
        "checksums_verified": True,
        "tool": {"name": "postbase-operator", "version": "0.1.0"},
    }
    return BackupRecord.model_validate(facts | changes)


OWNER = Owner(
    database_uid=UID,
    system_id="7312345678901234567",
    incarnation="7312345678901234567-1",
    cluster="prod",
    namespace="team",
    name="shop-main",
    created_at=AT,
)


AGREED = {
    "version",
    "id",
    "method",
    "databaseUid",
    "project",
    "namespace",
    "name",
    "incarnation",
    "systemId",
    "postgresVersion",
    "major",
    "arch",
    "libc",
    "imageDigest",
    "blockSize",
    "walSegmentSize",
    "extensions",
    "encoding",
    "startedAt",
    "completedAt",
    "sizeBytes",
    "sourceBytes",
    "sha256",
    "objects",
    "timeline",
    "startLsn",
    "stopLsn",
    "checksumsVerified",
    "tool",
    "backupName",
    "specHash",
}


def test_a_backups_record_has_the_agreed_names() -> None:
    wire = json.loads(record().to_bytes())
    assert set(wire) == AGREED | {"sum"}
    assert wire["version"] == 1
    assert wire["completedAt"] == "2026-11-23T03:03:00Z"
    assert wire["objects"] == [{"key": "pieces/000000.tar.zst", "size": 1000, "sha256": "3" * 64}]


def test_an_owner_has_the_agreed_names() -> None:
    assert set(json.loads(OWNER.to_bytes())) == {
        "version",
        "databaseUid",
        "systemId",
        "incarnation",
        "cluster",
        "namespace",
        "name",
        "createdAt",
    }
    assert str(OWNER.key) == f"v1/{UID}/7312345678901234567-1/owner.json"


digests = st.from_regex(r"[0-9a-f]{64}", fullmatch=True)
sizes = st.integers(0, 2**60)
moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone
objects = st.fixed_dictionaries(
    {"key": st.text(min_size=1), "size": sizes, "sha256": digests},
    optional={"raw_size": sizes, "codec": st.sampled_from(["zstd", "gzip"])},
).map(StoredObject.model_validate)
records: st.SearchStrategy[Record] = st.one_of(
    st.builds(
        lambda at, changes: record(started_at=at, completed_at=at, **changes),
        moments,
        st.fixed_dictionaries(
            {
                "method": st.sampled_from(list(BackupMethod)),
                "size_bytes": sizes,
                "sha256": digests,
                "objects": st.lists(objects).map(tuple),
                "extensions": st.lists(st.builds(Extension, name=st.text(), version=st.text())).map(
                    tuple
                ),
                "checksums_verified": st.none() | st.booleans(),
                "tool": st.builds(Tool, version=st.text()),
            }
        ),
    ),
    st.builds(lambda at: OWNER.model_copy(update={"created_at": at}), moments),
    st.builds(
        lambda at, cluster, name: CatalogueEntry(
            cluster=cluster,
            namespace="team",
            name=name,
            database_uid=UID,
            project=PROJ,
            created_at=at,
        ),
        moments,
        st.text(),
        st.text(),
    ),
    st.builds(
        lambda at, phase, done, total: Progress(
            phase=phase, bytes_done=done, bytes_total=total, at=at
        ),
        moments,
        st.sampled_from(list(RunPart)),
        sizes,
        st.none() | sizes,
    ),
)


@settings(deadline=None)
@given(records)
def test_what_is_written_is_read_back(made: Record) -> None:
    body = made.to_bytes()
    read = type(made).from_bytes(body)
    assert read == made
    assert read.to_bytes() == body


@settings(deadline=None)
@given(records, st.dictionaries(st.text(min_size=12), st.integers()))
def test_fields_of_a_later_release_are_ignored(made: Record, later: dict[str, int]) -> None:
    wire = later | {"addedLater": {"a": [1]}} | json.loads(made.to_bytes())
    if made.summed:
        wire["sum"] = sum_of(wire)
    assert type(made).from_bytes(json.dumps(wire).encode()) == made


def test_another_version_is_refused_with_the_release_that_reads_it() -> None:
    wire = json.loads(record().to_bytes()) | {
        "version": 2,
        "tool": {"name": "postbase-operator", "version": "3.1.0"},
    }
    with pytest.raises(UnreadableRecord) as refused:
        BackupRecord.from_bytes(json.dumps(wire).encode())
    assert str(refused.value) == (
        "backup.json: is of version 2, and this release reads version 1; it is read by "
        "postbase-operator 3.1.0, which wrote it, and by later releases"
    )


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "is no JSON"),
        (b"[]", "is no JSON object"),
        (b"{}", "does not say its version"),
        (b'{"version": true}', "does not say its version"),
        (b'{"version": "1"}', "does not say its version"),
        (b'{"version": 0}', "is of version 0"),
        (b'{"version": 9}', "the release of postbase-operator that wrote it, and by later ones"),
        (b'{"version": 1}', "databaseUid: Field required"),
        (b"\xff\xfe", "is no JSON"),
    ],
)
def test_damage_is_told_in_words(body: bytes, why: str) -> None:
    with pytest.raises(UnreadableRecord, match=f"owner.json: .*{why}"):
        Owner.from_bytes(body)


def test_a_physical_backup_says_where_it_begins_and_ends() -> None:
    wire = json.loads(record().to_bytes())
    del wire["stopLsn"]
    wire["sum"] = sum_of(wire)
    with pytest.raises(UnreadableRecord, match="timeline, startLsn and stopLsn"):
        BackupRecord.from_bytes(json.dumps(wire).encode())


def test_a_bit_that_flips_anywhere_in_a_backups_record_is_found() -> None:
    body = record().to_bytes()
    for at in range(len(body)):
        flipped = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        with pytest.raises(UnreadableRecord):
            BackupRecord.from_bytes(flipped)


def test_a_record_knows_where_it_lies() -> None:
    assert record().place == BASE
    assert record(method="Logical").place == DUMP


def test_a_second_try_finds_itself_the_owner() -> None:
    later = OWNER.model_copy(update={"created_at": AT.replace(year=2027)})
    assert OWNER.is_same(later)
    assert not OWNER.is_same(later.model_copy(update={"namespace": "other"}))
