"""Before a story, and after one whose parts end with it."""

from __future__ import annotations

from demo.telling import NAMESPACE, kubectl


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
