"""What unit tests start from: a Database as the API server would send it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings

from postbase_operator.api.database import Database
from postbase_operator.settings import Settings

hypothesis_settings.register_profile("untimed", deadline=None)
hypothesis_settings.load_profile("untimed")  # a machine that others keep busy is no failure

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
UID = "4b1e4f5c-0000-4000-8000-000000000001"


def database(name: str = "shop-main", **spec: Any) -> Database:
    wanted = {
        "projectRef": {"name": "shop"},
        "postgresVersion": "15",
        "storage": {"size": "1Gi"},
    } | spec
    if "image" in spec:
        del wanted["postgresVersion"]
    return Database.model_validate(
        {
            "apiVersion": "postbase.sh/v1alpha1",
            "kind": "Database",
            "metadata": {"name": name, "namespace": "team", "uid": UID, "generation": 3},
            "spec": wanted,
        }
    )


@pytest.fixture
def settings() -> Settings:
    return Settings(sidecar_image="registry/postbase:1", operator_namespace="postbase-system")


@pytest.fixture
def now() -> datetime:
    return NOW
