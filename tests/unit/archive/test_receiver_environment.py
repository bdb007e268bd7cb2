"""A receiver that is told by variables hears what one with mounted files does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from postbase_operator.api.database_status import ReceiverState
from postbase_operator.archive.receiver import (
    Failure,
    FailureReason,
    ReceiverConfig,
    ReceiverReport,
)
from postbase_operator.archive.receiver_environment import (
    CONFIG,
    PASSWORD,
    REPORT,
    SEALED,
    STORE,
    Told,
    config_in,
    one_line,
    report_in,
)
from postbase_operator.archive.record import UnreadableRecord
from postbase_operator.errors import InvalidSpec
from postbase_operator.jobs import wal_receiver
from postbase_operator.jobs.far_receiver import from_outside, gist_of
from postbase_operator.objectstore.settings import KEYS, StoreConfig
from unit.archive.test_receiver import AT, OWNER

ON = ReceiverConfig(enabled=True, owner=OWNER)
SAID = ReceiverReport(
    state=ReceiverState.ERROR,
    started_at=AT,
    writer="0.1.0",
    last_error=Failure(reason=FailureReason.STORE_DENIED, message="403: no", at=AT),
)
SECRET = {
    "store.json": '{"bucket": "b1"}',
    "ca.crt": "-----BEGIN\n-----END\n",
    "AWS_ACCESS_KEY_ID": "AK",
    "AWS_SECRET_ACCESS_KEY": "not/so=secret",
    "other": "none of ours",
}
TOLD = Told(ON, "shop-main-1.railway.internal", 5432, "pw", SECRET)


def test_what_is_written_is_what_is_read() -> None:
    variables = TOLD.variables()
    read = Told.of({"PATH": "/bin"} | variables)
    assert (read.config, read.host, read.port, read.password) == (ON, TOLD.host, 5432, "pw")
    assert read.store == {key: SECRET[key] for key in STORE if key in SECRET}
    assert all("\n" not in variables[name] for name in (CONFIG, STORE["store.json"]))
    assert config_in(variables) == ON


def test_each_key_of_the_mounted_secret_has_a_variable() -> None:
    assert set(STORE) == set(KEYS)


def test_the_idle_sidecar_knows_the_variable_by_which_it_is_none() -> None:
    assert wal_receiver.TOLD == CONFIG


def test_what_opens_something_is_sealed_and_in_no_repr() -> None:
    values = {value for name, value in TOLD.variables().items() if name in SEALED}
    assert values == {"pw", "not/so=secret"}
    assert not any(value in repr(TOLD) for value in values)


@pytest.mark.parametrize("missing", [CONFIG, PASSWORD, STORE["store.json"]])
def test_what_is_missing_is_named(missing: str) -> None:
    variables = TOLD.variables() | {missing: ""}
    with pytest.raises(UnreadableRecord, match=missing):
        Told.of(variables)
    assert config_in({}) is None


def test_a_report_is_one_line_and_other_lines_are_none() -> None:
    line = f"2026-11-28 20:00:00,000 {REPORT}{one_line(SAID)}"
    assert "\n" not in line
    assert report_in(line) == SAID
    assert report_in("Unavailable: the store does not answer") is None
    assert report_in(f"{REPORT}{{") is None
    assert ReceiverConfig.from_bytes(one_line(ON).encode()) == ON


def test_the_store_is_reached_as_from_outside_of_the_cluster() -> None:
    inside = StoreConfig(
        bucket="b1", endpoint="http://s3.team.svc", access_key_id="AK", secret_access_key="key"
    )
    assert from_outside(inside) == inside
    public = replace(inside, public_endpoint="https://s3.example.com")
    assert from_outside(public).endpoint == "https://s3.example.com"
    with pytest.raises(InvalidSpec, match="credentialsSecretRef"):
        from_outside(StoreConfig(bucket="b1"))


def test_what_is_worth_a_line() -> None:
    further = SAID.model_copy(update={"durable_lsn": "0/28", "bytes_received": 40, "errors": 7})
    assert gist_of(further) == gist_of(SAID)
    assert gist_of(SAID.model_copy(update={"last_error": None})) != gist_of(SAID)
    assert gist_of(SAID.model_copy(update={"state": ReceiverState.RUNNING})) != gist_of(SAID)
