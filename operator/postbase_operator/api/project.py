"""Project: what its Databases have in common, and where their backups lie."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from postbase_operator.api.base import (
    AGE,
    MESSAGE,
    READY,
    Column,
    Definition,
    Model,
    Reference,
    Resource,
)
from postbase_operator.api.conditions import Conditions
from postbase_operator.api.policies import BackupSettings, PitrSettings
from postbase_operator.api.rules import Rule, short_name
from postbase_operator.api.scalars import ObjectName, PublicId, SecretKey, Text, worded


class ProjectPhase(StrEnum):
    """The state in one word; the conditions say more."""

    PENDING = "Pending"
    ACTIVE = "Active"
    DELETING = "Deleting"
    FAILED = "Failed"


class ProjectDeletionPolicy(StrEnum):
    """What becomes of the Databases when the Project is deleted."""

    RETAIN = "Retain"
    DELETE = "Delete"


class EncryptionMode(StrEnum):
    """Who holds the key of server-side encryption."""

    S3 = "S3"
    KMS = "KMS"


class SecretKeyReference(Model):
    """One key of a Secret in the same namespace."""

    name: ObjectName = Field(description="Name of the Secret, in the same namespace.")
    key: SecretKey = Field("ca.crt", description="Key in the Secret. Default: ca.crt.")


class Encryption(Model):
    """Encryption that the object store does itself when it writes."""

    rules = (
        Rule(
            "(self.mode == 'KMS') || !has(self.kmsKeyId)",
            message="objectStore.sse.kmsKeyId has a meaning only with mode KMS: set mode: KMS or "
            "remove kmsKeyId",
        ),
    )

    mode: EncryptionMode = Field(
        description="S3 encrypts with the store's own key (AES256), KMS with a key of the store's "
        "key management (aws:kms)."
    )
    kms_key_id: str | None = Field(
        None,
        max_length=2048,
        description="With KMS: id or ARN of the key. Default: the account's default key.",
    )


Address = Annotated[
    str,
    *worded(
        r"^https?://[^/\s]+/?$",
        "must be the address of a store, http:// or https:// and a host with or without a port, "
        "and no path: https://s3.example.com:9000",
        max_length=255,
    ),
]


class ObjectStore(Model):
    """An S3-compatible object store. It holds the only copy that survives the cluster."""

    bucket: Annotated[
        str,
        *worded(
            r"^[a-z0-9]([a-z0-9-]|\.[a-z0-9])*[a-z0-9]$",
            "objectStore.bucket must be the name of a bucket: 3 to 63 lower-case letters, digits, "
            "hyphens and single dots",
            min_length=3,
            max_length=63,
        ),
    ] = Field(
        description="Name of the bucket, which must exist. After a change new backups go to the "
        "new bucket; what lies in the old one stays there.",
    )
    endpoint: Address | None = Field(
        None,
        description="Address of the store, e.g. https://s3.example.com. Default: AWS, by region.",
    )
    public_endpoint: Address | None = Field(
        None,
        description="Address of the same store as clients outside the cluster reach it; download "
        "links carry it. Default: endpoint.",
    )
    prefix: (
        Annotated[
            str,
            *worded(
                r"^[A-Za-z0-9!_.*'()-]+(/[A-Za-z0-9!_.*'()-]+)*/?$",
                "objectStore.prefix must be a folder such as team/shop: no slash in front, none "
                "twice, no spaces",
                max_length=255,
            ),
        ]
        | None
    ) = Field(
        None,
        description="Folder in the bucket, so that several installations can share it. "
        "Default: none.",
    )
    region: str | None = Field(
        None, max_length=63, description="The store's region. Default: us-east-1."
    )
    credentials_secret_ref: Reference | None = Field(
        None,
        description="Secret with the keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and "
        "AWS_SESSION_TOKEN where needed. Default: the identity of the pod's service account.",
    )
    path_style: bool = Field(
        False,
        description="True addresses the bucket in the path (https://host/bucket/key), as most "
        "stores but AWS want it. Default: false.",
    )
    ca_secret_ref: SecretKeyReference | None = Field(
        None,
        description="Certificate authority of the store's TLS certificate, in PEM. "
        "Default: the public ones.",
    )
    sse: Encryption | None = Field(
        None, description="Encryption by the store. Default: as the bucket is set up."
    )


class ProjectDefaults(Model):
    """What a Database of the Project gets where it says nothing itself."""

    region: ObjectName | None = Field(
        None, description="Region of new Databases. A Database keeps the region it was made in."
    )
    backup: BackupSettings = Field(BackupSettings(), description="Backups by schedule.")
    pitr: PitrSettings = Field(PitrSettings(), description="Point-in-time recovery.")


class Quota(Model):
    """Limits of the Project."""

    backup_gib: int | None = Field(
        None,
        ge=1,
        le=1_000_000_000,
        alias="backupGiB",
        description="Space that its backups may take, in GiB (2^30 bytes). Above it no backup is "
        "begun and the condition BackupHealthy says PlanLimitExceeded. Default: no limit.",
    )
    databases: int | None = Field(
        None,
        ge=0,
        le=100_000,
        description="Databases that may be in it; further ones wait with the reason "
        "PlanLimitExceeded. Default: no limit.",
    )


class ProjectSpec(Model):
    """What the Project should be."""

    display_name: Text | None = Field(
        None, description="Name for people. Default: the object's name."
    )
    defaults: ProjectDefaults = Field(
        ProjectDefaults(), description="What its Databases get where they say nothing themselves."
    )
    object_store: ObjectStore | None = Field(
        None,
        description="Where backups and archives go. Default: the installation's store; with "
        "neither there are no backups, and BackupHealthy says NoObjectStore.",
    )
    deletion_policy: ProjectDeletionPolicy = Field(
        ProjectDeletionPolicy.RETAIN,
        description="On deletion of the Project. Retain: it stays until its last Database is "
        "gone. Delete: its Databases are deleted first, each by its own deletionPolicy. "
        "Default: Retain.",
    )
    quota: Quota = Field(Quota(), description="Limits of the Project.")


class ProjectStatus(Model):
    """What the operator found; nobody else writes here."""

    id: PublicId | None = Field(None, description="Public id, proj_…, made from the UID.")
    phase: ProjectPhase | None = Field(
        None, description="Pending, Active, Deleting or Failed; the conditions say more."
    )
    observed_generation: int = Field(
        -1, description="The metadata.generation that this status is about; -1: none yet."
    )
    databases: int | None = Field(None, description="Databases in the Project.")
    databases_ready: int | None = Field(None, description="Those of them that are ready.")
    backups: int | None = Field(None, description="Finished backups of its Databases.")
    backup_bytes: int | None = Field(None, description="What these take, in bytes.")
    conditions: Conditions = ()


class Project(Resource):
    """Databases that belong together: one object store, common defaults, one quota."""

    definition: ClassVar = Definition(
        kind="Project",
        plural="projects",
        singular="project",
        short_names=("pbproj",),
        columns=(
            Column("Phase", ".status.phase", "State in one word"),
            READY,
            Column("Databases", ".status.databases", "Databases in it", type="integer"),
            Column("Up", ".status.databasesReady", "Databases that are ready", type="integer"),
            Column("Bucket", ".spec.objectStore.bucket", "Bucket of its own", priority=1),
            AGE,
            MESSAGE,
        ),
    )

    rules = (short_name(63),)

    spec: ProjectSpec = Field(ProjectSpec(), description="What the Project should be.")
    status: ProjectStatus = Field(ProjectStatus(), description="What the operator found.")
