"""`make demo`: from a bare machine to a row written and read over TLS, told step by step.

Its story begins anew each time in the namespace `demo`; what it has made stays, to be looked at.
Every step is checked, and a row that differs ends it with an error. Standard library only, as the
node's bring-up is.
"""

from __future__ import annotations

import os
import shutil
import sys
import time

from demo import archiving
from demo.backups import backups
from demo.cloud import cloud, github_url
from demo.telling import NAMESPACE, ROOT, expect, kubectl, psql, run, tell, wait_for_client
from node.errors import NodeError

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


def main() -> int:
    started = time.monotonic()
    try:
        preflight()
        tell("The cluster, and the operator from its chart")
        os.environ.setdefault("GITHUB_URL", github_url())
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
    wait_for_client("shop-main")

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
    archiving.any_second()
    archiving.a_lost_volume()
    cloud()


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


if __name__ == "__main__":
    sys.exit(main())
