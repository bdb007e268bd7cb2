"""A restore into a new Database, also one of the other provider."""

from __future__ import annotations

from typing import Any

from postbase_operator.api.database import Database
from postbase_operator.api.database_spec import DatabaseSpec, Provider
from postbase_operator.planning.restore_new import OF_A_PROVIDER, like
from postbase_operator.railway.support import REFUSED, check_support
from unit.conftest import database
from unit.planning.test_filling import restore

HERE: dict[str, Any] = {
    "image": "postgis/postgis:15-3.4",
    "region": "eu-west1",
    "expose": "NodePort",
    "allowFrom": [],
    "disruptions": "Block",
    "onNodeLoss": "Replace",
    "serviceAccountName": "sa",
    "scheduling": {"nodeSelector": {"disk": "fast"}},
    "storage": {"size": "2Gi", "storageClassName": "fast"},
    "parameters": {"work_mem": "8MB"},
    "pitr": {"enabled": True},
}


def made(db: Database, **target: Any) -> Database:
    wish = restore(source={"latest": {}}, target={"newDatabase": {"name": "copy"} | target})
    wanted = wish.spec.target.new_database
    assert wanted is not None
    return like(db, wish, wanted)


def running(db: Database) -> Database:
    return db.model_copy(update={"status": db.status.model_copy(update={"version": "15.18"})})


def test_with_the_same_provider_it_is_as_the_source() -> None:
    db = running(database(**HERE))
    for copy in (made(db), made(db, provider="Kubernetes")):
        ours = {"bootstrap", "deletion_protection"}
        for name in set(DatabaseSpec.model_fields) - ours:
            assert getattr(copy.spec, name) == getattr(db.spec, name), name
    assert made(db, region="us-west1").spec.region == "us-west1"


def test_with_another_it_is_told_nothing_that_only_the_former_has() -> None:
    db = running(database(**HERE))
    copy = made(db, provider="Railway", region="europe-west4-drams3a")
    assert copy.spec.provider is Provider.RAILWAY
    assert copy.spec.region == "europe-west4-drams3a"
    assert (copy.spec.postgres_version, copy.spec.image) == ("15", None)
    assert (copy.spec.storage.size, copy.spec.storage.storage_class_name) == ("2Gi", None)
    assert copy.spec.parameters == {"work_mem": "8MB"}
    assert copy.spec.pitr.enabled
    assert copy.spec.bootstrap is not None
    assert copy.spec.bootstrap.restore is not None
    assert copy.spec.bootstrap.restore.from_.database_uid == db.metadata.uid
    check_support(copy)  # it takes all of it


def test_each_field_that_railway_refuses_is_left_behind() -> None:
    left = {f"spec.{_camel(name)}" for name in OF_A_PROVIDER}
    left |= {"spec.storage.storageClassName", "spec.tls.secretRef", "spec.adoptVolume"}
    assert set(REFUSED) <= left


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(each.title() for each in rest)


def test_back_from_railway_it_runs_in_the_region_that_is_the_projects() -> None:
    spec = {"region": "us-west2", "postgresVersion": "17"}
    db = running(database(provider="Railway", **spec))
    copy = made(db, provider="Kubernetes")
    assert (copy.spec.provider, copy.spec.region) == (Provider.KUBERNETES, None)
    assert copy.spec.postgres_version == "17"
