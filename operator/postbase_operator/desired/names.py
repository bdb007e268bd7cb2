"""The names of everything that belongs to a Database: formatted here and nowhere else.

A Database's name is at most 40 characters (CEL), so that the longest of these stays a DNS label.
"""

from __future__ import annotations

from dataclasses import dataclass

INSTANCE = 1
"""Objects carry an instance number from the start, so that standbys can come without renaming."""

DATABASE = "app"
OWNER = "app"
LOGINS = ("app_a", "app_b")

PORT = 5432
SIDECAR_PORT = 8432
"""Where the sidecar tells how it does, while archiving is on: TLS, and a token."""
MOUNT = "/postbase/data"
PGDATA = f"{MOUNT}/pgdata"
CONFIG_MOUNT = "/postbase/config"
TLS_MOUNT = "/postbase/tls"
STORE_MOUNT = "/postbase/store"
RUN_MOUNT = "/postbase/run"
"""A Job's own: pipes between its containers, certificates for some hours."""
OWN_MOUNT = "/postbase/own"
"""A Job's program's alone: the certificate that makes it a superuser."""
AUTHORITY_MOUNT = "/postbase/ca"
TRUST_MOUNT = "/postbase/trust"
SOCKETS = "/var/run/postgresql"
SETTINGS_FILE = f"{CONFIG_MOUNT}/postgresql.conf"
FALLBACK_FILE = f"{MOUNT}/postgresql.conf.running"
"""What start.sh gives the server to read where it refuses the mounted settings."""
CERTIFICATE_FILE = f"{TLS_MOUNT}/tls.crt"
REVISION_FILE = f"{CONFIG_MOUNT}/revision"

DATA_VOLUME = "data"
POSTGRES_CONTAINER = "postgres"
INITDB_CONTAINER = "initdb"
SIDECAR_CONTAINER = "wal-receiver"

LABEL_DATABASE = "postbase.sh/database"
LABEL_INSTANCE = "postbase.sh/instance"
LABEL_ROLE = "postbase.sh/role"
LABEL_BACKUP = "postbase.sh/backup"
LABEL_COMPONENT = "app.kubernetes.io/component"
LABEL_PROTECTED = "postbase.sh/protected"
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGED_BY = "postbase-operator"

ANNOTATION_DATABASE_UID = "postbase.sh/database-uid"
ANNOTATION_SYSTEM_ID = "postbase.sh/system-id"
ANNOTATION_GENERATION = "postbase.sh/generation"
ANNOTATION_VOLUME_ROLE = "postbase.sh/role"
ANNOTATION_IMAGE = "postbase.sh/image"
ANNOTATION_IMAGE_TAG = "postbase.sh/image-tag"
ANNOTATION_UPGRADE = "postbase.sh/upgrade"
ANNOTATION_UPGRADING = "postbase.sh/upgrading"
ANNOTATION_DELETE_AFTER = "postbase.sh/delete-after"
ANNOTATION_RESTORE = "postbase.sh/restore"
ANNOTATION_OPENS = "postbase.sh/opens-volumes"
"""On Railway: names of kept volumes whose superuser has the password of this Secret."""
ANNOTATION_KEPT = "postbase.sh/volume-kept"
ANNOTATION_CONFIG = "postbase.sh/config-revision"
ANNOTATION_RECEIVER = "postbase.sh/receiver-revision"

FINALIZER = "postbase.sh/cleanup"


@dataclass(frozen=True, slots=True)
class Names:
    """The child names of one Database."""

    namespace: str
    database: str

    @property
    def statefulset(self) -> str:
        return f"{self.database}-{INSTANCE}"

    @property
    def pod(self) -> str:
        return f"{self.statefulset}-0"

    def volume(self, generation: int) -> str:
        return f"{self.statefulset}-{generation}"

    @property
    def config(self) -> str:
        return f"{self.database}-config"

    @property
    def credentials(self) -> str:
        return f"{self.database}-credentials"

    @property
    def authority(self) -> str:
        return f"{self.database}-ca"

    @property
    def tls(self) -> str:
        return f"{self.database}-tls"

    def superuser(self, uid: str) -> str:
        """On Railway alone: on Kubernetes no superuser has a password. With a part of the
        Database's UID, as it stays with a kept volume, and the next of this name has its own."""
        return f"{self.database}-superuser-{uid[:8]}"

    def replication(self, uid: str) -> str:
        """On Railway alone: the password of the role that receives the log."""
        return f"{self.database}-replication-{uid[:8]}"

    @property
    def store(self) -> str:
        return f"{self.database}-store"

    @property
    def service(self) -> str:
        return self.database

    @property
    def headless_service(self) -> str:
        return f"{self.database}-pods"

    @property
    def disruption_budget(self) -> str:
        return self.database

    @property
    def network_policy(self) -> str:
        return self.database

    @property
    def host(self) -> str:
        """The name that clients use; no cluster domain, which is not ours to know."""
        return f"{self.service}.{self.namespace}.svc"

    @property
    def hosts(self) -> tuple[str, ...]:
        """All DNS names that the server certificate is for."""
        short = f"{self.service}.{self.namespace}"
        pod = f"{self.pod}.{self.headless_service}.{self.namespace}.svc"
        return (
            self.host,
            self.service,
            short,
            f"{self.host}.cluster.local",
            pod,
            f"{pod}.cluster.local",
        )
