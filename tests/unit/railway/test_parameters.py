"""Which parameters a server on Railway gets."""

from __future__ import annotations

import pytest

from postbase_operator.railway.parameters import revision, wanted
from unit.conftest import database


@pytest.mark.trap("slot-fills-volume", "segments-leave-whole")
def test_the_spec_stands_over_what_is_derived_and_the_operators_own_over_both() -> None:
    made = wanted(database(parameters={"shared_buffers": "1GB", "work_mem": "8MB"}))
    assert made["shared_buffers"] == "1GB"
    assert made["work_mem"] == "8MB"
    assert made["password_encryption"] == "scram-sha-256"
    assert made.get("max_slot_wal_keep_size") not in (None, "-1", "0")
    assert "archive_timeout" not in made
    assert wanted(database())["shared_buffers"] == "128MB"


def test_what_the_image_decides_on_is_left_to_it() -> None:
    assert not {"listen_addresses", "port", "hba_file", "ssl_cert_file", "huge_pages"} & set(
        wanted(database())
    )


def test_the_revision_is_of_the_values() -> None:
    assert revision(database()) == revision(database("another"))
    assert revision(database()) != revision(database(parameters={"work_mem": "8MB"}))
    one, two = {"a.b": "1", "c.d": "2"}, {"c.d": "2", "a.b": "1"}
    assert revision(database(parameters=one)) == revision(database(parameters=two))


def test_commits_wait_for_the_receiver_where_they_are_told_to() -> None:
    db, waits = database(), {"synchronous_standby_names": "postbase_walrx"}
    assert wanted(db, synchronous=True) == wanted(db) | waits
    assert revision(db, synchronous=True) != revision(db)
