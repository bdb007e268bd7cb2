"""Which regions the gateway offers, and who runs what is made in them."""

from __future__ import annotations

import pytest

from component.gateway_server import gateway, project
from component.test_gateway_http import ask
from postbase_operator.api.database import Database
from postbase_operator.errors import InvalidSpec
from postbase_operator.gateway.settings import GatewaySettings
from postbase_operator.kube.kinds import PROJECT
from postbase_operator.planning.elsewhere import check_elsewhere
from postbase_operator.railway.support import check_support
from postbase_operator.settings import Settings

FAR = GatewaySettings(regions=("us-west1",), railway_regions=("us-west2", "us-east4-eqdc4a"))
DATABASES = "/projects/project-0/databases"


@pytest.mark.parametrize(
    ("region", "provider"), [("us-west2", "Railway"), ("us-west1", None), (None, None)]
)
async def test_who_runs_a_database_goes_by_its_region(
    region: str | None, provider: str | None
) -> None:
    async with gateway(FAR) as running:
        body = {"name": "main"} | ({"region": region} if region is not None else {})
        status, _, made = await ask(running, "POST", DATABASES, json=body)
    assert (status, made["data"]["region"]) == (201, region or "us-west1")
    (written,) = running.cluster.writes
    assert written["spec"].get("provider") == provider
    db = Database.model_validate(written)
    assert (db.spec.retain_volume_for is None) is (provider is not None)
    if provider is not None:  # all that the gateway writes is served there
        check_elsewhere(db, Settings(sidecar_image="i", railway_token="t"))
        check_support(db)


async def test_a_projects_own_region_counts_where_none_is_said() -> None:
    async with gateway(FAR) as running:
        theirs = project(0) | {"spec": {"defaults": {"region": "us-east4-eqdc4a"}}}
        theirs["metadata"]["resourceVersion"] = "2"
        running.index.put(PROJECT, theirs)
        assert (await ask(running, "POST", DATABASES, json={"name": "main"}))[0] == 201
    (written,) = running.cluster.writes
    assert (written["spec"]["region"], written["spec"]["provider"]) == (
        "us-east4-eqdc4a",
        "Railway",
    )


async def test_regions_of_both_are_offered_and_others_refused() -> None:
    async with gateway(FAR) as running:
        _, _, told = await ask(running, "GET", "/regions")
        status, _, refused = await ask(
            running, "POST", DATABASES, json={"name": "main", "region": "x"}
        )
    assert told["data"]["regions"] == [
        {"name": "us-west1", "default": True},
        {"name": "us-west2", "default": False},
        {"name": "us-east4-eqdc4a", "default": False},
    ]
    assert status == 400
    assert "us-west1, us-west2, us-east4-eqdc4a" in refused["error"]["message"]
    environment = {"POSTBASE_GATEWAY_REGIONS": "a,b", "POSTBASE_GATEWAY_RAILWAY_REGIONS": "c,b"}
    with pytest.raises(InvalidSpec, match="'b' is one of this cluster's"):
        GatewaySettings.from_env(environment)
