"""A backup's Job against files, and what must hold of it whoever asks.

`make golden` writes no file of these; after a change on purpose run this module as a program.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from postbase_operator.api.backup import Backup
from postbase_operator.api.database import Database
from postbase_operator.archive.run import VARIABLE, BackupRun, ServerFacts
from postbase_operator.desired.backup_job import backup_job, job_name
from postbase_operator.desired.config import SCRIPTS
from postbase_operator.kube.apply import body_of
from postbase_operator.planning.backup_done import wish
from postbase_operator.settings import Settings
from unit.archive.test_keys import PROJ
from unit.conftest import UID, database
from unit.planning.test_backup import backup

GOLDEN = Path(__file__).parent / "golden"
SETTINGS = Settings(sidecar_image="registry/postbase:1")
CASES: dict[str, tuple[Backup, Database]] = {
    "backup-logical": (backup(), database()),
    "backup-physical": (
        backup(method="Physical"),
        database(
            podSecurity={"runAsUser": 70},
            serviceAccountName="maps",
            scheduling={
                "nodeSelector": {"disk": "fast"},
                "tolerations": [{"key": "db", "operator": "Exists"}],
            },
        ),
    ),
    "backup-railway": (backup(), database(provider="Railway")),
    "backup-railway-physical": (backup(method="Physical"), database(provider="Railway")),
}
BY_PASSWORD = {
    "backup-railway": "shop-main-superuser-4b1e4f5c",
    "backup-railway-physical": "shop-main-replication-4b1e4f5c",
}
"""Where the server trusts no certificate of ours: whose password it takes."""


def run_of(asked: Backup) -> BackupRun:
    server = ServerFacts(
        system_id="7312345678901234567",
        postgres_version="15.18",
        major=15,
        arch="x86_64",
        libc="gnu",
        block_size=8192,
        wal_segment_size=2**24,
        encoding="UTF8",
        source_bytes=30_000_000,
    )
    return BackupRun(
        id=asked.id,
        method=asked.spec.method,
        backup_name=asked.metadata.name,
        spec_hash=wish(asked),
        project=PROJ,
        namespace="team",
        name="shop-main",
        database_uid=UID,
        incarnation="7312345678901234567-1",
        image_digest="stock@sha256:1",
        host="shop-main.team.svc",
        port=5432,
        dbname="app",
        server=server,
    )


def made(case: str, attempt: int = 1) -> dict[str, Any]:
    asked, db = CASES[case]
    image, opened_by = "stock@sha256:1", BY_PASSWORD.get(case, "")
    return body_of(backup_job(asked, db, run_of(asked), image, attempt, SETTINGS, opened_by))


def rendered(case: str) -> str:
    return yaml.dump(made(case), sort_keys=True, width=100)


def pod(case: str) -> dict[str, Any]:
    found: dict[str, Any] = made(case)["spec"]["template"]["spec"]
    return found


@pytest.mark.parametrize("case", CASES)
def test_manifest(case: str) -> None:
    assert rendered(case) == (GOLDEN / f"{case}.yaml").read_text()


@pytest.mark.parametrize("case", CASES)
def test_keys_reach_our_own_program_alone(case: str) -> None:
    """The image of the database is the user's choice; it must sign itself nothing."""
    spec = pod(case)
    secret = {each["name"] for each in spec["volumes"] if "secret" in each}
    assert ({"store"} if case in BY_PASSWORD else {"ca", "store", "trust"}) == secret
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        mounted = {each["name"] for each in container["volumeMounts"]} & secret
        ours = container["image"] == SETTINGS.sidecar_image
        assert mounted == (secret if ours else set()), container["name"]


@pytest.mark.parametrize("case", CASES)
def test_it_is_restricted_has_no_token_and_tells_no_secret(case: str) -> None:
    spec = pod(case)
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        told = str([each for each in container["env"] if "valueFrom" not in each])
        told += str(container.get("args")) + str(container.get("command"))
        assert not {"PASSWORD", "SECRET", "ACCESS_KEY"} & set(told.upper().split("'"))


def test_a_superusers_password_reaches_pg_dump_alone_and_stands_in_no_manifest() -> None:
    spec = pod("backup-railway")
    told = {}
    for container in [*spec["containers"], *spec["initContainers"]]:
        for each in container["env"]:
            if "valueFrom" in each:
                told[container["name"], each["name"]] = each["valueFrom"]
    key = {"name": "shop-main-superuser-4b1e4f5c", "key": "password"}
    assert told == {("dump", "PGPASSWORD"): {"secretKeyRef": key}}


def test_the_receivers_password_reaches_our_program_alone() -> None:
    (program,) = pod("backup-railway-physical")["containers"]
    told = [each["valueFrom"] for each in program["env"] if "valueFrom" in each]
    key = {"name": "shop-main-replication-4b1e4f5c", "key": "password"}
    assert told == [{"secretKeyRef": key}]
    assert "initContainers" not in pod("backup-railway-physical")


def test_its_script_is_the_one_that_the_kubelet_makes_of_the_command() -> None:
    """It takes $(NAME) for a variable, and $$ for a $."""
    (dump,) = [each for each in pod("backup-railway")["initContainers"] if each["name"] == "dump"]
    shell, option, text = dump["command"]
    assert (shell, option) == ("/bin/sh", "-c")
    assert text.count("$") == 2 * text.count("$$")
    assert text.replace("$$", "$") == SCRIPTS["dump.sh"]


@pytest.mark.parametrize("case", CASES)
def test_it_is_the_backup_s_own_and_never_tried_again_by_itself(case: str) -> None:
    job, (asked, _) = made(case), CASES[case]
    (owner,) = job["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("Backup", asked.metadata.uid)
    assert job["spec"]["backoffLimit"] == 0
    assert pod(case)["restartPolicy"] == "Never"


def test_the_run_is_told_in_one_variable() -> None:
    (program,) = pod("backup-physical")["containers"]
    told = {each["name"]: each["value"] for each in program["env"]}
    assert BackupRun.from_bytes(told[VARIABLE].encode()) == run_of(CASES["backup-physical"][0])


def test_names_are_labels_and_no_two_backups_share_one() -> None:
    """A Backup's name has up to 63 characters, and so has a label: job-name is one."""

    def of(name: str, uid: str) -> Backup:
        body = backup().to_wire()
        body["metadata"] |= {"name": name, "uid": uid}
        return Backup.model_validate(body)

    one = of("a" * 63, "4b1e4f5c-0000-4000-8000-00000000000a")
    two = of("a" * 62 + "b", "4b1e4f5d-0000-4000-8000-00000000000a")
    assert job_name(one, 1) != job_name(two, 1)
    assert job_name(one, 1) != job_name(one, 2)
    assert max(len(job_name(each, 3)) for each in (one, two)) <= 63


if __name__ == "__main__":
    for name in CASES:
        (GOLDEN / f"{name}.yaml").write_text(rendered(name))
