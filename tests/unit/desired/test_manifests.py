"""Whole manifests against files: what is made of a Database changes on purpose or not at all.

The models drop some misspelt fields in silence (`exec` of a probe was one), so nothing less than
the whole serialized object will do. `make golden` writes the files anew; read the diff.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from postbase_operator.api.database import Database
from postbase_operator.desired import volume, workload
from postbase_operator.kube.apply import body_of
from postbase_operator.settings import Settings
from unit.conftest import database

GOLDEN = Path(__file__).parent / "golden"
SETTINGS = Settings(sidecar_image="registry/postbase:1", cpu_request_ratio=0.25)

CASES: dict[str, Database] = {
    "minimal": database(),
    "own-image": database(
        name="maps",
        image="postgis/postgis:16-3.4",
        podSecurity={"runAsUser": 70},
        storage={"size": "20Gi", "storageClassName": "fast"},
        resources={"cpu": "2", "memory": "4Gi"},
        parameters={"work_mem": "16MB", "search_path": "it's, \\x"},
        initdb={"locale": "de_DE.UTF-8", "localeProvider": "icu", "icuLocale": "de-DE"},
        disruptions="Block",
        expose="LoadBalancer",
        paused=True,
        serviceAccountName="maps",
        scheduling={
            "nodeSelector": {"disk": "fast"},
            "tolerations": [{"key": "db", "operator": "Exists"}],
            "priorityClassName": "high",
        },
    ),
}


def rendered(db: Database) -> str:
    claim = "claim-of-the-current-generation"
    image = db.spec.image or "stock:15"
    made = [volume.claim(db, 1, "current")]
    bodies: list[Any] = [body_of(each) for each in made]
    bodies += [body_of(each) for each in workload.objects(db, claim, "73", image, SETTINGS)]
    return yaml.dump_all(bodies, sort_keys=True, width=100)


@pytest.mark.parametrize("case", CASES)
def test_manifest(case: str) -> None:
    assert rendered(CASES[case]) == (GOLDEN / f"{case}.yaml").read_text()


def test_no_label_of_the_parent_reaches_a_child() -> None:
    """Argo's label tracking would take the children for its own and prune them."""
    labelled = CASES["minimal"].model_copy(
        update={
            "metadata": CASES["minimal"].metadata.model_copy(
                update={"labels": {"app.kubernetes.io/instance": "argo-app"}}
            )
        }
    )
    assert rendered(labelled) == rendered(CASES["minimal"])


@pytest.mark.parametrize("case", CASES)
def test_the_generation_tells_whether_what_is_made_is_the_same(case: str) -> None:
    """kube/workloads.py makes it once for a generation: of status and annotations it is nothing."""
    db = CASES[case]
    annotations = {"postbase.sh/request-restart": "now"}
    meta = db.metadata.model_copy(update={"annotations": annotations})
    status = db.status.model_copy(update={"phase": "Running", "system_id": "1", "version": "9"})
    assert rendered(db.model_copy(update={"metadata": meta, "status": status})) == rendered(db)


def write() -> None:
    for case, db in CASES.items():
        (GOLDEN / f"{case}.yaml").write_text(rendered(db))


if __name__ == "__main__":
    write()
