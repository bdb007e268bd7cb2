"""A load's Job against files, and what must hold of it whichever server it goes into.

`make golden` writes no file of these; after a change on purpose run this module as a program.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from postbase_operator.api.database import Database
from postbase_operator.archive.load_run import LoadRun
from postbase_operator.archive.run import VARIABLE
from postbase_operator.desired.config import SCRIPTS
from postbase_operator.desired.load_job import job_name, load_job, restore_of
from postbase_operator.kube.apply import body_of
from postbase_operator.settings import Settings
from unit.conftest import database

GOLDEN = Path(__file__).parent / "golden"
SETTINGS = Settings(sidecar_image="registry/postbase:1")
RESTORE = "5c1e4f5c-0000-4000-8000-000000000001"
SECRET = "shop-main-superuser-4b1e4f5c"
CASES: dict[str, tuple[Database, str]] = {
    "load": (database(), ""),
    "load-railway": (database(provider="Railway"), SECRET),
}
RUN = LoadRun(
    object_key="v1/proj/shop-main/logical/bkp",
    host="shop-main.team.svc",
    port=5432,
    scratch="app_restoring_5c1e4f5c",
    whole="app_restored_5c1e4f5c",
    owner="app",
)


def made(case: str) -> dict[str, Any]:
    db, opened_by = CASES[case]
    name = job_name(db, RESTORE, 1)
    return body_of(load_job(db, name, RUN, "stock@sha256:1", SETTINGS, opened_by))


def rendered(case: str) -> str:
    return yaml.dump(made(case), sort_keys=True, width=100)


def pod(case: str) -> dict[str, Any]:
    found: dict[str, Any] = made(case)["spec"]["template"]["spec"]
    return found


def containers(case: str) -> dict[str, dict[str, Any]]:
    spec = pod(case)
    return {each["name"]: each for each in [*spec["containers"], *spec["initContainers"]]}


@pytest.mark.parametrize("case", CASES)
def test_manifest(case: str) -> None:
    assert rendered(case) == (GOLDEN / f"{case}.yaml").read_text()


@pytest.mark.parametrize("case", CASES)
def test_keys_reach_our_own_program_alone(case: str) -> None:
    """The image of the database is the user's choice; pg_restore runs what is in a dump."""
    secret = {each["name"] for each in pod(case)["volumes"] if "secret" in each}
    assert secret == ({"store"} if case == "load-railway" else {"ca", "store", "trust"})
    mounted = {each["name"] for each in containers(case)["load"]["volumeMounts"]} & secret
    assert mounted <= {"trust"}  # by whom the server's certificate is signed: no secret


@pytest.mark.parametrize("case", CASES)
def test_every_volume_is_there_that_something_mounts(case: str) -> None:
    there = {each["name"] for each in pod(case)["volumes"]}
    for each in containers(case).values():
        assert {mount["name"] for mount in each["volumeMounts"]} <= there, each["name"]


def test_a_superusers_password_reaches_our_program_alone_and_stands_in_no_manifest() -> None:
    told = {}
    for name, container in containers("load-railway").items():
        for each in container["env"]:
            if "valueFrom" in each:
                told[name, each["name"]] = each["valueFrom"]
    key = {"name": SECRET, "key": "password"}
    assert told == {("backup", "PGPASSWORD"): {"secretKeyRef": key}}
    assert "PGPASSWORD" not in rendered("load")


def test_pg_restore_comes_in_through_a_proxy_as_who_restores_bound_to_the_channel() -> None:
    told = {each["name"]: each["value"] for each in containers("load-railway")["load"]["env"]}
    assert (told["PGUSER"], told["PGSSLMODE"]) == ("postbase_restore", "require")
    assert told["PGCHANNELBINDING"] == "require"
    words = dict(each.split("=") for each in told["PGDATABASE"].split())
    assert words.pop("dbname") == RUN.scratch
    assert int(words["keepalives_idle"]) < 60  # the least that is known of what forgets a session


def test_its_script_is_the_one_that_the_kubelet_makes_of_the_command() -> None:
    """It takes $(NAME) for a variable, and $$ for a $."""
    shell, option, text = containers("load-railway")["load"]["command"]
    assert (shell, option) == ("/bin/sh", "-c")
    assert text.count("$") == 2 * text.count("$$")
    assert text.replace("$$", "$") == SCRIPTS["load.sh"]


@pytest.mark.parametrize("case", CASES)
def test_the_run_is_told_in_one_variable_and_whose_it_is_by_its_name(case: str) -> None:
    told = {each["name"]: each.get("value") for each in containers(case)["backup"]["env"]}
    assert LoadRun.from_bytes(str(told[VARIABLE]).encode()) == RUN
    assert restore_of(made(case)["metadata"]["name"]) == "5c1e4f5c"


if __name__ == "__main__":
    for name in CASES:
        (GOLDEN / f"{name}.yaml").write_text(rendered(name))
