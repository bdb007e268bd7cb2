"""What is measured: a Database, and the least that could do the same by hand.

The floor has the same image, limits, requests, probes, volume, an init container that makes the
database and a native sidecar that sleeps; no roles, no TLS, no conditions, nobody watching.
"""

from __future__ import annotations

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PROJECT = """\
apiVersion: postbase.sh/v1alpha1
kind: Project
metadata: {name: bench}
spec: {}
"""

READY = """
## From apply to Ready

Against a bare StatefulSet with the same image, limits, probes, volume class, an initdb container
and a native sidecar that sleeps; medians of {rounds} rounds in turns. Wanted: at most 2.0 s more
for one, 1.4 times for twenty; 0.2 CPU-s and 25 API requests of the operator for each Database.
Watches and Leases are not counted.
{tables}
"""

IDLE = """
## {count} idle Databases

After two quiet minutes, over two more. Wanted: no write but for Leases, 150 MiB resident, and 15
MiB for a sidecar.

| | |
|---|---|
| writes of the operator a minute | {writes:.1f} |
| its reads a minute and Database (Secrets, which are not watched) | {requests:.1f} |
| its CPU | {cpu:.3f} cores |
| its resident memory | {resident:.0f} MiB |
| all writes in the cluster a minute, by resource | {cluster} |
| resident memory (VmRSS) of {sidecars} sidecars | median {median:.1f}, most {heaviest:.1f} MiB |
"""


def images() -> dict[str, str]:
    """The images of this checkout's cluster: postgres and, for the sleeping sidecar, ours."""
    known = json.loads((ROOT / ".cluster" / "images.json").read_text())
    return {"postgres": known["postgres"]["15"], "sidecar": known["operator"]}


def database(name: str) -> str:
    return f"""\
apiVersion: postbase.sh/v1alpha1
kind: Database
metadata: {{name: {name}}}
spec:
  projectRef: {{name: bench}}
  postgresVersion: "15"
  storage: {{size: 1Gi}}
  deletionPolicy: Delete
"""


def bare(name: str, known: dict[str, str]) -> str:
    """One StatefulSet and its Service, as a careful person would write them."""
    ready = "{exec: {command: [pg_isready, -q, -h, /var/run/postgresql]}"
    mounts = """\
          volumeMounts:
            - {name: data, mountPath: /postbase/data}
            - {name: run, mountPath: /var/run/postgresql}
            - {name: tmp, mountPath: /tmp}"""
    return f"""\
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  clusterIP: None
  selector: {{app: {name}}}
  ports: [{{port: 5432}}]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: {name}}}
spec:
  serviceName: {name}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      securityContext: {{runAsUser: 999, runAsGroup: 999, fsGroup: 999}}
      terminationGracePeriodSeconds: 300
      initContainers:
        - name: initdb
          image: {known["postgres"]}
          command: [sh, -c, "initdb -k -U postgres -E UTF8 --locale=C.UTF-8 -D /postbase/data/pg"]
          resources: {{requests: {{cpu: 25m, memory: 512Mi}}, limits: {{memory: 512Mi}}}}
{mounts}
        - name: sidecar
          image: {known["sidecar"]}
          # As PID 1 a bare sleep hears no SIGTERM, and each stop would last the whole grace.
          command: [sh, -c, "trap 'exit 0' TERM; sleep infinity & wait"]
          restartPolicy: Always
          resources: {{requests: {{cpu: 10m, memory: 32Mi}}, limits: {{memory: 256Mi}}}}
      containers:
        - name: postgres
          image: {known["postgres"]}
          command: [sh, -c, "chmod 0700 /postbase/data/pg; exec postgres -D /postbase/data/pg"]
          lifecycle:
            preStop: {{exec: {{command: [pg_ctl, stop, -D, /postbase/data/pg, -m, fast, -W]}}}}
          startupProbe: {ready}, periodSeconds: 1, timeoutSeconds: 5, failureThreshold: 600}}
          readinessProbe: {ready}, periodSeconds: 10, timeoutSeconds: 5}}
          resources:
            requests: {{cpu: 25m, memory: 512Mi}}
            limits: {{cpu: 500m, memory: 512Mi}}
{mounts}
      volumes:
        - {{name: run, emptyDir: {{}}}}
        - {{name: tmp, emptyDir: {{}}}}
  volumeClaimTemplates:
    - metadata: {{name: data}}
      spec:
        accessModes: [ReadWriteOnce]
        resources: {{requests: {{storage: 1Gi}}}}
"""
