"""`make demo`: from a bare machine to a row written and read over TLS, told step by step.

Its story begins anew each time in the namespace `demo`; what it has made stays, to be looked at.
Every step is checked, and a row that differs ends it with an error. Standard library only: it runs
before any Python environment is made.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from node.errors import NodeError

ROOT = Path(__file__).resolve().parent.parent
KUBECTL = ROOT / ".cluster" / "bin" / "kubectl"
KUBECONFIG = ROOT / ".cluster" / "kubeconfig"
NAMESPACE = "demo"
FREE_GIB = 12

DATABASE = """\
apiVersion: postbase.sh/v1alpha1
kind: Project
metadata: {name: shop}
spec: {}
---
apiVersion: postbase.sh/v1alpha1
kind: Database
metadata: {name: shop-main}
spec:
  projectRef: {name: shop}
  postgresVersion: "15"
  storage: {size: 1Gi}
  parameters: {work_mem: 8MB}
"""

CHECKSUM = "SELECT count(*), md5(string_agg(v, '' ORDER BY n)) FROM items"
BACKUP = """\
apiVersion: postbase.sh/v1alpha1
kind: Backup
metadata: {name: before-the-mistake}
spec: {databaseRef: {name: shop-main}, method: Physical}
"""
RESTORE = """\
apiVersion: postbase.sh/v1alpha1
kind: PitrRestore
metadata: {name: %(name)s}
spec:
  databaseRef: {name: shop-main}
  source: %(source)s
  target: {inPlace: {}}
"""

# A client as any application would be one: the Secret in its environment, the certificate
# authority in a file, no right and no privilege of its own.
CLIENT = """\
apiVersion: v1
kind: Pod
metadata: {name: client}
spec:
  terminationGracePeriodSeconds: 0
  automountServiceAccountToken: false
  securityContext: {runAsNonRoot: true, runAsUser: 10001, seccompProfile: {type: RuntimeDefault}}
  containers:
    - name: psql
      image: %(image)s
      command: [sleep, infinity]
      securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
      env:
        - {name: PGSSLMODE, value: verify-full}
        - {name: PGSSLROOTCERT, value: /credentials/ca.crt}
%(variables)s
      volumeMounts: [{name: credentials, mountPath: /credentials}]
  volumes:
    - {name: credentials, secret: {secretName: shop-main-credentials}}
"""
VARIABLES = {
    "PGHOST": "host",
    "PGPORT": "port",
    "PGDATABASE": "dbname",
    "PGUSER": "user",
    "PGPASSWORD": "password",
}


def main() -> int:
    started = time.monotonic()
    try:
        preflight()
        tell("The cluster, and the operator from its chart")
        run([sys.executable, "-m", "node", "up"], show=True)
        story()
    except NodeError as error:
        print(f"\nmake demo failed: {error}", flush=True)
        return 1
    minutes = (time.monotonic() - started) / 60
    print(f"\nIt works ({minutes:.1f} min). It stays up; look around with:")
    print("  export KUBECONFIG=$PWD/.cluster/kubeconfig PATH=$PWD/.cluster/bin:$PATH")
    print(f"  kubectl -n {NAMESPACE} get postbase,pods,pvc,secrets")
    print(f"  kubectl -n {NAMESPACE} exec -it client -- psql")
    print("and take it all away with: make down", flush=True)
    return 0


def preflight() -> None:
    """Says what will happen to this machine, and asks where somebody can answer."""
    if os.environ.get("CLUSTER") == "context":
        print(f"Uses the context {os.environ.get('CONTEXT')!r} of your kubeconfig; nothing else.")
    else:
        if os.geteuid() != 0 and shutil.which("docker") is None:
            raise NodeError("needs root (for a node on this machine) or a Docker engine (for kind)")
        free = shutil.disk_usage(ROOT).free / 2**30
        if free < FREE_GIB:
            raise NodeError(f"needs {FREE_GIB} GB of free disk, there are {free:.0f}")
        print(
            "Brings up a real Kubernetes on this machine: installs Debian packages (containerd,\n"
            "runc, buildah, ...), builds Kubernetes and the images from source packages, makes a\n"
            "bridge, firewall rules and loop devices. State: /var/lib/postbase-node, cache:\n"
            "~/.cache/postbase. `make down` takes the node away, `make purge` the cache too.\n"
            "The first time takes about 20 minutes, later ones about one."
        )
    asks = sys.stdin.isatty() and os.environ.get("YES") != "1"
    if asks and input("Go on? [y/N] ").strip().lower() not in ("y", "yes"):
        raise NodeError("nothing was done (YES=1 does not ask)")


def story() -> None:
    tell(f"A fresh namespace {NAMESPACE!r}, with Pod Security at its strictest")
    clear()
    kubectl("create", "namespace", NAMESPACE)
    kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")

    tell("A Project and a Database, by kubectl apply")
    print(DATABASE, end="")
    applied = time.monotonic()
    kubectl("apply", "-f", "-", stdin=DATABASE, show=True)
    kubectl("wait", "database/shop-main", "--for=condition=Ready", "--timeout=180s", show=True)
    print(f"Ready {time.monotonic() - applied:.1f} s after the apply")
    kubectl("get", "databases,projects", show=True)

    tell("A client that knows nothing but the Secret")
    wait_for_client()

    tell("A row, written and read over TLS with the server's certificate verified")
    psql("CREATE TABLE orders (id int PRIMARY KEY, item text, at timestamptz DEFAULT now())")
    psql("INSERT INTO orders (id, item) VALUES (1, 'coffee')")
    row = psql("SELECT id, item FROM orders")
    expect("the row", row, "1|coffee")
    expect("TLS", psql("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"), "t")
    expect("its owner", psql("SELECT tableowner FROM pg_tables WHERE tablename='orders'"), "app")

    tell("The pod is deleted; the row is there when it comes back")
    kubectl("delete", "pod", "shop-main-1-0", "--wait=true", show=True)
    kubectl("wait", "pod/shop-main-1-0", "--for=create", "--timeout=60s")
    kubectl("wait", "pod/shop-main-1-0", "--for=condition=Ready", "--timeout=180s", show=True)
    expect("the row", psql("SELECT id, item FROM orders"), "1|coffee")
    backups()


def backups() -> None:
    """A backup by hand, a mistake, its restore, and the restore taken back; then the schedule."""
    tell("A table of 100,000 rows, and a backup of it, by kubectl apply")
    psql("CREATE TABLE items AS SELECT n, md5(n::text) AS v FROM generate_series(1, 100000) n")
    before = psql(CHECKSUM)
    apply(BACKUP)
    kubectl("wait", "backup/before-the-mistake", "--for=condition=Ready", "--timeout=120s")
    kubectl("get", "backups", show=True)

    tell("A mistake")
    psql("DROP TABLE items")
    psql("INSERT INTO orders (id, item) VALUES (2, 'tea, after the backup')")

    tell("The database as it was in the backup, in place: it serves until the copy is whole")
    restore("undo-the-mistake", "{backupRef: {name: before-the-mistake}}")
    expect("the rows and their checksum", psql(CHECKSUM), before)
    expect("what came after the backup", psql("SELECT count(*) FROM orders WHERE id = 2"), "0")

    tell("The restore itself can be taken back")
    restore("undo-the-restore", "{previous: {}}")
    expect("what came after", psql("SELECT item FROM orders WHERE id = 2"), "tea, after the backup")
    gone = psql("SELECT to_regclass('items') IS NULL")
    expect("the table is gone again", gone, "t")

    tell("And a backup by schedule: every minute, for a minute")
    schedule = '{"spec": {"backup": {"schedule": "* * * * *", "spread": "0s"}}}'
    kubectl("patch", "database", "shop-main", "--type=merge", f"--patch={schedule}")
    kubectl(
        *("wait", "database/shop-main", "--for=condition=BackupHealthy=True", "--timeout=150s"),
        show=True,
    )
    daily = '{"spec": {"backup": {"schedule": "0 3 * * *"}}}'
    kubectl("patch", "database", "shop-main", "--type=merge", f"--patch={daily}")
    kubectl("get", "backups,pitrrestores", show=True)


def apply(manifest: str) -> None:
    print(manifest, end="")
    kubectl("apply", "-f", "-", stdin=manifest, show=True)


def restore(name: str, source: str) -> None:
    apply(RESTORE % {"name": name, "source": source})
    began = time.monotonic()
    kubectl("wait", f"pitrrestore/{name}", "--for=condition=Ready", "--timeout=180s", show=True)
    print(f"Restored {time.monotonic() - began:.1f} s after the apply")
    kubectl("get", "pitrrestore", name, show=True)


def wait_for_client() -> None:
    pod = json.loads(kubectl("get", "pod", "shop-main-1-0", "-o", "json"))
    image = next(c["image"] for c in pod["spec"]["containers"] if c["name"] == "postgres")
    secret = "secretKeyRef: {name: shop-main-credentials, key: %s}"
    lines = [
        f"        - {{name: {name}, valueFrom: {{{secret % key}}}}}"
        for name, key in VARIABLES.items()
    ]
    manifest = CLIENT % {"image": image, "variables": "\n".join(lines)}
    kubectl("apply", "-f", "-", stdin=manifest)
    kubectl("wait", "pod/client", "--for=condition=Ready", "--timeout=60s", show=True)


def psql(statement: str) -> str:
    """One statement by the client pod; unaligned rows without headings."""
    print(f"  psql> {statement}")
    quiet = ("--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1")
    answer = kubectl("exec", "client", "--", "psql", *quiet, "--command", statement).strip()
    if answer:
        print(f"        {answer}")
    return answer


def clear() -> None:
    """Takes away what the last demo left, its kept volumes too: nobody wants those.

    And nobody its archive: without `deletionPolicy: Delete` the next database of the name would not
    begin empty.
    """
    given_up = '{"spec": {"deletionPolicy": "Delete"}}'
    for name in kubectl("get", "databases", "--ignore-not-found", "--output=name").split():
        kubectl("patch", name, "--type=merge", f"--patch={given_up}")
    for kind in ("databases", "backups"):
        kubectl("delete", kind, "--all", "--ignore-not-found", "--timeout=120s")
    kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=120s")
    claimed = "{range .items[*]}{.metadata.name} {.spec.claimRef.namespace}{'\\n'}{end}"
    release = '{"spec": {"persistentVolumeReclaimPolicy": "Delete"}}'
    for line in kubectl("get", "persistentvolumes", "-o", f"jsonpath={claimed}").splitlines():
        name, _, namespace = line.partition(" ")
        if namespace == NAMESPACE:
            kubectl("patch", "persistentvolume", name, f"--patch={release}")


def expect(what: str, found: str, wanted: str) -> None:
    if found != wanted:
        raise NodeError(f"{what}: expected {wanted!r}, found {found!r}")


def kubectl(*words: str, stdin: str | None = None, show: bool = False) -> str:
    return run(
        [str(KUBECTL), "--kubeconfig", str(KUBECONFIG), "--namespace", NAMESPACE, *words],
        stdin=stdin,
        show=show,
    )


def run(command: list[str], *, stdin: str | None = None, show: bool = False) -> str:
    done = subprocess.run(
        command,
        input=stdin,
        stdin=None if stdin is not None else subprocess.DEVNULL,
        stdout=None if show else subprocess.PIPE,
        stderr=None if show else subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = (done.stdout or "").strip().splitlines()
        shown = " ".join(command[-6:])
        raise NodeError(f"`… {shown}` ended with {done.returncode}: {' / '.join(said[-3:])}")
    return done.stdout or ""


def tell(step: str) -> None:
    print(f"\n== {step}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
