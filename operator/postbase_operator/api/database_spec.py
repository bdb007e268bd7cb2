"""What a user says about a Database. Every description is the text of `kubectl explain`."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from postbase_operator.api.base import Model, Reference
from postbase_operator.api.bootstrap import Bootstrap
from postbase_operator.api.database_server import (
    DATA,
    SHARED_BUFFERS,
    Extension,
    InitDB,
    PodSecurity,
    Resources,
    Storage,
)
from postbase_operator.api.parameters import Parameters
from postbase_operator.api.policies import BackupSettings, PitrSettings
from postbase_operator.api.rules import Rule, fixed, immutable
from postbase_operator.api.scalars import Duration, ObjectName, SecretKey, worded
from postbase_operator.api.scheduling import Peer, Scheduling
from postbase_operator.api.upkeep import (
    Credentials,
    DeletionPolicy,
    Disruptions,
    MaintenanceWindow,
    NodeLoss,
    RestartPolicy,
    Tls,
)

Major = Literal["14", "15", "16", "17", "18"]
MAJOR = (
    "the files of one major version cannot be read by another; make a Backup with method Logical "
    "and a new Database of the other version with spec.bootstrap.backupRef"
)


class Provider(StrEnum):
    """Who runs the server."""

    KUBERNETES = "Kubernetes"
    RAILWAY = "Railway"


class Expose(StrEnum):
    """Type of the client Service."""

    CLUSTER_IP = "ClusterIP"
    LOAD_BALANCER = "LoadBalancer"
    NODE_PORT = "NodePort"
    PRIVATE = "Private"
    """On Railway: its environment alone, with no way in from the internet, for nobody."""


class DatabaseSpec(Model):
    """What the Database should be."""

    exactly_one_of = ("postgres_version", "image")
    rules = (
        Rule(
            "self.expose != 'Private' || self.provider == 'Railway'",
            message="spec.expose: Private is of provider Railway: set ClusterIP, which is private "
            "to this cluster",
        ),
        fixed("region", "spec.region", "backups move data; restore into a new Database there"),
        Rule(
            "has(self.image) == has(oldSelf.image)",
            message="spec.postgresVersion and spec.image cannot replace each other: keep the one "
            "that the Database was made with, or restore into a new Database with the other",
        ),
        Rule(
            "!has(self.postgresVersion) || !has(self.initdb.localeProvider) || "
            "(self.initdb.localeProvider == 'builtin' ? self.postgresVersion in ['17', '18'] : "
            "self.initdb.localeProvider == 'icu' ? self.postgresVersion != '14' : true)",
            message="spec.initdb.localeProvider: builtin needs postgresVersion 17 or later, icu 15 "
            "or later: leave it out, or set libc",
        ),
        Rule(
            "!has(self.retainVolumeFor) || self.deletionPolicy != 'Delete'",
            message="spec.retainVolumeFor keeps nothing with deletionPolicy: Delete, which deletes "
            "the volume at once: remove it, or set deletionPolicy: Retain",
        ),
        SHARED_BUFFERS,
    )

    project_ref: Annotated[
        Reference,
        immutable("spec.projectRef", "restore into a new Database of the other Project"),
    ] = Field(description="The Project that it is in. Cannot be changed.")
    postgres_version: Annotated[Major, immutable("spec.postgresVersion", MAJOR)] | None = Field(
        None,
        description="Major version; the installation's stock image of it is used. Exactly one of "
        "postgresVersion and image. Cannot be changed: a Logical backup restored into a new "
        "Database of the other version is the way.",
    )
    image: (
        Annotated[
            str,
            *worded(
                r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$",
                "spec.image must be an image with its tag, such as postgis/postgis:16-3.4",
                max_length=512,
            ),
        ]
        | None
    ) = Field(
        None,
        description="A stock PostgreSQL image of one's own, e.g. postgis/postgis:16-3.4. Its "
        "entrypoint is not run. Another tag of the same major version may be set; it counts from "
        "the next start.",
    )
    storage: Storage = Field(description="The volume that the data lies on: size and class.")
    resources: Resources = Field(
        Resources(), description="Processor time and memory that PostgreSQL may use."
    )
    parameters: Parameters = Field(
        {},
        description="PostgreSQL parameters by name (in lower case), e.g. work_mem: 8MB. Applied "
        "by a reload; where PostgreSQL needs a restart, as restartPolicy says.",
    )
    extensions: tuple[Extension, ...] = Field(
        (),
        max_length=64,
        description="Extensions to create in the application's database. One that is taken off "
        "the list stays in the database.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    initdb: Annotated[InitDB, immutable("spec.initdb", DATA)] = Field(
        InitDB(), description="How the data directory is made. Cannot be changed."
    )
    bootstrap: Bootstrap | None = Field(
        None,
        description="What a new Database starts with. Default: empty, but where an archive of the "
        "same name lies in the object store this must say what is meant. Ignored afterwards.",
    )
    backup: BackupSettings = Field(
        BackupSettings(), description="Backups by schedule: when, how, and how long they stay."
    )
    pitr: PitrSettings = Field(
        PitrSettings(),
        description="Point-in-time recovery: whether every change is archived, and how far back "
        "any second can be restored.",
    )
    region: ObjectName | None = Field(
        None,
        description="Where it runs; one of the installation's regions. Cannot be changed. "
        "Default: the Project's, else the installation's.",
    )
    provider: Annotated[
        Provider, immutable("spec.provider", "restore into a new Database of the other provider")
    ] = Field(
        Provider.KUBERNETES,
        description="Who runs the server: Kubernetes (this cluster) or Railway. Cannot be "
        "changed. Default: Kubernetes.",
    )
    expose: Expose = Field(
        Expose.CLUSTER_IP,
        description="Who can reach it: ClusterIP (this cluster), LoadBalancer or NodePort; with "
        "provider Railway ClusterIP or LoadBalancer (the internet), or Private (its environment on "
        "Railway alone). status.endpoint has the address in the cluster, or on Railway; that of a "
        "LoadBalancer or NodePort is its Service's, and spec.allowFrom has to let clients in. "
        "Default: ClusterIP.",
    )
    allow_from: tuple[Peer, ...] | None = Field(
        None,
        max_length=64,
        description="Who may connect, as network policy. The operator always may; an empty list "
        "admits nobody else. Default: pods of the same namespace.",
    )
    tls: Tls = Field(
        Tls(),
        description="The server's certificate. Default: one of an authority of this Database's "
        "own, renewed by the operator.",
    )
    credentials: Credentials = Field(
        Credentials(),
        description="The application's password: where it comes from, and when it is changed.",
    )
    paused: bool = Field(
        False,
        description="True stops PostgreSQL cleanly and keeps everything else. Default: false.",
    )
    restart_policy: RestartPolicy = Field(
        RestartPolicy.WHEN_NEEDED,
        description="Whether the operator may restart PostgreSQL for a change that needs it. "
        "WhenNeeded: in the maintenanceWindow, or at once without one. Never: it waits for a "
        "restart by request. Default: WhenNeeded.",
    )
    maintenance_window: MaintenanceWindow | None = Field(
        None, description="When restarts may be made. Default: at any time."
    )
    disruptions: Disruptions = Field(
        Disruptions.ALLOW,
        description="Whether a node may be drained under it. Allow: PostgreSQL is stopped cleanly "
        "and started elsewhere. Block: the drain waits. Default: Allow.",
    )
    on_node_loss: NodeLoss = Field(
        NodeLoss.WAIT,
        description="When its node is gone without a word. Wait: until the node is back or marked "
        "with the taint node.kubernetes.io/out-of-service. Replace: the pod is deleted by force; "
        "only for storage that fences a lost node. Default: Wait.",
    )
    deletion_protection: bool = Field(
        False,
        description="True refuses the deletion of this object, until it is false again, but where "
        "its whole namespace is deleted. Enforced by the chart's admission policies. Default: "
        "false.",
    )
    deletion_policy: DeletionPolicy = Field(
        DeletionPolicy.RETAIN,
        description="What happens to the volume on deletion. Retain: it stays. FinalBackup: one "
        "more backup, then it goes after retainVolumeFor. Delete: it goes. Backups and archive "
        "always stay until their retention ends. Default: Retain.",
    )
    retain_volume_for: Duration | None = Field(
        None,
        description="How long a volume that was kept on deletion stays, e.g. 72h. Default: with "
        "Retain until somebody deletes it, with FinalBackup not at all.",
    )
    adopt_volume: SecretKey | None = Field(
        None,
        description="PersistentVolumeClaim of a former Database to start from, where that one was "
        "deleted with Retain. Counts only while this Database has no volume of its own.",
    )
    pod_security: PodSecurity = Field(
        PodSecurity(), description="The user that PostgreSQL runs as."
    )
    scheduling: Scheduling = Field(
        Scheduling(),
        description="Which nodes may run it. A change counts from the next start of PostgreSQL.",
    )
    service_account_name: SecretKey | None = Field(
        None,
        description="ServiceAccount of the pod, for the object store's identity or pull secrets; "
        "no token of Kubernetes' API is mounted. Default: default.",
    )
    archiving_grace: Duration = Field(
        timedelta(minutes=5),
        description="How long archiving may fail before the Database is no longer Ready; Degraded "
        "says so within 30s. Default: 5m.",
    )
