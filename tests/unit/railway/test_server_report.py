"""What a Caretaker tells, as the planner knows a server; what of it counts for another wish."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from postbase_operator.api.database import Database
from postbase_operator.archive.receiver import ReceiverConfig
from postbase_operator.archive.receiver_environment import PASSWORD, STORE
from postbase_operator.archive.server_wish import (
    WISH,
    WISH_REVISION,
    ServerReport,
    ServerWish,
    ToldFacts,
    ToldReceiver,
    Trouble,
    mark,
)
from postbase_operator.archive.wish import NOTHING, ArchivingWish
from postbase_operator.planning import plan as steps
from postbase_operator.planning.rotation import rotation, served
from postbase_operator.postgres.credentials import Credentials, Login, begun, finished
from postbase_operator.railway import parameters
from postbase_operator.railway.graphql.values import NULL
from postbase_operator.railway.receiver_service import (
    alone,
    is_as_wanted,
    patch,
    wanted,
    wanted_with,
)
from postbase_operator.railway.sql.server_report import is_settled, receiver_seen, server, wish
from unit.archive.test_receiver import OWNER
from unit.conftest import database
from unit.railway.test_receiver_service import TOLD, service

NOW = datetime(2026, 11, 29, 12, 30, tzinfo=UTC)
ROOT = "the superuser's own"
HELD = Credentials(Login("app_a", "first"))
ON = ArchivingWish(ReceiverConfig(enabled=True, owner=OWNER))


def private(**spec: Any) -> Database:
    return database(provider="Railway", expose="Private", **spec)


def wished(
    db: Database | None = None, held: Credentials = HELD, archiving: ArchivingWish = NOTHING
) -> ServerWish:
    return wish(db or private(), ROOT, "the receiver's own", held, archiving, NOW)


def said(wanted: ServerWish, **more: Any) -> ServerReport:
    """By a Caretaker that has made it so."""
    facts = ToldFacts(
        system_id="7",
        version="17.10",
        started_at=NOW,
        in_recovery=False,
        loaded_revision=wanted.settings_revision,
        mounted_revision=wanted.settings_revision,
        access_right=True,
        logins=tuple(wanted.mark(each) for each in wanted.logins),
        extensions=tuple(each.name for each in wanted.extensions),
        used_bytes=7,
    )
    report = ServerReport(wish=wanted.revision, at=NOW, facts=facts.model_copy(update=more))
    assert is_settled(said_again(report), wanted) or more or wanted.archives
    return report


def said_again(report: ServerReport) -> ServerReport:
    """Through the log."""
    return ServerReport.from_bytes(report.to_bytes())


def test_the_wish_is_what_the_planner_would_do_step_by_step() -> None:
    db = private(extensions=[{"name": "pg_trgm"}], parameters={"work_mem": "8MB"})
    made = wished(db)
    assert [each.name for each in made.extensions] == ["pg_trgm"]
    assert made.settings == parameters.wanted(db)
    assert made.settings_revision == parameters.revision(db)
    assert (made.closed, made.archives, made.makes_database) == (("app_b",), False, True)
    zero = wished(db, archiving=replace(ON, synchronous=True))
    assert zero.settings_revision == parameters.revision(db, synchronous=True)
    assert zero.archives
    assert not wished(private(bootstrap={"latest": {}})).makes_database
    assert wished(private(bootstrap={"empty": {}})).makes_database


def test_the_same_wish_is_the_same_whoever_logs_in() -> None:
    """A rotation that ends changes who is to connect, and nothing for the server."""
    both = begun(HELD, "now")
    assert wished(held=both).revision != wished().revision
    assert both.pending is not None
    turned = replace(both, login=both.pending, pending=both.login)
    assert wished(held=turned).revision == wished(held=both).revision


def test_a_report_is_a_server_as_any_other() -> None:
    db = private(extensions=[{"name": "pg_trgm"}])
    found = server(db, said_again(said(wished(db))), ROOT, HELD)
    assert found is not None
    assert (found.facts.system_id, found.facts.started_at, found.used_bytes) == ("7", NOW, 7)
    assert found.access_right
    assert found.missing_extensions == ()
    more = private(extensions=[{"name": "pg_trgm"}, {"name": "vector"}])
    found = server(more, said(wished(db)), ROOT, HELD)
    assert found is not None
    assert found.missing_extensions == ("vector",)


@pytest.mark.parametrize(
    "more", [{"access_right": False}, {"logins": ()}, {"logins": (mark("x", "app_a", "first"),)}]
)
def test_a_login_that_is_not_known_to_work_is_no_server(more: dict[str, Any]) -> None:
    assert server(private(), said(wished(), **more), ROOT, HELD) is None
    assert server(private(), ServerReport(wish="w", at=NOW, error="no"), ROOT, HELD) is None


def test_a_rotation_waits_for_the_server_and_nobody_is_told_too_soon() -> None:
    body = private().to_wire()
    body["metadata"]["annotations"] = {"postbase.sh/request-rotate": "now"}
    db = Database.model_validate(body)
    before = server(db, said(wished()), ROOT, HELD)
    assert before is not None
    assert rotation(db, before, NOW) == [steps.BeginRotation("now")]
    both = begun(HELD, "now")
    waits = server(db, said(wished()), ROOT, both)  # it has not heard of it
    assert waits is not None
    assert (waits.access_right, waits.login_pending, waits.login_waits) == (True, True, True)
    assert rotation(db, waits, NOW) == []
    assert served(db, waits) is None
    works = server(db, said(wished(held=both)), ROOT, both)
    assert works is not None
    assert rotation(db, works, NOW) == [steps.FinishRotation()]
    after = finished(both, NOW, timedelta(hours=1))
    done = server(db, said(wished(held=both)), ROOT, after)
    assert done is not None
    assert rotation(db, done, NOW) == []
    assert served(db, done) == "now"


def test_what_is_told_of_the_receiver_is_what_the_server_said() -> None:
    told = ToldReceiver(
        at=NOW, server="16/B374D848", timeline=3, connected_at=NOW, state="streaming",
        received="16/B374D848", durable="16/B374D800", lag_seconds=0.25, kept="16/B3000000",
    )  # fmt: skip
    report = said_again(said(wished()).model_copy(update={"receiver": told}))
    seen = receiver_seen(report)
    assert seen is not None
    assert (str(seen.server), str(seen.durable), str(seen.kept)) == (
        "16/B374D848",
        "16/B374D800",
        "16/B3000000",
    )
    assert (seen.at, seen.connected_at, seen.timeline, seen.lag_seconds) == (NOW, NOW, 3, 0.25)
    assert receiver_seen(said(wished())) is None


def test_it_is_settled_once_nothing_is_awaited() -> None:
    report, made = said(wished()), wished()
    assert is_settled(report, made)
    assert not is_settled(report, None)
    assert not is_settled(report, wished(private(parameters={"work_mem": "8MB"})))
    assert not is_settled(said(made, loaded_revision="former"), made)
    assert not is_settled(said(made, access_right=False), made)
    refused = Trouble(field="spec.extensions", why="no", reason="ExtensionUnavailable")
    assert is_settled(
        said(made, loaded_revision="former").model_copy(update={"trouble": refused}), made
    )
    on = wished(archiving=ON)
    assert not is_settled(said(on), on)  # the receiver is to come
    reads = ToldReceiver(at=NOW, server="0/1", timeline=1, connected_at=NOW)
    assert is_settled(said(on).model_copy(update={"receiver": reads}), on)


def test_what_it_is_not_to_know_any_more_is_taken_out() -> None:
    db = private()
    care = wished().variables()
    beside = wanted_with(db, "c", "i", "us-west2", TOLD.variables() | care)
    committed = patch(service(), beside)["services"]["s1"]["variables"]
    assert committed[WISH]["isSealed"]
    assert "isSealed" not in committed[WISH_REVISION]
    shown = {n: each["value"] for n, each in committed.items() if "isSealed" not in each}
    seen = service(source={"image": "i"}, region="us-west2")
    assert is_as_wanted(seen, shown, beside)

    caretaker = wanted_with(db, "c", "i", "us-west2", alone("shop-main") | care)
    after = patch(service(), caretaker, shown)["services"]["s1"]["variables"]
    gone = {name for name, each in after.items() if each is NULL}
    assert gone == {PASSWORD, *STORE.values()}  # sealed or not

    receiver = wanted(db, "c", "i", "us-west2", TOLD)
    after = patch(service(), receiver, shown)["services"]["s1"]["variables"]
    assert after[WISH] is after[WISH_REVISION] is NULL
    assert NULL not in patch(service(), receiver, {})["services"]["s1"]["variables"].values()
