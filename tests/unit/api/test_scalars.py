"""Quantities, durations, times and ids: what is read is what was meant."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbase_operator.api.base import wire_name
from postbase_operator.api.ids import PREFIXES, public_id, uid_of
from postbase_operator.api.pitr_restore import Source
from postbase_operator.api.quantity import format_bytes, parse_quantity, whole_bytes
from postbase_operator.api.scalars import format_duration, parse_duration

SUFFIXES = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1),
    "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12),
    "P": Decimal(10**15), "E": Decimal(10**18), "Ki": Decimal(2**10), "Mi": Decimal(2**20),
    "Gi": Decimal(2**30), "Ti": Decimal(2**40), "Pi": Decimal(2**50), "Ei": Decimal(2**60),
}  # fmt: skip


class TestQuantity:
    @given(st.integers(-(10**12), 10**12), st.sampled_from(sorted(SUFFIXES)))
    def test_whole_numbers(self, number: int, suffix: str) -> None:
        assert parse_quantity(f"{number}{suffix}") == number * SUFFIXES[suffix]

    @given(st.decimals(0, 10**9, places=3), st.sampled_from(sorted(SUFFIXES)))
    def test_fractions(self, number: Decimal, suffix: str) -> None:
        assert parse_quantity(f"{number}{suffix}") == number * SUFFIXES[suffix]

    @given(st.integers(0, 10**6), st.integers(-18, 18), st.sampled_from("eE"))
    def test_exponents(self, number: int, exponent: int, letter: str) -> None:
        assert parse_quantity(f"{number}{letter}{exponent}") == Decimal(number).scaleb(exponent)

    @pytest.mark.parametrize(
        "text",
        ["", "Gi", ".", "1 Gi", "1GiB", "1K", "1e", "1e3Gi", "1ki", "0x10", "\uff11Gi", "1\n"],
    )
    def test_refuses(self, text: str) -> None:
        with pytest.raises(ValueError, match="is not a quantity"):
            parse_quantity(text)

    @given(st.text("0123456789.eE+-KMGi", max_size=8))
    def test_never_anything_but_a_number_or_a_refusal(self, text: str) -> None:
        with contextlib.suppress(ValueError):
            assert parse_quantity(text).is_finite()

    @pytest.mark.parametrize(
        ("text", "size"), [("1Gi", 2**30), ("1.5Ki", 1536), ("1m", 1), ("1e9", 10**9), ("0", 0)]
    )
    def test_bytes(self, text: str, size: int) -> None:
        assert whole_bytes(text) == size

    @given(st.integers(0, 2**62))
    def test_bytes_there_and_back(self, size: int) -> None:
        assert whole_bytes(format_bytes(size)) == size

    def test_formats_as_people_write(self) -> None:
        assert [format_bytes(n) for n in (0, 2**30, 1536 * 2**20)] == ["0", "1Gi", "1536Mi"]


class TestDuration:
    @given(st.integers(0, 10**9))
    def test_there_and_back(self, seconds: int) -> None:
        span = timedelta(seconds=min(seconds, 999_999 * 3600))
        assert parse_duration(format_duration(span)) == span

    @pytest.mark.parametrize(
        ("text", "span"),
        [
            ("72h", timedelta(days=3)),
            ("1h30m", timedelta(minutes=90)),
            ("90m", timedelta(minutes=90)),
            ("0s", timedelta()),
        ],
    )
    def test_reads(self, text: str, span: timedelta) -> None:
        assert parse_duration(text) == span

    @pytest.mark.parametrize("text", ["", "5", "3d", "1m1h", "-1h", "1.5h", "1h "])
    def test_refuses(self, text: str) -> None:
        with pytest.raises(ValueError, match="is not a duration"):
            parse_duration(text)


class TestTargetTime:
    def read(self, text: str) -> datetime:
        moment = Source.model_validate({"targetTime": text}).target_time
        assert moment is not None
        return moment

    def test_keeps_the_moment_across_zones(self) -> None:
        assert self.read("2026-11-23T16:30:00+02:00") == datetime(2026, 11, 23, 14, 30, tzinfo=UTC)

    def test_reads_fractions_to_the_microsecond(self) -> None:
        assert self.read("2026-11-23T14:30:00.123456789Z").microsecond == 123456
        assert self.read("2026-11-23T14:30:00.5z").microsecond == 500000

    @given(
        st.datetimes(
            datetime(1970, 1, 2),  # noqa: DTZ001 - hypothesis adds the zone
            datetime(2100, 1, 1),  # noqa: DTZ001
            timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45))]),
        )
    )
    def test_there_and_back(self, moment: datetime) -> None:
        text = Source(target_time=moment).to_wire()["targetTime"]
        assert text.endswith("Z")
        assert self.read(text) == moment


class TestIds:
    @given(st.uuids(), st.sampled_from(sorted(PREFIXES)))
    def test_there_and_back(self, uid: UUID, kind: str) -> None:
        public = public_id(kind, str(uid))
        assert uid_of(public) == str(uid)
        assert public.startswith(f"{PREFIXES[kind]}_")
        assert public.partition("_")[2].isalnum()
        assert public == public.lower()

    def test_stays_as_it_is_for_ever(self) -> None:
        """Ids are in object keys and in users' hands."""
        uid = "6f1c1b0e-3a52-4c1e-9d0e-0a1b2c3d4e5f"
        assert public_id("Database", uid) == "db_n4obwdr2kjgb5hiobinsypkol4"

    @pytest.mark.parametrize("text", ["", "db_", "db_xxx", "cow_n4obwdr2kjgb5hioyinsypkol4", "6f"])
    def test_refuses(self, text: str) -> None:
        with pytest.raises(ValueError, match="is not an id"):
            uid_of(text)


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("project_ref", "projectRef"),
        ("last_wal_file", "lastWALFile"),
        ("wal_files_applied", "walFilesApplied"),
        ("durable_lsn", "durableLSN"),
        ("database_uid", "databaseUID"),
        ("backup_gib", "backupGiB"),
        ("system_id", "systemId"),
        ("from_", "from"),
    ],
)
def test_wire_names(name: str, wire: str) -> None:
    assert wire_name(name) == wire
