"""What the API server must accept and refuse, as data: one table for it and for the models.

A case is a change to the smallest manifest of its kind. `refused` are words that the refusal must
have in it: the field, and the way out. Without them the manifest must be accepted. With `then` the
manifest is made first, and the verdict is about the change. `model` marks what the models refuse
as well, without an API server.
"""

# ruff: noqa: E501 - a table: one case a line, and the design verbatim

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import yaml

Manifest = dict[str, Any]

# Verbatim from the design: the names that outside checks, docs and the gateway rely on.
DESIGN = """\
apiVersion: postbase.sh/v1alpha1
kind: Project
metadata: {name: shop}
spec: {}                                  # displayName, defaults (region, backup, pitr), objectStore, deletionPolicy
---
apiVersion: postbase.sh/v1alpha1
kind: Database
metadata: {name: shop-main}
spec:
  projectRef: {name: shop}
  postgresVersion: "15"                   # the major; or image: for a stock image of one's own
  storage: {size: 1Gi}                    # storageClassName
  resources: {cpu: 500m, memory: 512Mi}
  parameters: {work_mem: 8MB}
  backup: {schedule: "0 3 * * *", retentionDays: 30}
  pitr: {enabled: true, retentionDays: 7} # rpo: Async | Zero
---
apiVersion: postbase.sh/v1alpha1
kind: Backup
metadata: {name: before-migration}
spec: {databaseRef: {name: shop-main}, method: Logical}
---
apiVersion: postbase.sh/v1alpha1
kind: PitrRestore
metadata: {name: undo-the-delete}
spec:
  databaseRef: {name: shop-main}
  source: {targetTime: "2026-11-23T14:30:00.5Z"}   # or latest: {} | lsn: | backupRef: {name: …} | previous: {}
  target: {inPlace: {}}                            # or newDatabase: {name: …}
  dryRun: false
"""
TENANT = f"""\
apiVersion: postbase.sh/v1alpha1
kind: Account
metadata: {{name: jane}}
spec: {{login: jane}}
---
apiVersion: postbase.sh/v1alpha1
kind: ApiToken
metadata: {{name: janes}}
spec: {{digest: {"0a" * 32}, accountRef: {{name: jane}}}}
"""
MANIFESTS: dict[str, Manifest] = {
    manifest["kind"]: manifest for text in (DESIGN, TENANT) for manifest in yaml.safe_load_all(text)
}


@dataclass(frozen=True)
class Case:
    name: str
    kind: str
    patch: Manifest
    refused: tuple[str, ...] = ()
    then: Manifest | None = None
    model: bool = False

    @property
    def manifest(self) -> Manifest:
        return merged(MANIFESTS[self.kind], self.patch)

    @property
    def changed(self) -> Manifest:
        return merged(self.manifest, self.then or {})

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}"


def merged(manifest: Any, patch: Any) -> Any:
    """JSON Merge Patch (RFC 7386): null takes a field away."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(manifest) if isinstance(manifest, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def spec(**fields: Any) -> Manifest:
    return {"spec": fields}


def named(name: str) -> Manifest:
    return {"metadata": {"name": name}}


DB = "Database"
SELECTOR = {"matchLabels": {"app": "web"}}
ORIGIN = {"databaseUID": "6f1c1b0e-3a52-4c1e-9d0e-0a1b2c3d4e5f"}

DATABASE = (
    Case("as in the design", DB, {}),
    Case("name of 40 characters", DB, named("d" * 40)),
    Case("name of 41 characters", DB, named("d" * 41), ("metadata.name", "at most 40", "shorter")),
    Case("name that begins with a digit", DB, named("1st"), ("metadata.name", "letter")),
    Case("name with a dot", DB, named("shop.main"), ("metadata.name", "plainer name")),
    Case("no project", DB, spec(projectRef=None), ("spec.projectRef", "Required"), model=True),
    Case("other project", DB, {}, ("spec.projectRef", "new Database"), spec(projectRef={"name": "x"})),
    Case("neither version nor image", DB, spec(postgresVersion=None),
         ("exactly one of postgresVersion, image", "keep one"), model=True),
    Case("version and image", DB, spec(image="postgis/postgis:16-3.4"),
         ("exactly one of postgresVersion, image", "keep one"), model=True),
    Case("image of one's own", DB, spec(postgresVersion=None, image="postgis/postgis:16-3.4")),
    Case("image by digest", DB, spec(postgresVersion=None, image=f"reg:5000/a/b@sha256:{'a' * 64}")),
    Case("image with a space", DB, spec(postgresVersion=None, image="a b"), ("spec.image",), model=True),
    Case("another tag", DB, spec(postgresVersion=None, image="pg:15.1"), then=spec(image="pg:15.2")),
    Case("unknown version", DB, spec(postgresVersion="13"),
         ("spec.postgresVersion", '"14", "15", "16", "17", "18"'), model=True),
    Case("other major version", DB, {},
         ("spec.postgresVersion", "Logical", "spec.bootstrap.backupRef"), spec(postgresVersion="16")),
    Case("version becomes image", DB, {}, ("spec.image", "restore into a new Database"),
         spec(postgresVersion=None, image="postgres:15")),
    Case("no storage", DB, spec(storage=None), ("spec.storage", "Required"), model=True),
    Case("storage below 1Gi", DB, spec(storage={"size": "1023Mi"}), ("spec.storage.size", "at least 1Gi")),
    Case("storage as a number of bytes", DB, spec(storage={"size": 2147483648})),
    Case("storage as a number of bytes, too few", DB, spec(storage={"size": 1000}), ("at least 1Gi",)),
    Case("storage with an exponent", DB, spec(storage={"size": "2e9"})),
    Case("storage without sense", DB, spec(storage={"size": "big"}), ("spec.storage.size",), model=True),
    Case("storage below zero", DB, spec(storage={"size": "-1Gi"}), ("spec.storage.size",), model=True),
    Case("storage grows", DB, {}, then=spec(storage={"size": "2Gi"})),
    Case("storage said otherwise", DB, {}, then=spec(storage={"size": "1024Mi"})),
    Case("storage shrinks", DB, spec(storage={"size": "10Gi"}),
         ("spec.storage.size", "cannot shrink", "new Database"), spec(storage={"size": "9Gi"})),
    Case("resources as numbers", DB, spec(resources={"cpu": 2, "memory": "1.5Gi"})),
    Case("cpu without sense", DB, spec(resources={"cpu": "fast"}), ("spec.resources.cpu",), model=True),
    Case("resources change", DB, {}, then=spec(resources={"cpu": 2, "memory": "1Gi"})),
    Case("cron of four fields", DB, spec(backup={"schedule": "0 3 * *"}), ("spec.backup.schedule",), model=True),
    Case("cron macro", DB, spec(backup={"schedule": "@daily"})),
    Case("cron with names", DB, spec(backup={"schedule": "*/15 0-6 1,15 JAN MON-FRI"})),
    Case("cron macro that is none", DB, spec(backup={"schedule": "@often"}), ("spec.backup.schedule",), model=True),
    Case("time zone", DB, spec(backup={"timeZone": "America/Argentina/Buenos_Aires"})),
    Case("time zone that is a path", DB, spec(backup={"timeZone": "../etc"}), ("spec.backup.timeZone",), model=True),
    Case("retention of no days", DB, spec(backup={"retentionDays": 0}), ("spec.backup.retentionDays", "1"), model=True),
    Case("retention of eleven years", DB, spec(backup={"retentionDays": 4000}),
         ("spec.backup.retentionDays", "3650"), model=True),
    Case("no spread", DB, spec(backup={"spread": 0})),
    Case("spread of an hour", DB, spec(backup={"spread": "1h"})),
    Case("spread without a unit", DB, spec(backup={"spread": 30}), ("spec.backup.spread",), model=True),
    Case("unknown method", DB, spec(backup={"method": "Snapshot"}), ('"Logical", "Physical"',), model=True),
    Case("PITR beyond a year", DB, spec(pitr={"retentionDays": 366}), ("spec.pitr.retentionDays", "365"), model=True),
    Case("PITR off", DB, {}, then=spec(pitr={"enabled": False})),
    Case("Zero with a fall-back", DB, spec(pitr={"rpo": "Zero", "fallbackAfter": "30s"})),
    Case("fall-back with Async", DB, spec(pitr={"rpo": "Async", "fallbackAfter": "30s"}),
         ("pitr.fallbackAfter", "rpo: Zero")),
    Case("fall-back alone", DB, spec(pitr={"fallbackAfter": "30s"}), ("pitr.fallbackAfter", "rpo: Zero")),
    Case("duration in days", DB, spec(retainVolumeFor="3d"), ("spec.retainVolumeFor",), model=True),
    Case("empty duration", DB, spec(retainVolumeFor=""), ("spec.retainVolumeFor",), model=True),
    Case("compound duration", DB, spec(retainVolumeFor="1h30m")),
    Case("a parameter as a number", DB, spec(parameters={"max_connections": 200})),
    Case("a parameter as true", DB, spec(parameters={"jit": False}), ("spec.parameters.jit",), model=True),
    Case("a parameter of two lines", DB, spec(parameters={"work_mem": "1\nfsync = off"}),
         ("spec.parameters.work_mem",), model=True),
    Case("an extension's parameter", DB, spec(parameters={"auto_explain.log_min_duration": "1s"})),
    Case("parameters in capitals", DB, spec(parameters={"FSYNC": "off"}), ("spec.parameters", "lower case")),
    Case("owned parameters", DB, spec(parameters={"fsync": "off", "port": 1, "jit": "off"}),
         ("spec.parameters: port fsync are set by the operator", "remove them")),
    Case("an owned parameter later", DB, {}, ("archive_command",), spec(parameters={"archive_command": "x"})),
    Case("wal_level minimal", DB, spec(parameters={"wal_level": "minimal"}), ("wal_level", "replica or logical")),
    Case("wal_level logical", DB, spec(parameters={"wal_level": "logical"})),
    Case("io_uring", DB, spec(parameters={"io_method": "io_uring"}), ("io_method", "worker or sync")),
    Case("too few senders", DB, spec(parameters={"max_wal_senders": 9}), ("max_wal_senders", "at least 10")),
    Case("too few slots", DB, spec(parameters={"max_replication_slots": "4"}),
         ("max_replication_slots", "at least 10")),
    Case("senders without sense", DB, spec(parameters={"max_wal_senders": "many"}), ("max_wal_senders", "number")),
    Case("enough senders", DB, spec(parameters={"max_wal_senders": "20", "max_replication_slots": 12})),
    Case("region", DB, spec(region="eu-west1")),
    Case("region changes", DB, spec(region="eu-west1"), ("spec.region", "new Database"), spec(region="us-west1")),
    Case("region added", DB, {}, ("spec.region", "new Database"), spec(region="us-west1")),
    Case("provider changes", DB, {}, ("spec.provider", "new Database"), spec(provider="Railway")),
    Case("initdb", DB, spec(initdb={"locale": "de_DE.UTF-8", "localeProvider": "libc"})),
    Case("initdb changes", DB, {}, ("spec.initdb", "new Database"), spec(initdb={"encoding": "LATIN1"})),
    Case("ICU", DB, spec(initdb={"localeProvider": "icu", "icuLocale": "de-DE"})),
    Case("ICU locale alone", DB, spec(initdb={"icuLocale": "de-DE"}), ("spec.initdb.icuLocale", "localeProvider: icu")),
    Case("ICU without a locale", DB, spec(initdb={"localeProvider": "icu"}), ("spec.initdb.icuLocale", "set both")),
    Case("user", DB, spec(podSecurity={"runAsUser": 1000660000})),
    Case("root", DB, spec(podSecurity={"runAsUser": 0}), ("spec.podSecurity.runAsUser",), model=True),
    Case("user changes", DB, {}, ("spec.podSecurity.runAsUser", "new Database"), spec(podSecurity={"runAsUser": 70})),
    Case("bootstrap empty", DB, spec(bootstrap={"empty": {}})),
    Case("bootstrap added later", DB, {}, then=spec(bootstrap={"latest": {}})),
    Case("bootstrap of nothing", DB, spec(bootstrap={}), ("spec.bootstrap", "exactly one"), model=True),
    Case("bootstrap of two", DB, spec(bootstrap={"empty": {}, "latest": {}}),
         ("spec.bootstrap", "exactly one", "keep one"), model=True),
    Case("bootstrap from a backup", DB, spec(bootstrap={"backupRef": {"name": "nightly"}})),
    Case("bootstrap from an archive", DB, spec(bootstrap={"restore": {"from": ORIGIN, "latest": {}}})),
    Case("bootstrap to a position", DB, spec(bootstrap={"restore": {"from": {"name": "x"}, "lsn": "16/B374D848"}})),
    Case("bootstrap to a time without a zone", DB,
         spec(bootstrap={"restore": {"from": ORIGIN, "targetTime": "2026-11-23T14:30:00"}}),
         ("spec.bootstrap.restore.targetTime",), model=True),
    Case("bootstrap to no moment", DB, spec(bootstrap={"restore": {"from": ORIGIN}}),
         ("spec.bootstrap.restore", "exactly one of targetTime, lsn, latest, backupID"), model=True),
    Case("bootstrap from two", DB,
         spec(bootstrap={"restore": {"from": {**ORIGIN, "name": "x"}, "latest": {}}}),
         ("spec.bootstrap.restore.from", "exactly one of databaseUID, name"), model=True),
    Case("extensions", DB, spec(extensions=[{"name": "postgis"}, {"name": "vector", "version": "0.8.0"}])),
    Case("an extension twice", DB, spec(extensions=[{"name": "vector"}, {"name": "vector"}]),
         ("spec.extensions", "Duplicate")),
    Case("who may connect", DB, spec(allowFrom=[
        {"namespaceSelector": SELECTOR, "podSelector": {}}, {"cidr": "2001:db8::/32"}])),
    Case("nobody may connect", DB, spec(allowFrom=[])),
    Case("an entry for nobody", DB, spec(allowFrom=[{}]), ("spec.allowFrom", "either cidr or selectors")),
    Case("an entry of both sorts", DB, spec(allowFrom=[{"cidr": "10.0.0.0/8", "podSelector": SELECTOR}]),
         ("spec.allowFrom", "split it")),
    Case("own secrets", DB, spec(tls={"secretRef": {"name": "tls"}}, credentials={"secretRef": {"name": "pw"}})),
    Case("rotation", DB, spec(credentials={"rotateEvery": "2160h", "overlap": "1h"})),
    Case("rotation of one's own secret", DB,
         spec(credentials={"secretRef": {"name": "pw"}, "rotateEvery": "2160h"}),
         ("spec.credentials.rotateEvery", "remove one")),
    Case("maintenance window", DB, spec(maintenanceWindow={"days": ["Sat", "Sun"], "start": "02:30"})),
    Case("maintenance window at 24:00", DB, spec(maintenanceWindow={"start": "24:00"}),
         ("spec.maintenanceWindow.start",), model=True),
    Case("placement", DB, spec(scheduling={
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "db", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}]}}},
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}]})),
    Case("every choice", DB, spec(
        expose="NodePort", disruptions="Block", onNodeLoss="Replace", restartPolicy="Never",
        deletionPolicy="FinalBackup", retainVolumeFor="72h", deletionProtection=True, paused=True,
        adoptVolume="shop-main-1-3", serviceAccountName="db", archivingGrace="10m")),
    Case("an unknown choice", DB, spec(expose="Internet"), ("spec.expose", '"LoadBalancer"'), model=True),
)  # fmt: skip

STORE = {"bucket": "backups", "endpoint": "https://s3.example.com"}
PROJECT = (
    Case("as in the design", "Project", {}),
    Case("name of 63 characters", "Project", named("p" * 63)),
    Case("name of 64 characters", "Project", named("p" * 64), ("metadata.name", "at most 63", "shorter")),
    Case("no spec at all", "Project", {"spec": None}),
    Case("everything", "Project", spec(
        displayName="The shop", deletionPolicy="Delete", quota={"backupGiB": 10, "databases": 3},
        defaults={"region": "eu-west1", "backup": {"retentionDays": 3}, "pitr": {"enabled": True}},
        objectStore={**STORE, "prefix": "team/shop", "region": "eu-central-1", "pathStyle": True,
                     "credentialsSecretRef": {"name": "s3"}, "caSecretRef": {"name": "ca"},
                     "sse": {"mode": "KMS", "kmsKeyId": "k"}, "publicEndpoint": "https://s3.example.org"})),
    Case("store without a bucket", "Project", spec(objectStore={"endpoint": "https://s3"}),
         ("spec.objectStore.bucket", "Required"), model=True),
    Case("store by another protocol", "Project", spec(objectStore={**STORE, "endpoint": "ftp://s3"}),
         ("spec.objectStore.endpoint",), model=True),
    Case("store prefix with a leading slash", "Project", spec(objectStore={**STORE, "prefix": "/a"}),
         ("spec.objectStore.prefix",), model=True),
    Case("key without KMS", "Project", spec(objectStore={**STORE, "sse": {"mode": "S3", "kmsKeyId": "k"}}),
         ("objectStore.sse.kmsKeyId", "mode: KMS")),
    Case("default fall-back with Async", "Project", spec(defaults={"pitr": {"fallbackAfter": "1m"}}),
         ("pitr.fallbackAfter", "rpo: Zero")),
    Case("quota of nothing", "Project", spec(quota={"backupGiB": 0}), ("spec.quota.backupGiB",), model=True),
    Case("store changes", "Project", spec(objectStore=STORE), then=spec(objectStore={"bucket": "elsewhere"})),
)  # fmt: skip

BACKUP = (
    Case("as in the design", "Backup", {}),
    Case("name of 63 characters", "Backup", named("p" * 63)),
    Case("name of 64 characters", "Backup", named("p" * 64), ("metadata.name", "at most 63", "shorter")),
    Case("name that begins with a digit", "Backup", named("2026-11-23")),
    Case("method left out", "Backup", spec(method=None)),
    Case("no database", "Backup", spec(databaseRef=None), ("spec.databaseRef", "Required"), model=True),
    Case("deletion policy changes", "Backup", {}, then=spec(deletionPolicy="Delete")),
    Case("method changes", "Backup", {}, ("spec of a Backup", "another Backup"), spec(method="Physical")),
    Case("database changes", "Backup", {}, ("another Backup",), spec(databaseRef={"name": "x"})),
    Case("retention added", "Backup", {}, ("another Backup",), spec(retentionDays=3)),
    Case("description removed", "Backup", spec(description="x"), ("another Backup",), spec(description=None)),
    Case("unknown deletion policy", "Backup", spec(deletionPolicy="Orphan"), ("spec.deletionPolicy",), model=True),
)  # fmt: skip


def source(**fields: Any) -> Manifest:
    return spec(source={"targetTime": None, **fields})


RESTORE = (
    Case("as in the design", "PitrRestore", {}),
    Case("name of 63 characters", "PitrRestore", named("p" * 63)),
    Case("name of 64 characters", "PitrRestore", named("p" * 64), ("metadata.name", "at most 63", "shorter")),
    Case("with an offset", "PitrRestore", source(targetTime="2026-11-23T14:30:00+02:00")),
    Case("in nanoseconds", "PitrRestore", source(targetTime="2026-11-23T14:30:00.123456789Z")),
    Case("without a zone", "PitrRestore", source(targetTime="2026-11-23T14:30:00"),
         ("spec.source.targetTime",), model=True),
    Case("with a space", "PitrRestore", source(targetTime="2026-11-23 14:30:00Z"),
         ("spec.source.targetTime",), model=True),
    Case("a day", "PitrRestore", source(targetTime="2026-11-23"), ("spec.source.targetTime",), model=True),
    Case("latest as a word", "PitrRestore", source(targetTime="latest"), ("spec.source.targetTime",), model=True),
    Case("latest", "PitrRestore", source(latest={})),
    Case("position", "PitrRestore", source(lsn="0/16B3748")),
    Case("position without sense", "PitrRestore", source(lsn="12345"), ("spec.source.lsn",), model=True),
    Case("backup", "PitrRestore", source(backupRef={"name": "nightly"})),
    Case("undo", "PitrRestore", source(previous={})),
    Case("undo into a new database", "PitrRestore",
         spec(source={"targetTime": None, "previous": {}}, target={"inPlace": None, "newDatabase": {"name": "b"}}),
         ("spec.source.previous", "spec.target.inPlace")),
    Case("no source", "PitrRestore", source(),
         ("spec.source", "exactly one of targetTime, lsn, latest, backupRef, previous"), model=True),
    Case("two sources", "PitrRestore", spec(source={"latest": {}}), ("spec.source", "exactly one"), model=True),
    Case("new database", "PitrRestore", spec(target={"inPlace": None, "newDatabase": {
        "name": "b", "size": "20Gi", "resources": {"cpu": 1}}})),
    Case("new database with a long name", "PitrRestore",
         spec(target={"inPlace": None, "newDatabase": {"name": "b" * 41}}),
         ("spec.target.newDatabase.name",), model=True),
    Case("no target", "PitrRestore", spec(target={"inPlace": None}),
         ("spec.target", "exactly one of inPlace, newDatabase"), model=True),
    Case("target left out", "PitrRestore", spec(target=None), ("spec.target", "Required"), model=True),
    Case("two targets", "PitrRestore", spec(target={"newDatabase": {"name": "b"}}),
         ("spec.target", "exactly one"), model=True),
    Case("spec changes", "PitrRestore", spec(dryRun=True), ("spec of a PitrRestore", "another PitrRestore"),
         spec(dryRun=False)),
    Case("target time changes", "PitrRestore", {}, ("another PitrRestore",),
         spec(source={"targetTime": "2026-11-23T14:31:00Z"})),
)  # fmt: skip

TENANCY = (
    Case("minimal", "Account", {}),
    Case("name with a dot", "Account", named("jane.doe"), ("metadata.name", "plainer name")),
    Case("everything", "Account", spec(githubId=12345, email="j@example.com", plan="Pro", namespace="pb-jane")),
    Case("unknown plan", "Account", spec(plan="Gold"), ("spec.plan", '"Free", "Pro"'), model=True),
    Case("plan changes", "Account", {}, then=spec(plan="Pro", login="janet", suspended=True)),
    Case("identity changes", "Account", spec(githubId=1), ("spec.githubId", "another Account"), spec(githubId=2)),
    Case("namespace changes", "Account", spec(namespace="a"), ("spec.namespace", "another Account"),
         spec(namespace="b")),
    Case("minimal", "ApiToken", {}),
    Case("everything", "ApiToken", spec(scopes=["Read"], expiresAt="2027-01-01T00:00:00Z", displayName="CI")),
    Case("a token instead of its digest", "ApiToken", spec(digest="pb_secret"), ("spec.digest",), model=True),
    Case("scopes change", "ApiToken", spec(scopes=["Read"]), ("spec of an ApiToken", "make another"),
         spec(scopes=["Read", "Write"])),
)  # fmt: skip

CASES = (*PROJECT, *DATABASE, *BACKUP, *RESTORE, *TENANCY)
