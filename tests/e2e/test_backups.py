"""Backups as users see them: by hand and by schedule, killed in the middle, deleted, brought back.

What is told is held against the bucket, which is read with the store's own keys and plain S3.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import chain

import pytest

from e2e.backups_killed import Killed, kill_a_copy, kill_a_dump
from e2e.bucket import Bucket, Stored
from e2e.cluster import Cluster
from e2e.conftest import NewDb
from e2e.database import Db
from e2e.operators import on_our_node
from e2e.runs import Run, backup, dump_held, processes, wait_dump_held

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(not on_our_node(), reason="processes are killed on the node itself"),
]

METHODS = ("Logical", "Physical")
NOT_LATE, ONE_MINUTE = timedelta(0), timedelta(minutes=1)
BACK_OFF = 60
"""Seconds between a first attempt that failed and the second."""


@pytest.fixture(scope="module")
def bucket(cluster: Cluster) -> Bucket:
    return Bucket(cluster)


@pytest.fixture(scope="module")
def databases(new_db: NewDb, bucket: Bucket) -> Iterator[dict[str, Db]]:
    """Ready, with rows; what they have stored goes in the end."""
    made = {name: new_db(name) for name in ("main", "nightly", "dumped", "copied")}
    for db in made.values():
        db.apply(backup={"suspend": True})  # no dump by schedule is taken for one by hand
    for db in made.values():
        db.wait_ready(seconds=180)
        db.fill("a row of mine")
    stored = prefixes(made)
    yield made
    for prefix in stored:
        bucket.clear(prefix)


def prefixes(databases: dict[str, Db]) -> list[str]:
    """Of all that these databases store. The bucket has others' too, which come and go."""
    some = databases["main"]
    projects = some.cluster.listed("projects", some.namespace)
    stored = [f"v1/{db.live()['metadata']['uid']}/" for db in databases.values()]
    return stored + [f"{project['status']['id']}/" for project in projects]


@pytest.fixture(scope="module")
def db(databases: dict[str, Db]) -> Db:
    return databases["main"]


@pytest.fixture(scope="module")
def scheduled(databases: dict[str, Db]) -> Db:
    """From the first minute on it makes backups by itself."""
    db = databases["nightly"]
    db.patch(backup={"schedule": "* * * * *", "spread": "0s", "retentionDays": 2, "suspend": False})
    return db


@pytest.fixture(scope="module")
def killed(databases: dict[str, Db]) -> dict[str, Killed]:
    """Two that were killed in their middle: pod and process, by method."""
    with ThreadPoolExecutor(2) as both:
        dump = both.submit(kill_a_dump, databases["dumped"])
        copy = both.submit(kill_a_copy, databases["copied"])
        return {"Logical": dump.result(), "Physical": copy.result()}


# -- killed ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_one_that_is_killed_is_told_and_not_given_up(
    killed: dict[str, Killed], scheduled: Db, method: str
) -> None:
    it = killed[method]
    assert "Attempt 1 of 3 failed" in it.said["message"]
    assert it.status["phase"] == "Running"
    assert "completedAt" not in it.status


# -- by hand -----------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=METHODS)
def taken(db: Db, request: pytest.FixtureRequest) -> Run:
    run = backup(db, f"by-hand-{request.param.lower()}", request.param).apply()
    run.wait()
    return run


def test_by_hand_it_is_complete_verified_and_recorded(
    taken: Run, db: Db, scheduled: Db, bucket: Bucket
) -> None:
    status = taken.status()
    stored = Stored(bucket, status["objectKey"])
    record, sizes = stored.record(), stored.sizes()
    assert status["attempts"] == 1
    assert status["databaseUID"] == record["databaseUid"] == db.live()["metadata"]["uid"]
    assert record["backupName"] == taken.name
    assert record["method"] == taken.spec["method"]
    began, verified = (moment(status[each]) for each in ("startedAt", "verifiedAt"))
    assert began < verified <= datetime.now(UTC)
    assert status["sizeBytes"] == sum(sizes.values()) - sizes[stored.record_key]
    told = {each["key"]: each["sha256"] for each in record["objects"]}
    assert told == stored.hashes()  # each object is there, is what it is said to be, and no other
    assert "expiresAt" not in status  # one by hand stays until somebody deletes it
    if taken.spec["method"] == "Logical":
        dump = gzip.decompress(bucket.get(status["objectKey"]))
        assert dump.startswith(b"PGDMP")
        assert b"a row of mine" in dump
        assert status["sha256"] == told[".dump.gz"]
    else:
        assert status["checksumsVerified"] is True
        assert status["startLSN"] < status["stopLSN"]


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


# -- what the Job is told ----------------------------------------------------------------------


def test_no_secret_is_in_the_job_nor_in_its_processes(db: Db, bucket: Bucket) -> None:
    """Looked at while it runs: words and environment of every process, Job and pod as JSON."""
    run = backup(db, "looked-at", "Logical")
    with dump_held(db):
        run.apply()
        wait_dump_held(db)
        pod = run.pod()
        assert pod is not None
        seen = list(processes(pod["metadata"]["uid"]))
        shown = json.dumps([*run.jobs(), pod, run.live()])
    run.wait()
    programs = {each.words[0].rpartition("/")[2] for each in seen}
    assert "pg_dump" in programs, programs  # else nothing was looked at
    texts = [shown, *chain.from_iterable((*each.words, each.environment) for each in seen)]
    for name, value in secrets_of(db, bucket).items():
        for form in (value, base64.b64encode(value.encode()).decode()):
            assert not [text for text in texts if form in text], name
    spec = pod["spec"]
    assert "secretKeyRef" not in shown
    assert spec["automountServiceAccountToken"] is False
    enforced = db.cluster.kubectl("get", "namespace", db.namespace, "--output=yaml")
    assert "pod-security.kubernetes.io/enforce: restricted" in enforced  # it ran all the same


def secrets_of(db: Db, bucket: Bucket) -> dict[str, str]:
    """A private key by its second line of data: the first begins in all alike."""
    files = {"ca": "ca.key", "tls": "tls.key"}
    keys = {name: db.secret(name)[file].splitlines()[2] for name, file in files.items()}
    return {**bucket.keys, "password": db.secret()["password"], **keys}


# -- deletion, and back again ------------------------------------------------------------------


def test_deleted_with_retain_the_bytes_stay_and_it_comes_back_without_a_run(
    taken: Run, bucket: Bucket
) -> None:
    """As a cluster that is built again from Git brings it back."""
    before = taken.status()
    stored = Stored(bucket, before["objectKey"])
    sizes = stored.sizes()
    taken.wait_remembered()
    taken.delete()
    assert stored.sizes() == sizes
    again = taken.apply().wait("Completed", seconds=60)
    assert again["objectKey"] == before["objectKey"]
    assert again["sizeBytes"] == before["sizeBytes"]
    assert again["completedAt"] == before["completedAt"]
    assert taken.jobs() == []
    assert stored.sizes() == sizes


@pytest.mark.parametrize("method", METHODS)
def test_deleted_with_delete_the_bytes_go_and_it_is_not_made_anew(
    databases: dict[str, Db], scheduled: Db, bucket: Bucket, method: str
) -> None:
    """The policy may be changed at any time; of other backups nothing goes."""
    run = backup(databases["main"], f"to-go-{method.lower()}", method).apply()
    stored = Stored(bucket, run.wait()["objectKey"])
    neighbours = completed_but(run, bucket)
    assert stored.sizes()
    assert neighbours, "there are others"
    run.wait_remembered()
    run.patch(deletionPolicy="Delete")
    run.delete()
    assert stored.sizes() == {}
    ours = prefixes(databases)
    assert neighbours <= {key for prefix in ours for key in bucket.sizes(prefix)}
    status = run.apply().wait("Completed", seconds=60)
    assert run.ready()["reason"] == "Expired"
    assert "objectKey" not in status
    assert run.jobs() == []


def completed_but(run: Run, bucket: Bucket) -> set[str]:
    """Keys of all other backups here that are whole. Those of one that runs come and go."""
    listed = run.db.cluster.listed("backups", run.db.namespace)
    others = [each["status"] for each in listed if each["metadata"]["name"] != run.name]
    done = [each for each in others if each.get("phase") == "Completed"]
    keys = [each["objectKey"] for each in done if "objectKey" in each]  # one deleted has none
    return {key for each in keys for key in Stored(bucket, each).sizes()}


# -- by schedule -------------------------------------------------------------------------------


def test_the_schedule_makes_one_by_itself_and_the_database_tells_so(
    scheduled: Db, bucket: Bucket
) -> None:
    db = scheduled
    db.wait_for("BackupHealthy", "True", "Completed", seconds=150)
    listed = db.cluster.listed("backups", db.namespace, "postbase.sh/origin=schedule")
    done = [each for each in listed if each["status"].get("phase") == "Completed"]
    first = min(done, key=lambda each: str(each["metadata"]["name"]))
    status, name = first["status"], first["metadata"]["name"]
    made = moment(first["metadata"]["creationTimestamp"])
    # By the minute for which it was planned, which may be over when it is made.
    assert name in [f"nightly-{made - late:%Y%m%d%H%M}" for late in (NOT_LATE, ONE_MINUTE)]
    assert Stored(bucket, status["objectKey"]).record()["backupName"] == name
    kept = moment(status["expiresAt"]) - moment(status["completedAt"])
    assert kept.total_seconds() == 2 * 24 * 3600
    told = db.live()["status"]["backup"]
    assert moment(told["lastSuccessfulTime"]) >= moment(status["completedAt"])
    assert moment(told["nextTime"]) > moment(told["lastScheduledTime"])
    db.patch(backup={"suspend": True})
    minutes = [each["metadata"]["name"] for each in listed]
    assert len(minutes) == len(set(minutes))


# -- to the end --------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_one_that_was_killed_is_tried_again_and_completes(
    killed: dict[str, Killed], bucket: Bucket, method: str
) -> None:
    run = killed[method].run
    status = run.wait("Completed", seconds=BACK_OFF + 120)
    assert status["attempts"] == 2
    stored = Stored(bucket, status["objectKey"])
    told = {each["key"]: each["sha256"] for each in stored.record()["objects"]}
    assert told == stored.hashes()  # nothing of the first attempt is left
