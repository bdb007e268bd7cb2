"""The watch cache: newer wins, the dead stay dead, and lookups see one namespace."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest

from postbase_operator.api.ids import public_id
from postbase_operator.gateway.bodies import Paged
from postbase_operator.gateway.held import Held
from postbase_operator.gateway.index import Index
from postbase_operator.gateway.lists import page
from postbase_operator.gateway.problems import Problem
from postbase_operator.gateway.route import Answer
from postbase_operator.kube.kinds import ACCOUNT, DATABASE, PROJECT, Body, Kind


def uid(number: int) -> str:
    return str(UUID(int=number))


def project(number: int, version: int = 1, namespace: str = "a", **meta: Any) -> Body:
    return {
        "metadata": {
            "name": f"p-{number}",
            "namespace": namespace,
            "uid": uid(number),
            "resourceVersion": str(version),
            "creationTimestamp": f"2026-01-01T00:00:{number:02}Z",
            **meta,
        },
        "spec": {},
    }


def database(number: int, parent: str, namespace: str = "a") -> Body:
    body = project(number, namespace=namespace)
    return {**body, "spec": {"projectRef": {"name": parent}}}


@pytest.fixture
def index() -> Index:
    return Index()


def names(index: Index, kind: Kind = PROJECT, namespace: str = "a", parent: str = "") -> list[str]:
    return [held.name for held in index.under(kind, namespace, parent)]


def test_a_late_answer_hides_nothing_newer(index: Index) -> None:
    index.put(PROJECT, project(1, 5, annotations={"v": "new"}))
    assert index.put(PROJECT, project(1, 3, annotations={"v": "old"})).version == 5
    assert names(index) == ["p-1"]


def test_the_dead_stay_dead(index: Index) -> None:
    """The answer to our own write, come after the event of the end."""
    index.put(PROJECT, project(1, 1))
    index.drop(project(1, 4))
    index.put(PROJECT, project(1, 3))
    assert names(index) == []
    assert index.find(PROJECT, "a", "p-1") is None


def test_the_dead_stay_dead_whatever_was_written_to_them_at_last(index: Index) -> None:
    """Another replica's write, later than the version by which this one saw that it is gone."""
    index.forget(index.put(PROJECT, project(1, 1)))
    index.put(PROJECT, project(1, 7))
    assert names(index) == []


def test_an_object_made_anew_is_another(index: Index) -> None:
    index.put(PROJECT, project(1, 1))
    again = project(2, 9)
    again["metadata"]["name"] = "p-1"
    index.put(PROJECT, again)
    index.drop(project(1, 5))
    found = index.find(PROJECT, "a", "p-1")
    assert found is not None
    assert found.uid == uid(2)


def test_a_listing_takes_ghosts_away_but_not_what_is_younger(index: Index) -> None:
    index.put(PROJECT, project(1, 1))
    index.put(PROJECT, project(2, 20))
    index.replace(PROJECT, [project(3, 4)], listed_at=10)
    assert names(index) == ["p-3", "p-2"]


def test_newest_first_and_per_parent(index: Index) -> None:
    for number, parent in ((1, "x"), (2, "x"), (3, "y")):
        index.put(DATABASE, database(number, parent))
    assert names(index, DATABASE, parent="x") == ["p-2", "p-1"]
    assert names(index, DATABASE, parent="y") == ["p-3"]


def test_lookups_see_one_namespace_and_one_parent(index: Index) -> None:
    index.put(DATABASE, database(1, "x"))
    public = public_id("Database", uid(1))
    for key in (public, "p-1"):
        assert index.find(DATABASE, "a", key, "x") is not None
        assert index.find(DATABASE, "b", key, "x") is None
        assert index.find(DATABASE, "a", key, "y") is None
    assert index.find(PROJECT, "a", public) is None
    assert index.find(DATABASE, "a", "db_nonsense", "x") is None
    assert index.find(DATABASE, "a", public.replace("db_", "proj_"), "x") is None


def test_a_display_name_is_the_name(index: Index) -> None:
    shown = project(1, annotations={"postbase.sh/display-name": "shop"})
    index.put(PROJECT, shown)
    assert index.find(PROJECT, "a", "shop") is not None
    assert index.find(PROJECT, "a", "p-1") is None


def test_accounts_by_their_github_id(index: Index) -> None:
    body = {**project(1, namespace=""), "spec": {"githubId": 7}}
    held = index.put(ACCOUNT, body)
    assert index.account_of(7) is held
    index.drop({**body, "metadata": {**body["metadata"], "resourceVersion": "9"}})
    assert index.account_of(7) is None


async def test_waiting_for_what_the_watch_brings(index: Index) -> None:
    assert not await index.until(lambda: bool(names(index)), 0.01)
    index.put(PROJECT, project(1))
    assert await index.until(lambda: bool(names(index)), 0.01)


@pytest.mark.parametrize(
    "meta",
    [
        {"labels": {"kustomize.toolkit.fluxcd.io/name": "x"}},
        {"labels": {"argocd.argoproj.io/instance": "x"}},
        {"annotations": {"argocd.argoproj.io/tracking-id": "x"}},
        {"managedFields": [{"manager": "argocd-controller", "fieldsV1": {"f:spec": {}}}]},
    ],
)
def test_what_gitops_owns(meta: dict[str, Any]) -> None:
    assert Held(PROJECT, project(1, **meta)).is_managed
    assert b"managedFields" not in Held(PROJECT, project(1, **meta)).raw


def test_what_it_does_not() -> None:
    """Helm's own label is Argo CD's default, too: it says nothing by itself."""
    helm: dict[str, Any] = {"labels": {"app.kubernetes.io/instance": "x"}}
    status: dict[str, Any] = {
        "managedFields": [{"manager": "argocd-controller", "fieldsV1": {"f:status": {}}}]
    }
    assert not Held(PROJECT, project(1, **helm)).is_managed
    assert not Held(PROJECT, project(1, **status)).is_managed


def told(answer: Answer) -> Any:
    assert isinstance(answer.data, bytes)
    return json.loads(answer.data)


def test_pages_lose_and_repeat_nothing_while_others_come_and_go(index: Index) -> None:
    for number in range(1, 8):
        index.put(PROJECT, project(number))

    def shown(held: Held) -> bytes:
        return b'"%b"' % held.name.encode()

    first = told(page("p", index.under(PROJECT, "a"), Paged(limit=3), shown))
    assert first["p"] == ["p-7", "p-6", "p-5"]
    index.put(PROJECT, project(8))
    index.drop(project(5, 3))
    cursor = first["next_cursor"]
    asked = Paged(limit=10, cursor=cursor)
    rest = told(page("p", index.under(PROJECT, "a"), asked, shown))
    assert rest == {"p": ["p-4", "p-3", "p-2", "p-1"], "next_cursor": None}
    with pytest.raises(Problem):
        page("p", index.under(PROJECT, "a"), Paged(cursor="AAAA"), shown)
