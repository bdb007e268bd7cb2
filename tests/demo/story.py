"""The steps of the story, in their order. What differs by provider is the provider's."""

from __future__ import annotations

import time
from collections.abc import Callable

from demo.archiving import a_lost_volume, archiving, out_of_the_store, to_the_second
from demo.backups import a_backup, a_mistake, a_schedule
from demo.clearing import clear
from demo.provider import Provider
from demo.telling import NAMESPACE, expect, kubectl, psql, tell

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
%s\
  parameters: {work_mem: 8MB}
"""


def a_namespace(_: Provider) -> None:
    tell(f"A fresh namespace {NAMESPACE!r}, with Pod Security at its strictest")
    clear()
    kubectl("create", "namespace", NAMESPACE)
    kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")


def a_database(provider: Provider) -> None:
    tell("A Project and a Database, by kubectl apply")
    manifest = DATABASE % provider.spec
    print(manifest, end="")
    applied = time.monotonic()
    kubectl("apply", "-f", "-", stdin=manifest, show=True)
    kubectl("wait", "database/shop-main", "--for=condition=Ready", "--timeout=600s", show=True)
    print(f"Ready {time.monotonic() - applied:.1f} s after the apply")
    kubectl("get", "databases,projects", show=True)

    tell("A client that knows nothing but the Secret")
    provider.client("shop-main")


def a_row(provider: Provider) -> None:
    tell(f"A row, written and read {provider.over_tls}")
    psql("CREATE TABLE orders (id int PRIMARY KEY, item text, at timestamptz DEFAULT now())")
    psql("INSERT INTO orders (id, item) VALUES (1, 'coffee')")
    row = psql("SELECT id, item FROM orders")
    expect("the row", row, "1|coffee")
    expect("TLS", psql("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"), "t")
    expect("its owner", psql("SELECT tableowner FROM pg_tables WHERE tablename='orders'"), "app")


def a_restart(provider: Provider) -> None:
    tell(f"{provider.restarts}; the row is there when it comes back")
    provider.restart("shop-main")
    expect("the row", psql("SELECT id, item FROM orders"), "1|coffee")


STEPS: tuple[Callable[[Provider], None], ...] = (
    a_namespace,
    a_database,
    a_row,
    a_restart,
    a_backup,
    a_mistake,
    a_schedule,
    archiving,
    to_the_second,
    a_lost_volume,
    out_of_the_store,
)
