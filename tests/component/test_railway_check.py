"""`make railway-check` against the double: of a Railway as it should be, and of another."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator

import pytest

from component.railway_caller import Caller
from component.railway_operator import new_place
from postbase_operator.railway.graphql.reads import Place
from railway.double import RailwayDouble
from railway.execution import Answer
from railway.faults import Fault, PatchRejected, Refuses
from railway.state import Deployment
from railway_check.__main__ import main, refusal
from railway_check.telling import Telling

REMEDY = "set RAILWAY_TOKEN"
SECRET = "k" * 40


@pytest.fixture
def railway() -> Iterator[RailwayDouble]:
    with RailwayDouble() as double:
        yield double


def given(railway: RailwayDouble, place: Place, kind: str, **more: str) -> dict[str, str]:
    tokens = {
        "Project": lambda: railway.project_token(place.environment_id),
        "Workspace": railway.token,
    }
    told = {"RAILWAY_TOKEN": tokens[kind](), "RAILWAY_TOKEN_KIND": kind}
    if kind != "Project":
        told |= {
            "RAILWAY_PROJECT_ID": place.project_id,
            "RAILWAY_ENVIRONMENT_ID": place.environment_id,
        }
    return told | more


def changes(railway: RailwayDouble) -> list[str]:
    words = ("Create", "Delete", "Update", "Upsert", "Commit", "Deploy")
    return [name for name in railway.counted() if any(word in name for word in words)]


def wait_for(look: Callable[[], Deployment | None]) -> Deployment:
    ends = time.monotonic() + 30
    while (found := look()) is None:
        assert time.monotonic() < ends, "nothing runs"
        time.sleep(0.05)
    return found


def nothing_is_left(railway: RailwayDouble) -> bool:
    """Once the container has had the time of its drain."""
    ends = time.monotonic() + 30
    while railway.left_behind() and time.monotonic() < ends:
        time.sleep(0.2)
    return railway.left_behind() == []


@pytest.mark.parametrize("kind", ["Project", "Workspace"])
def test_read_only_it_changes_nothing(
    railway: RailwayDouble, place: Place, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    railway.calls.clear()
    told = given(railway, place, kind)
    assert main(told, railway.url) == 0
    out = capsys.readouterr().out
    assert "NOT HELD" not in out
    assert "held      CommitPatch fits the schema" in out
    assert "X-RateLimit-Limit" in out
    assert out.rstrip().endswith("all held")
    assert told["RAILWAY_TOKEN"] not in out
    assert railway.calls
    assert not changes(railway)


def test_the_logs_of_what_runs_are_read_and_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    with RailwayDouble(processes=False) as quiet:
        place = new_place(quiet)
        call = Caller(quiet, quiet.token())
        here = {"projectId": place.project_id, "environmentId": place.environment_id}
        image = {"image": f"{quiet.settings.operator_image}:1"}
        made = call("CreateService", input=here | {"name": "web", "source": image})
        latest = wait_for(lambda: quiet.world.running(made["id"], place.environment_id))
        latest.logs.append((quiet.clock.now(), "a stranger's secret"))
        quiet.calls.clear()
        assert main(given(quiet, place, "Project"), quiet.url) == 0
        out = capsys.readouterr().out
        assert "held      the log of web is read: 1 of its last lines" in out
        assert "stranger" not in out
        assert not changes(quiet)
        quiet.next("deploymentLogs", Refuses("Not Authorized"))
        assert main(given(quiet, place, "Project"), quiet.url) == 1
    assert "NOT HELD  the log of web is read: NotAuthorized" in capsys.readouterr().out


def test_with_write_a_service_is_made_and_taken_away(
    railway: RailwayDouble,
    place: Place,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    numbers = itertools.count()
    drawn = "railway_check.writing.secrets.token_urlsafe"
    monkeypatch.setattr(drawn, lambda _: f"{SECRET}{next(numbers)}")
    assert main(given(railway, place, "Workspace", WRITE="1"), railway.url) == 0
    out = capsys.readouterr().out
    for line in (
        "nothing was deployed yet",
        "its proxy is ACTIVE",
        "PostgreSQL answers through it",
        "pg_hba has the receiver's line",
        "what is not sealed is shown beside it",
        "a sealed variable is shown to nobody",
        "a sealed variable reaches the process",
        "the log of the deployment tells of its start",
        "its volume has outlived it",
        "the deleted volume counts as gone",
    ):
        assert f"held      {line}" in out
    assert "seen      a sealed variable is read as None" in out
    assert SECRET not in out
    assert nothing_is_left(railway)


class ShowsAll(Fault):
    """A Railway on which sealing hides nothing."""

    def before(self, double: RailwayDouble, field: str) -> Answer | None:  # noqa: ARG002 - a Fault's
        for each in double.world.state.instances.values():
            each.sealed.clear()
        return None


def test_what_the_receiver_relies_on_is_told_where_it_does_not_hold(
    railway: RailwayDouble, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    railway.next("variables", ShowsAll())
    railway.next("deploymentLogs", Refuses("Not Authorized"))
    assert main(given(railway, place, "Workspace", WRITE="1"), railway.url) == 1
    out = capsys.readouterr().out
    broken = [line for line in out.splitlines() if line.startswith("NOT HELD")]
    assert broken[0] == "NOT HELD  a sealed variable is shown to nobody"
    assert broken[1].startswith("NOT HELD  the log of a deployment is read: NotAuthorized")
    assert len(broken) == 2
    assert nothing_is_left(railway)


def test_a_service_is_taken_away_when_a_check_fails(
    railway: RailwayDouble, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    railway.next("environmentPatchCommit", PatchRejected("Something went wrong"))
    assert main(given(railway, place, "Workspace", WRITE="1"), railway.url) == 1
    assert "Something went wrong" in capsys.readouterr().out
    assert nothing_is_left(railway)


def test_without_a_token_it_says_which(capsys: pytest.CaptureFixture[str]) -> None:
    assert main({}) == 2
    assert REMEDY in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"RAILWAY_TOKEN_KIND": "Team"}, "Account, Workspace, Project"),
        ({"RAILWAY_TOKEN_KIND": "Account", "WRITE": "yes"}, "WRITE"),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused(wrong: dict[str, str], word: str) -> None:
    assert refusal({"RAILWAY_TOKEN": "t"}) is None
    assert word in str(refusal({"RAILWAY_TOKEN": "t"} | wrong))


class OtherSchema(Fault):
    """One in which a field that is sent has another name."""

    def after(self, double: RailwayDouble, answer: Answer) -> Answer:  # noqa: ARG002 - a Fault's
        answer.body = answer.body.replace("skipDeploys", "dodgesDeploys")
        return answer


def test_another_schema_is_told_by_the_document_that_it_breaks(
    railway: RailwayDouble, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    railway.next("IntrospectionQuery", OtherSchema())
    railway.retire_region("us-west2", "us-east4-eqdc4a")
    assert main(given(railway, place, "Project"), railway.url) == 1
    out = capsys.readouterr().out
    assert "region us-west2 (California, USA), given up for us-east4-eqdc4a" in out
    broken = [line for line in out.splitlines() if line.startswith("NOT HELD")]
    assert broken == ["NOT HELD  VariableCollectionUpsertInput has what is sent: no skipDeploys"]


@pytest.mark.trap("all-environments")
def test_a_project_with_more_than_one_environment_is_told(
    railway: RailwayDouble, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    call = Caller(railway, railway.token())
    call("CreateEnvironment", input={"projectId": place.project_id, "name": "staging"})
    assert main(given(railway, place, "Workspace"), railway.url) == 1
    assert "NOT HELD  the project has one environment: 2" in capsys.readouterr().out


def test_a_token_that_is_revoked_fails_each_check_and_ends(
    railway: RailwayDouble, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    told = given(railway, place, "Workspace")
    railway.revoke(told["RAILWAY_TOKEN"])
    assert main(told, railway.url) == 1
    out = capsys.readouterr().out
    assert "NOT HELD  the token is known to Railway: NotAuthorized" in out


def test_a_line_of_each_kind() -> None:
    lines: list[str] = []
    telling = Telling(lines.append)
    telling.whether(True, "a")
    telling.whether(False, "b", "c")
    telling.seen("d")
    assert lines == ["held      a", "NOT HELD  b: c", "seen      d"]
    assert telling.failed == ["b: c"]
