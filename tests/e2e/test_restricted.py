"""Pods of a database ask for nothing: restricted Pod Security, no token, nothing to write on.

The namespace enforces "restricted", so a pod that runs at all has passed; these tests look at what
the admission does not.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.cluster import Body, KubectlFailed
from e2e.database import Db

pytestmark = pytest.mark.timeout(900)

IDLE_MIB = 15
"""A bare interpreter takes 9.4; asyncio alone would add 10, a PostgreSQL client 25."""


@pytest.fixture(scope="module")
def pod(db: Db) -> Body:
    return db.cluster.get("pod", db.namespace, db.pod)


def containers(pod: Body) -> Iterator[Body]:
    yield from pod["spec"]["initContainers"]
    yield from pod["spec"]["containers"]


def test_the_namespace_enforces_restricted(db: Db) -> None:
    """Else all of this module proves nothing."""
    run = ("run", "privileged", "--image=localhost/postbase/postgres:15", "--privileged")
    said = db.cluster.refused(*run, f"--namespace={db.namespace}")
    assert 'violates PodSecurity "restricted' in said


def test_no_token_of_the_api_is_in_the_pod(db: Db, pod: Body) -> None:
    assert not [v for v in pod["spec"]["volumes"] if "projected" in v]
    for container in ("postgres", "wal-receiver"):
        with pytest.raises(KubectlFailed, match="No such file"):
            db.cluster.run_in(
                db.namespace, db.pod, container, "ls", "/var/run/secrets/kubernetes.io"
            )


def test_the_root_file_system_cannot_be_written(db: Db, pod: Body) -> None:
    assert all(c["securityContext"]["readOnlyRootFilesystem"] for c in containers(pod))
    for container in ("postgres", "wal-receiver"):
        with pytest.raises(KubectlFailed, match="Read-only file system"):
            db.cluster.run_in(db.namespace, db.pod, container, "touch", "/var/lib/written")


def test_settings_and_keys_cannot_be_written_or_read_by_others(db: Db) -> None:
    with pytest.raises(KubectlFailed, match="Read-only file system"):
        db.run_in("touch", "/postbase/config/written")
    assert db.run_in("stat", "-Lc", "%a", "/postbase/tls/tls.key").strip() == "640"
    assert db.run_in("stat", "-c", "%a", "/postbase/data/pgdata").strip()[-3:] == "700"


def test_every_container_runs_as_the_same_user_without_a_capability(db: Db) -> None:
    for container in ("postgres", "wal-receiver"):
        status = db.cluster.run_in(db.namespace, db.pod, container, "cat", "/proc/1/status")
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert fields["Uid"].split() == ["999"] * 4
        assert fields["Gid"].split() == ["999"] * 4
        assert int(fields["CapBnd"], 16) == 0
        assert fields["NoNewPrivs"] == "1"
        assert fields["Seccomp"] == "2"


def test_no_client_settings_of_the_namespace_leak_in(db: Db) -> None:
    """Service links would put PGDATA-like surprises of any Service's name into the environment."""
    environment = db.run_in("env")
    assert "_SERVICE_HOST=" not in environment.replace("KUBERNETES_SERVICE_HOST=", "")


def test_shared_memory_is_larger_than_a_containers_own(db: Db) -> None:
    """64 MB are not enough for parallel queries: half of the memory it is, 256 MiB here."""
    blocks = int(db.run_in("df", "-kP", "/dev/shm").splitlines()[-1].split()[1])
    assert 200 * 1024 <= blocks <= 300 * 1024
    assert db.run_in("stat", "-fc", "%T", "/dev/shm").strip() == "tmpfs"


def test_only_a_handful_of_programs_run(db: Db, pod: Body) -> None:
    """PostgreSQL itself is PID 1: no shell stands between it and its signals."""
    command = db.run_in("cat", "/proc/1/cmdline").split("\0")
    assert command[0].endswith("postgres")
    assert pod["spec"]["terminationGracePeriodSeconds"] == 300
    probes = [c.get(p) for c in containers(pod) for p in ("readinessProbe", "startupProbe")]
    for probe in filter(None, probes):
        assert probe["exec"]["command"][0] == "pg_isready"
    assert not [c for c in containers(pod) if "livenessProbe" in c]


def test_the_idle_sidecar_costs_a_bare_interpreter(db: Db) -> None:
    """Resident memory of its one process, shared pages included: VmRSS."""
    status = db.cluster.run_in(db.namespace, db.pod, "wal-receiver", "cat", "/proc/1/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert "python" in fields["Name"]
    rss = int(fields["VmRSS"].split()[0]) / 1024
    print(f"idle sidecar: {rss:.1f} MiB resident")
    assert rss <= IDLE_MIB


def test_the_quality_of_service_is_burstable(pod: Body) -> None:
    """It may never change during a pod's life, and resizing in place relies on it."""
    assert pod["status"]["qosClass"] == "Burstable"
