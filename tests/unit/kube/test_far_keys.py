"""The Secrets of a Database whose server is elsewhere."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import pytest

from postbase_operator.desired import meta
from postbase_operator.desired.names import ANNOTATION_OPENS
from postbase_operator.errors import Denied, InvalidSpec
from postbase_operator.kube.far_keys import FarKeys
from postbase_operator.kube.kinds import Body
from postbase_operator.kube.refusals import AlreadyExists
from postbase_operator.kube.secret_data import decode
from postbase_operator.kube.session import Session
from postbase_operator.postgres import credentials
from postbase_operator.postgres.credentials import Front
from unit.conftest import NOW, database

DB = database(provider="Railway")
NAMES = meta.names_of(DB)
FRONT = Front("x.proxy.rlwy.net", 31000)


class Api:
    """As much of the API server as Secrets take."""

    def __init__(self) -> None:
        self.held: dict[str, Body] = {}
        self.reads = 0
        self.denies = False

    async def find(self, _: object, __: str, name: str) -> Body | None:
        self.reads += 1
        return self.held.get(name)

    async def create(self, _: object, __: str, body: Body, ___: str) -> Body:
        name = body["metadata"]["name"]
        if name in self.held:
            raise AlreadyExists(name)
        self.held[name] = body
        return body

    async def replace(self, _: object, __: str, body: Body, ___: str) -> Body:
        if self.denies:
            raise Denied("Kubernetes", "cannot set blockOwnerDeletion")
        self.held[body["metadata"]["name"]] = body
        return body


def keys(api: Api) -> FarKeys:
    return FarKeys(cast(Session, cast(Any, api)), lambda: NOW)


SUPERUSER = NAMES.superuser(DB.metadata.uid)


@pytest.mark.trap("password-of-an-empty-volume")
async def test_the_superusers_password_is_made_once() -> None:
    api = Api()
    made = await keys(api).superuser(DB)
    assert await keys(api).superuser(DB) == made  # as another operator, too
    assert len(made) >= 32
    assert "ownerReferences" not in api.held[SUPERUSER]["metadata"]
    del api.held[SUPERUSER]
    assert await keys(api).superuser(DB, known=made) == made  # what the server has
    assert await keys(api).superuser(DB, known="another") == made
    api.held[SUPERUSER]["data"] = {}
    with pytest.raises(InvalidSpec, match="has no password"):
        await keys(api).superuser(DB)


async def test_the_credentials_have_the_address_of_now() -> None:
    api = Api()
    ring = keys(api)
    held = await ring.credentials(DB, FRONT)
    data = decode(api.held[NAMES.credentials])
    assert (data["host"], data["port"]) == (b"x.proxy.rlwy.net", b"31000")
    assert b"@x.proxy.rlwy.net:31000/app" in data["uri"]
    assert "ca.crt" not in data
    reads = api.reads
    assert await ring.credentials(DB, FRONT) == held
    assert api.reads == reads
    moved = Front("y.proxy.rlwy.net", 32000)
    assert (await ring.credentials(DB, moved)).login == held.login
    assert decode(api.held[NAMES.credentials])["port"] == b"32000"


async def test_a_rotation_is_one_write_of_the_same_secret() -> None:
    api = Api()
    ring = keys(api)
    before = await ring.credentials(DB, FRONT)
    begun = await ring.change(DB, FRONT, partial(credentials.begun, value="one"))
    assert begun.pending is not None
    assert begun.login == before.login
    assert (await keys(api).credentials(DB, FRONT)).pending == begun.pending


async def test_what_opens_nothing_any_more_goes_with_the_database() -> None:
    api = Api()
    ring = keys(api)
    await ring.credentials(DB, FRONT)
    await ring.superuser(DB)
    assert "ownerReferences" not in api.held[NAMES.credentials]["metadata"]
    await ring.let_go(DB)
    for name in (NAMES.credentials, SUPERUSER):
        assert api.held[name]["metadata"]["ownerReferences"]


@pytest.mark.trap("kept-password")
async def test_what_opens_a_kept_volume_stays_and_says_which() -> None:
    """Its service, which had the password as a variable, is gone: there is no other copy."""
    api = Api()
    ring = keys(api)
    made = await ring.superuser(DB)
    await ring.keep(DB, ["shop-b", "shop-a"])
    metadata = api.held[SUPERUSER]["metadata"]
    assert metadata["annotations"][ANNOTATION_OPENS] == "shop-a shop-b"
    assert "ownerReferences" not in metadata
    uid = "5c2f5a6d-0000-4000-8000-000000000002"
    later = DB.model_copy(update={"metadata": DB.metadata.model_copy(update={"uid": uid})})
    assert await ring.superuser(later) != made  # of the same name, with a volume of its own
    assert await ring.superuser(DB) == made
    await keys(Api()).keep(DB, ["shop-a"])  # it went with its namespace
    assert (await keys(api).superuser(DB)) == made


async def test_a_cluster_that_lets_nobody_own_them_holds_no_deletion_up() -> None:
    api = Api()
    ring = keys(api)
    await ring.superuser(DB)
    api.denies = True
    await ring.let_go(DB)
    assert "ownerReferences" not in api.held[SUPERUSER]["metadata"]


async def test_the_receivers_password_is_made_once_goes_with_the_database_and_is_never_weak() -> (
    None
):
    api, name = Api(), NAMES.replication(DB.metadata.uid)
    made = await keys(api).replication(DB)
    assert await keys(api).replication(DB) == made
    assert api.held[name]["metadata"]["ownerReferences"]
    for data in ({}, {"password": "c2hvcnQ="}):  # "short"
        api.held[name]["data"] = data
        after = await keys(api).replication(DB)
        assert credentials.is_plain(after.encode())
        assert after != made
        assert await keys(api).replication(DB) == after
    del api.held[name]
    assert credentials.is_plain((await keys(api).replication(DB)).encode())
