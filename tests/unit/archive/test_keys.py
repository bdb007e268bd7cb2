"""Keys: the agreed texts, both ways, and no name that leads out of its folder."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postbase_operator.api.ids import public_id
from postbase_operator.archive import keys
from postbase_operator.archive.keys import Archive, LogicalStem, PhysicalFolder, parse, parse_backup
from postbase_operator.archive.template import Key

UID = "4b1e4f5c-0000-4000-8000-000000000001"
ARCHIVE = Archive(UID, "7312345678901234567-2")
BKP = public_id("Backup", UID)
PROJ = public_id("Project", UID)
ROOT = f"v1/{UID}/7312345678901234567-2"
BASE = PhysicalFolder(ARCHIVE, BKP)
DUMP = LogicalStem(PROJ, "shop-main", BKP)
SEG = "0000000A00000001000000FE"

AGREED = [
    (keys.OwnerKey(ARCHIVE), f"{ROOT}/owner.json"),
    (
        keys.ChunkKey(ARCHIVE, 10, 0x16B374D848, 0x16B4000000),
        f"{ROOT}/wal/0000000A/tail/00000016B374D848-00000016B4000000",
    ),
    (keys.SegmentKey(ARCHIVE, SEG), f"{ROOT}/wal/0000000A/{SEG}"),
    (keys.HistoryKey(ARCHIVE, 11), f"{ROOT}/wal/0000000B.history"),
    (
        keys.HeartbeatKey(ARCHIVE, 11, 0x16B374D848),
        f"{ROOT}/wal/0000000B/heartbeat/00000016B374D848",
    ),
    (keys.PieceKey(BASE, 7), f"{ROOT}/base/{BKP}/pieces/000007.tar.zst"),
    (keys.BackupSegmentKey(BASE, SEG), f"{ROOT}/base/{BKP}/wal/{SEG}.zst"),
    (keys.ManifestKey(BASE), f"{ROOT}/base/{BKP}/backup_manifest"),
    (BASE.record, f"{ROOT}/base/{BKP}/backup.json"),
    (BASE.progress, f"{ROOT}/base/{BKP}/progress.json"),
    (keys.RecoveryProgressKey(ARCHIVE, UID), f"{ROOT}/restores/{UID}/progress.json"),
    (keys.RecoveryEndKey(ARCHIVE, UID), f"{ROOT}/restores/{UID}/end.json"),
    (
        keys.CatalogueKey("prod", "team", "shop-main", UID),
        f"v1/catalogue/prod/team/shop-main/{UID}.json",
    ),
    (
        keys.GivenUpKey("prod", "team", "shop-main", UID),
        f"v1/catalogue/prod/team/shop-main/{UID}.given-up",
    ),
    (keys.DumpKey(DUMP), f"{PROJ}/shop-main/{BKP}.dump.gz"),
    (keys.GlobalsKey(DUMP), f"{PROJ}/shop-main/{BKP}.globals.sql"),
    (DUMP.record, f"{PROJ}/shop-main/{BKP}.json"),
    (DUMP.progress, f"{PROJ}/shop-main/{BKP}.progress.json"),
]


@pytest.mark.parametrize(("key", "text"), AGREED, ids=lambda each: type(each).__name__)
def test_the_layout_is_as_agreed(key: Key, text: str) -> None:
    assert str(key) == text
    assert parse(text) == key


def test_no_kind_of_key_is_forgotten() -> None:
    assert {type(key) for key, _ in AGREED} == set(keys.OBJECTS)


def test_folders_are_no_objects() -> None:
    assert str(keys.DatabaseFolder(UID)) == f"v1/{UID}/"
    assert parse(f"v1/{UID}/") is None
    assert parse(str(BASE)) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "readme.txt",
        f"/{ROOT}/owner.json",
        f"{ROOT}/owner.json\n",
        f"{ROOT}/../owner.json",
        f"{ROOT}/wal/0000000a.history",
        f"{ROOT}/wal/0000000B/{SEG}",  # another timeline's folder
        f"{ROOT}/base/{BKP}/pieces/7.tar.zst",
        f"{ROOT}/base/{BKP}/other.json",
        f"v1/catalogue/prod/team/%73hop/{UID}.json",  # escaped without need
        f"v1/catalogue/prod/team/%FF/{UID}.json",
        f"v1/catalogue/prod/team/a%2/{UID}.json",
        f"v1/catalogue/prod//shop/{UID}.json",
    ],
)
def test_what_is_not_ours_is_none(text: str) -> None:
    assert parse(text) is None


@settings(deadline=None)
@given(cluster=st.text(min_size=1), name=st.text(min_size=1))
def test_no_name_leaves_its_folder(cluster: str, name: str) -> None:
    key = keys.CatalogueKey(cluster, "team", name, UID)
    assert parse(str(key)) == key
    assert str(key).count("/") == 5
    assert re.fullmatch(r"[A-Za-z0-9_.%/-]+", str(key))
    assert not {".", "..", ""} & set(str(key).split("/"))


@settings(deadline=None)
@given(
    number=st.integers(0, 999_999),
    timeline=st.integers(0, 2**32 - 1),
    start=st.integers(0, 2**64 - 1),
    end=st.integers(0, 2**64 - 1),
)
def test_numbers_come_back(number: int, timeline: int, start: int, end: int) -> None:
    for key in (keys.PieceKey(BASE, number), keys.ChunkKey(ARCHIVE, timeline, start, end)):
        assert parse(str(key)) == key


@settings(deadline=None)
@given(st.lists(st.integers(0, 2**64 - 1), min_size=2, max_size=8, unique=True))
def test_chunks_list_in_the_order_of_the_log(starts: list[int]) -> None:
    made = [str(keys.ChunkKey(ARCHIVE, 1, at, at)) for at in sorted(starts)]
    assert made == sorted(made)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Archive("UID", "1-1"),
        lambda: Archive(UID, "1/2"),
        lambda: LogicalStem("shop", "main", BKP),
        lambda: LogicalStem(PROJ, "", BKP),
        lambda: keys.PieceKey(BASE, 1_000_000),
        lambda: keys.PieceKey(BASE, -1),
        lambda: keys.SegmentKey(ARCHIVE, SEG.lower()),
        lambda: keys.ChunkKey(ARCHIVE, 2**32, 0, 1),
    ],
)
def test_what_cannot_be_written_is_refused(make: type) -> None:
    with pytest.raises(ValueError, match="cannot be a key"):
        make()


def test_a_status_leads_back_to_its_backup() -> None:
    assert parse_backup(BASE.object_key) == BASE
    assert parse_backup(DUMP.object_key) == DUMP
    assert parse_backup(str(DUMP.record)) is None


def test_all_objects_of_a_backup_and_no_others_lie_under_its_prefix() -> None:
    other = LogicalStem(PROJ, "shop-main", public_id("Backup", UID.replace("4b", "5c")))
    for backup in (BASE, DUMP, other):
        for key, text in AGREED:
            values = [getattr(key, field.name) for field in fields(key)]
            assert text.startswith(backup.prefix) == (backup in values)
