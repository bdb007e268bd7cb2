"""What happens in a watch gap is found by the sweep, and by nothing else.

kopf never reports a delete that it did not see: the cache holds a ghost, every reconcile finds the
child "there", and only a fresh listing tells. Here no event reaches the loop at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from apiserver.access import Api
from apiserver.loop import Loop, database, eventually, make, running, session, until
from postbase_operator.api.database import Database
from postbase_operator.desired import meta, workload
from postbase_operator.errors import Unavailable
from postbase_operator.handlers import watcher
from postbase_operator.kube.apply import body_of
from postbase_operator.kube.kinds import (
    DATABASE,
    PERSISTENT_VOLUME_CLAIM,
    PROJECT,
    Body,
    Kind,
    kind_of,
)
from postbase_operator.kube.session import Listing, Session
from postbase_operator.settings import Settings


class Flaky(Session):
    """A session whose listings fail as long as it is told so."""

    broken = False

    async def list(
        self, kind: Kind, namespace: str | None = None, labels: str = "", fields: str = ""
    ) -> Listing:
        if self.broken:
            raise Unavailable("Kubernetes API", "503")
        return await super().list(kind, namespace, labels, fields)


@pytest.fixture
async def api_session(api: Api) -> AsyncIterator[Session]:
    async with session(api, Flaky) as made:
        yield made


@pytest.fixture
async def loop(api_session: Session, namespace: str) -> AsyncIterator[Loop]:
    """With a Database whose children are there and known to be there."""
    await make(api_session, namespace, "main")
    async with running(api_session, namespace) as loop:
        for kind, name in children(namespace):
            await back(loop, kind, name)
        await loop.reconciled("main")
        yield loop


def children(namespace: str) -> list[tuple[Kind, str]]:
    """As `desired` has them: a kind that is added there must be swept as well."""
    meant = {"name": "main", "namespace": namespace, "uid": "any"}
    db = Database.model_validate({**database("main"), "metadata": meant})
    claim = meta.names_of(db).volume(1)
    made = workload.objects(db, claim, "", "any", Settings(sidecar_image="any"))
    return [(kind_of(body), body["metadata"]["name"]) for body in map(body_of, made)]


async def find(loop: Loop, kind: Kind, name: str) -> Body | None:
    return await loop.session.find(kind, loop.namespace, name)


async def take_away(api: Api, loop: Loop, kind: Kind, name: str) -> str:
    """Deletes it behind the loop's back and waits until it is gone; answers the UID it had."""
    live = await loop.session.get(kind, loop.namespace, name)
    words = ("delete", kind.plural, name, f"--namespace={loop.namespace}", "--cascade=background")
    await asyncio.to_thread(api.kubectl, *words)
    return str(live["metadata"]["uid"])


async def back(loop: Loop, kind: Kind, name: str) -> Body:
    return await eventually(lambda: find(loop, kind, name), f"{kind.kind} {name} is back")


@pytest.mark.parametrize(("kind", "name"), children("any"), ids=lambda v: getattr(v, "kind", v))
async def test_a_child_deleted_in_a_gap_is_back_after_the_sweep(
    api: Api, loop: Loop, kind: Kind, name: str
) -> None:
    uid = await take_away(api, loop, kind, name)
    await loop.reconciled("main")
    assert await find(loop, kind, name) is None, "no gap: the loop knew by itself"
    await loop.watcher.list_everything()
    assert (await back(loop, kind, name))["metadata"]["uid"] != uid


async def test_a_child_edited_in_a_gap_is_mended_after_the_sweep(loop: Loop) -> None:
    """An event that was lost takes its edit along; the object itself is still to be seen."""
    for kind, name in children(loop.namespace):
        patch = {"metadata": {"labels": {"app.kubernetes.io/part-of": "another"}}}
        await loop.session.merge(kind, loop.namespace, name, patch, "kubectl")
    await loop.reconciled("main")
    await loop.watcher.list_everything()
    for kind, name in children(loop.namespace):

        async def mended(kind: Kind = kind, name: str = name) -> bool:
            # By the look that the sweep has called for: one of before it may end just now.
            live = await loop.session.get(kind, loop.namespace, name)
            return bool(live["metadata"]["labels"]["app.kubernetes.io/part-of"] == "postbase")

        await eventually(mended, f"{kind.kind} {name} is mended")


async def test_a_lost_volume_is_told_and_no_other_is_made(api: Api, loop: Loop) -> None:
    """The one child whose return would be a loss: an empty database in the place of a full one."""
    live = await loop.session.get(DATABASE, loop.namespace, "main")
    claims = await loop.session.list(PERSISTENT_VOLUME_CLAIM, loop.namespace)
    status = {**live["status"], "systemId": "7300000000000000000"}
    await loop.session.apply(
        DATABASE, {**identity(live), "status": status}, "test", subresource="status"
    )
    for claim in claims.items:
        name = claim["metadata"]["name"]
        patch = {"metadata": {"finalizers": None}}  # no controller takes it off here
        await loop.session.merge(PERSISTENT_VOLUME_CLAIM, loop.namespace, name, patch, "test")
        await take_away(api, loop, PERSISTENT_VOLUME_CLAIM, name)
    await loop.watcher.list_everything()

    async def told() -> bool:
        live = await loop.session.get(DATABASE, loop.namespace, "main")
        return "VolumeLost" in {c["reason"] for c in live["status"]["conditions"]}

    await eventually(told, "VolumeLost")
    assert (await loop.session.list(PERSISTENT_VOLUME_CLAIM, loop.namespace)).items == []


def identity(live: Body) -> Body:
    meta = {key: live["metadata"][key] for key in ("name", "namespace", "uid")}
    return {"apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": meta}


async def test_a_database_deleted_in_a_gap_leaves_the_cache_and_its_projects_count(
    api: Api, loop: Loop
) -> None:
    patch = {"metadata": {"finalizers": None}}
    await loop.session.merge(DATABASE, loop.namespace, "main", patch, "test")
    await take_away(api, loop, DATABASE, "main")
    await loop.watcher.list_everything()
    assert list(loop.cache.all(DATABASE)) == []

    async def none_is_counted() -> bool:
        project = await loop.session.get(PROJECT, loop.namespace, "shop")
        return bool(project.get("status", {}).get("databases") == 0)

    await eventually(none_is_counted, "the Project counts none")


@pytest.mark.parametrize(
    "pauses", [{"SWEEP_SECONDS": 0.2, "SOON": ()}, {"SOON": (0.2,) * 1000}], ids=["later", "soon"]
)
async def test_the_sweep_goes_on_by_itself_and_survives_failures(
    api: Api,
    loop: Loop,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    pauses: dict[str, Any],
) -> None:
    assert isinstance(loop.session, Flaky)
    for name, seconds in pauses.items():
        monkeypatch.setattr(watcher, name, seconds)
    loop.session.broken = True
    sweeping = asyncio.create_task(loop.watcher.sweep())
    await until(lambda: "the sweep was cut short" in caplog.text, "a listing has failed")
    kind, name = children(loop.namespace)[0]
    uid = await take_away(api, loop, kind, name)
    loop.session.broken = False
    assert (await back(loop, kind, name))["metadata"]["uid"] != uid
    sweeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sweeping
