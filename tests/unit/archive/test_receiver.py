"""What the receiver is told and tells: the agreed names, and what is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from postbase_operator.api.database_status import ReceiverState
from postbase_operator.api.policies import RecoveryPoint
from postbase_operator.archive.receiver import (
    ArchiveOwner,
    Failure,
    FailureReason,
    ReceiverConfig,
    ReceiverReport,
)
from postbase_operator.archive.record import UnreadableRecord
from unit.archive.test_keys import ARCHIVE, UID

AT = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
OWNER = ArchiveOwner(
    database_uid=UID,
    system_id="7312345678901234567",
    incarnation=ARCHIVE.incarnation,
    cluster="prod",
    namespace="team",
    name="shop-main",
)


def test_off_needs_nothing() -> None:
    assert ReceiverConfig.from_bytes(b'{"version": 1, "enabled": false}') == ReceiverConfig()


def test_on_needs_an_owner() -> None:
    with pytest.raises(UnreadableRecord, match="needs to know its owner"):
        ReceiverConfig.from_bytes(b'{"version": 1, "enabled": true}')


def test_the_configuration_comes_back() -> None:
    config = ReceiverConfig(
        enabled=True, rpo=RecoveryPoint.ZERO, fallback_after_seconds=30, owner=OWNER
    )
    assert ReceiverConfig.from_bytes(config.to_bytes()) == config
    wire = json.loads(config.to_bytes())
    assert wire["rpo"] == "Zero"
    assert wire["fallbackAfterSeconds"] == 30
    assert wire["owner"]["databaseUid"] == UID


def test_the_owner_of_an_archive_is_the_same_at_another_time() -> None:
    assert OWNER.archive == ARCHIVE
    assert OWNER.at(AT).is_same(OWNER.at(AT.replace(hour=4)))
    other = OWNER.model_copy(update={"cluster": "other"})
    assert not OWNER.at(AT).is_same(other.at(AT))


def test_the_report_comes_back_under_its_names() -> None:
    report = ReceiverReport(
        state=ReceiverState.RUNNING,
        started_at=AT,
        writer="0.1.0",
        timeline=1,
        durable_lsn="0/1000028",
        lag_seconds=0.25,
        last_error=Failure(reason=FailureReason.STORE_UNAVAILABLE, message="503", at=AT),
    )
    assert ReceiverReport.from_bytes(report.to_bytes()) == report
    wire = json.loads(report.to_bytes())
    assert wire["durableLsn"] == "0/1000028"
    assert wire["lagSeconds"] == 0.25
    assert wire["lastError"]["reason"] == "StoreUnavailable"
    assert "coveredUntil" not in wire, "what is not known is absent"
