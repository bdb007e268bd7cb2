"""What a Database with provider Railway is refused, with field and remedy."""

from __future__ import annotations

from typing import Any

import pytest

from postbase_operator.api.conditions import find_condition
from postbase_operator.planning.database_backups import Backups
from postbase_operator.planning.observed import Observed
from postbase_operator.settings import Settings
from unit.conftest import database
from unit.planning.test_database import plan, verdict

TOKEN = Settings(sidecar_image="i", railway_token="t")
STORE = Backups(has_store=True)


def refused(settings: Settings = TOKEN, **spec: Any) -> tuple[str, str]:
    made = plan(Observed(), database(provider="Railway", **spec), settings=settings, backups=STORE)
    ready = find_condition(made.status.conditions, "Ready")
    assert ready is not None
    return verdict(made)[1], ready.message


def test_without_a_token_the_setting_is_named() -> None:
    reason, message = refused(Settings(sidecar_image="i"))
    assert reason == "NotImplemented"
    assert "railway.tokenSecretRef" in message
    assert "POSTBASE_RAILWAY_TOKEN" in message


@pytest.mark.parametrize(
    ("field", "spec"),
    [
        ("spec.retainVolumeFor", {"retainVolumeFor": "72h"}),
    ],
)
def test_what_is_not_done_there_yet(field: str, spec: dict[str, Any]) -> None:
    reason, message = refused(**spec)
    assert reason == "NotImplemented"
    assert message.startswith(f"{field}: with provider Railway")
    assert "provider Kubernetes" in message


def test_all_else_begins_whatever_this_clusters_regions_and_images_are() -> None:
    settings = Settings(
        sidecar_image="i", railway_token="t", regions=("us-west1",), postgres_images={}
    )
    spec = {
        "backup": {"retentionDays": 7, "method": "Physical"},
        "pitr": {"enabled": True},
        "deletionPolicy": "FinalBackup",
        "region": "us-west2",
        "bootstrap": {"empty": {}},
    }
    assert refused(settings, **spec)[0] == "Starting"


def test_the_token_is_in_no_repr() -> None:
    assert "secret" not in repr(Settings(railway_token="secret"))
