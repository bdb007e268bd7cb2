"""Every field of the schema either does something or is named as not implemented.

The walk takes each leaf of the CRD's spec, sets it to another value than its default, and compares
everything that is made of a Database: children, claim, plans, endpoint. A field that changes none
of it must be named by the condition Accepted; a field that is named and acts is a lie too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from postbase_operator.api.backup import Backup
from postbase_operator.api.crd import crd
from postbase_operator.api.database import Database
from postbase_operator.api.project import Project
from postbase_operator.desired import images, volume, workload
from postbase_operator.errors import InvalidSpec
from postbase_operator.kube.apply import body_of
from postbase_operator.planning.acceptance import not_implemented
from postbase_operator.planning.database import Context, plan_database
from postbase_operator.planning.database_backups import Backups
from postbase_operator.planning.observed import Observed, Process
from postbase_operator.settings import Settings
from unit.conftest import NOW, UID, database
from unit.planning.test_database import HEALTHY, SHOP

SETTINGS = Settings(sidecar_image="i", regions=("us-west1",))

# A valid value that is not the default, where the schema alone does not tell one.
SAMPLES: dict[str, Any] = {
    "spec.projectRef.name": "elsewhere",
    "spec.storage.size": "7Gi",
    "spec.resources.cpu": "3",
    "spec.resources.memory": "3Gi",
    "spec.parameters": {"work_mem": "9MB"},
    "spec.initdb.icuLocale": "de-DE",
    "spec.initdb.localeProvider": "libc",
    "spec.region": "mars1",
    "spec.maintenanceWindow": {"days": ["Mon"], "start": "02:30", "duration": "1h"},
    "spec.bootstrap": {"empty": {}},
    "spec.allowFrom": [{"cidr": "10.0.0.0/8"}],
    "spec.extensions": [{"name": "postgis"}],
    "spec.scheduling.tolerations": [{"key": "a", "operator": "Exists"}],
    "spec.scheduling.affinity": {"nodeAffinity": {}},
    "spec.scheduling.topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
    ],
    "spec.scheduling.nodeSelector": {"disk": "fast"},
    "spec.tls.secretRef": {"name": "own"},
    "spec.credentials.secretRef": {"name": "own"},
    "spec.credentials.rotateEvery": "720h",
    "spec.pitr.fallbackAfter": "5m",
    "spec.pitr.rpo": "Zero",
    "spec.backup.method": "Physical",
    "spec.backup.timeZone": "Europe/Paris",
    "spec.backup.schedule": "5 4 * * *",
    "spec.backup.spread": "5m",
    "spec.image": "postgis/postgis:15-3.4",
    "spec.postgresVersion": "16",
    "spec.deletionPolicy": "FinalBackup",
    "spec.defaults.backup.timeZone": "Europe/Paris",
    "spec.defaults.backup.schedule": "5 4 * * *",
    "spec.defaults.backup.spread": "5m",
    "spec.defaults.pitr.fallbackAfter": "5m",
    "spec.objectStore.bucket": "other-bucket",
    "spec.objectStore.endpoint": "https://s3.example.com",
    "spec.objectStore.publicEndpoint": "https://s3.example.com",
    "spec.objectStore.caSecretRef": {"name": "ca"},
    "spec.objectStore.credentialsSecretRef": {"name": "keys"},
}

# Their effect is in an adapter, beyond what is planned; the test that shows it stands beside.
ELSEWHERE = {
    "spec.bootstrap": "before there is a volume: tests/unit/planning/test_beginning_archive.py",
    "spec.archivingGrace": "of archiving that is down: tests/unit/planning/test_archiving.py",
    "spec.pitr.fallbackAfter": "with rpo Zero: tests/unit/planning/test_archiving.py",
    "spec.credentials.overlap": "kube.admin, tests/unit/postgres/test_credentials.py",
    "spec.credentials.rotateEvery": "with its age: tests/unit/planning/test_rotation.py",
    "spec.credentials.secretRef": "kube.own_secrets, tests/e2e/test_own_secrets.py",
    "spec.tls.secretRef": "kube.own_secrets, tests/e2e/test_own_secrets.py",
    "spec.onNodeLoss": "of a process that is overdue: tests/unit/planning/test_node_loss.py",
    "spec.retainVolumeFor": "kube.leftovers, tests/apiserver/test_leftovers.py",
    "spec.tls.overlap": "kube.secrets, tests/unit/postgres/test_authority.py",
    "spec.adoptVolume": "before there is a volume: tests/unit/planning/test_refusal.py",
    "spec.deletionPolicy": "tests/e2e/test_life.py, tests/apiserver/test_final_backup.py",
    "spec.deletionProtection": "the chart's admission policies, tests/apiserver/test_admission.py",
    "spec.extensions.version": "postgres.server.create_extension, tests/e2e/test_images.py",
}


def leaves(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field that a user can set, objects with fixed fields taken apart."""
    whole = path in SAMPLES or "properties" not in schema or not schema["properties"]
    if whole:
        yield path, schema
        return
    for name, inner in schema["properties"].items():
        yield from leaves(inner, f"{path}.{name}")


def spec_leaves(kind: type[Database] | type[Project]) -> list[tuple[str, dict[str, Any]]]:
    versions = crd(kind)["spec"]["versions"]
    root = versions[0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return list(leaves(root, "spec"))


def other_value(path: str, schema: dict[str, Any]) -> Any:
    """A value of the schema that is not its default."""
    if path in SAMPLES:
        return SAMPLES[path]
    default = schema.get("default")
    if "enum" in schema:
        return next(value for value in schema["enum"] if value != default)
    match schema.get("type"):
        case "boolean":
            return not default
        case "integer":
            return (default or schema.get("minimum", 1)) + 1
        case "string" if "h" in schema.get("pattern", "") and "0-9" in schema["pattern"]:
            return "17m"
        case "string":
            return "other"
    raise AssertionError(f"{path}: say in SAMPLES what another value is: {schema}")


def with_value(db: Database, path: str, value: Any) -> Database:
    body = deepcopy(db.to_wire())
    node = body
    *folders, last = path.split(".")
    for part in folders:
        node = node.setdefault(part, {})
    node[last] = value
    if path == "spec.image":
        del body["spec"]["postgresVersion"]
    if path == "spec.initdb.icuLocale":
        node["localeProvider"] = "icu"
    return Database.model_validate(body)


def expiring() -> Backup:
    """Of the schedule, a month old: by default it is over, but for being the last."""
    return Backup.model_validate(
        {
            "metadata": {"name": "old", "namespace": "team", "uid": UID},
            "spec": {"databaseRef": {"name": "shop-main"}},
        }
    )


def effects(db: Database) -> str:
    """Everything that is made of a Database, as text."""
    made: list[Any] = [body_of(volume.claim(db, 1, "current"))]
    try:
        image = images.image(db, SETTINGS)
    except InvalidSpec as error:
        image = str(error)
    made += [body_of(each) for each in workload.objects(db, "claim", "", image, SETTINGS)]
    context = Context(SHOP, SETTINGS, NOW, backups=Backups((expiring(),), has_store=True))
    missing = tuple(extension.name for extension in db.spec.extensions)
    server = replace(HEALTHY.server, missing_extensions=missing) if HEALTHY.server else None
    facts = replace(server.facts, pending_restart=("max_connections",)) if server else None
    pending = replace(server, facts=facts) if server and facts else None
    stopped = replace(HEALTHY, process=Process())
    for seen in (HEALTHY, *(replace(HEALTHY, server=each) for each in (server, pending)), stopped):
        plan = plan_database(db, seen, context)
        said = [c for c in plan.status.conditions if c.type != "Accepted"]
        made.append([repr(plan.steps), [c.model_dump(mode="json") for c in said]])
        made.append(plan.status.backup.model_dump(mode="json") if plan.status.backup else None)
        made.append(plan.status.pitr.model_dump(mode="json") if plan.status.pitr else None)
    return json.dumps(made, sort_keys=True, default=str)


@pytest.mark.parametrize(
    ("path", "schema"), spec_leaves(Database), ids=[p for p, _ in spec_leaves(Database)]
)
def test_each_field_of_a_database_acts_or_is_named(path: str, schema: dict[str, Any]) -> None:
    changed = with_value(database(), path, other_value(path, schema))
    assert changed.spec != database().spec, f"{path}: the sample is the default"
    acts = effects(changed) != effects(database()) or path in ELSEWHERE
    if path == "spec.projectRef.name":
        acts = True  # names the Project that the plan is given: refusal() in planning/database.py
    named = [entry for entry in not_implemented(changed) if path.startswith(entry)]
    assert acts != bool(named), f"acts: {acts}, named: {named}"


ACTING_IN_PROJECT = {
    "spec.displayName": "for people: shown, acted on by nobody",
    "spec.defaults.region": "test_a_projects_region_reaches_its_databases",
    "spec.defaults.backup": "below a Database's own, tests/unit/planning/test_database_backups.py",
    "spec.defaults.pitr": "below a Database's own, tests/unit/planning/test_archiving.py",
    "spec.objectStore": "kube.stores, tests/e2e/test_backups.py",
    "spec.deletionPolicy": "of one that is deleted: tests/unit/planning/test_project.py",
    "spec.quota.backupGiB": "tests/unit/planning/test_retention.py",
    "spec.quota.databases": "before there is a volume: tests/unit/planning/test_refusal.py",
}


@pytest.mark.parametrize(
    ("path", "schema"), spec_leaves(Project), ids=[p for p, _ in spec_leaves(Project)]
)
def test_each_field_of_a_project_acts_or_is_named(path: str, schema: dict[str, Any]) -> None:
    body: dict[str, Any] = {"metadata": {"name": "shop", "namespace": "team"}, "spec": {}}
    if path.startswith("spec.objectStore"):
        body["spec"]["objectStore"] = {"bucket": "some-bucket"}
    node = body
    *folders, last = path.split(".")
    for part in folders:
        node = node.setdefault(part, {})
    node[last] = "Delete" if path == "spec.deletionPolicy" else other_value(path, schema)
    if path.startswith("spec.objectStore.sse"):
        body["spec"]["objectStore"]["sse"]["mode"] = "KMS"
    named = not_implemented(Project.model_validate(body))
    assert bool(named) != path.startswith(tuple(ACTING_IN_PROJECT)), named


def test_a_projects_region_reaches_its_databases() -> None:
    project = SHOP.model_copy(
        update={
            "spec": SHOP.spec.model_copy(
                update={"defaults": SHOP.spec.defaults.model_copy(update={"region": "mars1"})}
            )
        }
    )
    context = Context(project=project, settings=SETTINGS, now=NOW)
    plan = plan_database(database(), Observed(), context)
    assert "UnknownRegion" in {c.reason for c in plan.status.conditions}
