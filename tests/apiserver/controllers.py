"""What else acts on a Database's children: volume binder, StatefulSet controller, kubelet, garbage
collector. As far as the operator could notice, and one step of each at a time, so that the same
things happen in the same order whenever they happen.
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterator
from contextlib import suppress

from apiserver.postgres import Disk, Server
from postbase_operator.desired import names
from postbase_operator.kube.kinds import (
    ALL,
    CONFIG_MAP,
    DATABASE,
    EVENT,
    NAMESPACE,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    SECRET,
    STATEFUL_SET,
    Body,
    Kind,
    kind_of,
)
from postbase_operator.kube.refusals import AlreadyExists
from postbase_operator.kube.session import Session

CLAIM = PERSISTENT_VOLUME_CLAIM
STORAGE_CLASS = "growing"
ADDRESS = "10.1.2.3"
SYSTEM_IDS = itertools.count(7300000000000000001)


class Controllers:
    """Those of one namespace. `tell` them of every write; `events` are for the operator."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.objects: dict[tuple[Kind, str], Body] = {}
        self.events: list[tuple[Kind, str, Body]] = []
        self.disks: dict[str, Disk] = {}  # by the claim's UID
        self.server: Server | None = None
        self.passwords: set[str] = set()
        """Every one that the credentials Secret ever had."""
        self.torn_off = False
        """A Database has gone while its server still ran."""

    def tell(self, body: Body) -> None:
        if (body.get("apiVersion"), body.get("kind")) not in ALL:
            return  # a Status: something is gone that nobody waits for
        kind, meta = kind_of(body), body["metadata"]
        gone = "deletionTimestamp" in meta and not meta.get("finalizers")
        if gone:
            self.objects.pop((kind, meta["name"]), None)
            self.torn_off |= kind is DATABASE and self.server is not None
        else:
            self.objects[kind, meta["name"]] = body
        if kind is SECRET and "password" in body.get("data", {}):
            self.passwords.add(base64.b64decode(body["data"]["password"]).decode())
        self.events.append((kind, "DELETED" if gone else "MODIFIED", body))

    def of(self, kind: Kind) -> Iterator[Body]:
        """Of this kind, with its name."""
        yield from [body for (held, _), body in self.objects.items() if held is kind]

    def one(self, kind: Kind) -> Body | None:
        return next(self.of(kind), None)

    def uids(self) -> dict[tuple[Kind, str], str]:
        """Of what is in the namespace, but for what is told there."""
        return {
            place: body["metadata"]["uid"]
            for place, body in self.objects.items()
            if place[0] not in (EVENT, NAMESPACE)
        }

    async def act(self) -> bool:
        """The next thing that one of them would do; False where none has anything to do."""
        for step in (self._claims, self._pods, self._processes, self._collect):
            if await step():
                return True
        return False

    # -- the binder, the resizer and who protects claims in use ------------------------------

    async def _claims(self) -> bool:
        for claim in self.of(CLAIM):
            meta, spec, status = claim["metadata"], claim["spec"], claim.get("status", {})
            size = spec["resources"]["requests"]["storage"]
            if "deletionTimestamp" in meta:
                if self.one(POD) is None:
                    await self._strip(CLAIM, claim)
                    return True
            elif not spec.get("volumeName"):
                await self._bind(claim)
                return True
            elif status.get("capacity", {}).get("storage") != size:
                told = {"phase": "Bound", "capacity": {"storage": size}}
                await self._status(CLAIM, claim, told)
                return True
        return False

    async def _bind(self, claim: Body) -> None:
        meta = claim["metadata"]
        name = f"pv-{meta['uid']}"
        volume = {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name},
            "spec": {
                "capacity": claim["spec"]["resources"]["requests"],
                "accessModes": claim["spec"]["accessModes"],
                "persistentVolumeReclaimPolicy": "Delete",
                "storageClassName": STORAGE_CLASS,
                "hostPath": {"path": "/nowhere"},
                "claimRef": {key: meta[key] for key in ("namespace", "name", "uid")},
            },
        }
        with suppress(AlreadyExists):  # the answer was lost the last time
            await self.session.create(PERSISTENT_VOLUME, None, volume, "binder")
        self.disks.setdefault(meta["uid"], Disk())
        patch = {"spec": {"volumeName": name}}
        await self.session.merge(CLAIM, meta["namespace"], meta["name"], patch, "binder")

    # -- the StatefulSet controller ----------------------------------------------------------

    async def _pods(self) -> bool:
        workload, pod = self.one(STATEFUL_SET), self.one(POD)
        if pod is not None and "deletionTimestamp" in pod["metadata"]:
            self.server = None
            await self._strip(POD, pod)
            return True
        if workload is None:
            return False
        if "deletionTimestamp" in workload["metadata"]:
            await (self._strip(STATEFUL_SET, workload) if pod is None else self._delete(POD, pod))
            return True
        if pod is None and workload["spec"]["replicas"]:
            await self._make_pod(workload)
            return True
        return False

    async def _make_pod(self, workload: Body) -> None:
        meta, template = workload["metadata"], workload["spec"]["template"]
        owner = {"apiVersion": "apps/v1", "kind": "StatefulSet", "controller": True}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"{meta['name']}-0",
                "labels": template["metadata"]["labels"],
                "ownerReferences": [{**owner, "name": meta["name"], "uid": meta["uid"]}],
            },
            "spec": template["spec"],
        }
        await self.session.create(POD, meta["namespace"], pod, "statefulset")

    # -- the kubelet -------------------------------------------------------------------------

    async def _processes(self) -> bool:
        pod, config = self.one(POD), self.one(CONFIG_MAP)
        if pod is None or config is None:
            return False
        if self.server is None:
            return await self._start(pod)
        poked = pod["metadata"].get("annotations", {}).get(names.ANNOTATION_CONFIG)
        if poked == config["data"]["revision"]:
            self.server.mounted, self.server.waits = poked, _waits(config)
        return False

    async def _start(self, pod: Body) -> bool:
        """What initdb.sh and start.sh do; nothing where a volume of the pod is not there yet."""
        mounts = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        claim = self.objects[CLAIM, mounts["data"]["persistentVolumeClaim"]["claimName"]]
        config = self.objects.get((CONFIG_MAP, mounts["config"]["configMap"]["name"]))
        tls = self.objects.get((SECRET, mounts["tls"]["secret"]["secretName"]))
        if config is None or tls is None or claim["status"].get("phase") != "Bound":
            return False
        disk, expected = self.disks[claim["metadata"]["uid"]], config["data"]["expected-system-id"]
        if not disk.system_id:
            assert expected == "new", f"system {expected} is expected on an empty volume"
            disk.system_id = str(next(SYSTEM_IDS))
            disk.made += 1
        assert expected in ("new", disk.system_id), f"{expected} on the volume of {disk.system_id}"
        files = {key: base64.b64decode(value) for key, value in tls["data"].items()}
        revision = config["data"]["revision"]
        keys = files["tls.crt"], files["ca.crt"]
        self.server = Server(disk, ADDRESS, revision, *keys, waits=_waits(config))
        await self._status(POD, pod, running(pod, self.server))
        return True

    # -- the garbage collector ---------------------------------------------------------------

    async def _collect(self) -> bool:
        """Whatever belonged to a Database that is gone."""
        there = {body["metadata"]["uid"] for body in self.of(DATABASE)}
        for (kind, _), body in list(self.objects.items()):
            owners = body["metadata"].get("ownerReferences") or []
            missed = [o for o in owners if o["kind"] == "Database" and o["uid"] not in there]
            if missed and not await self._lives(missed[0], body["metadata"]["namespace"]):
                await self._delete(kind, body)
                return True
        return False

    async def _lives(self, owner: Body, namespace: str) -> bool:
        """It may be younger than the list of Databases; the real collector asks for it as well."""
        live = await self.session.find(DATABASE, namespace, owner["name"])
        return live is not None and live["metadata"]["uid"] == owner["uid"]

    # -- writes ------------------------------------------------------------------------------

    async def _delete(self, kind: Kind, body: Body) -> None:
        meta = body["metadata"]
        await self.session.delete(kind, meta["namespace"], meta["name"], meta["uid"], grace=0)
        held = self.objects.get((kind, meta["name"]))
        if held is not None and kind is not POD:  # a pod ends by a step of its own
            await self._strip(kind, held)

    async def _strip(self, kind: Kind, body: Body) -> None:
        """Nothing holds it any more."""
        meta, patch = body["metadata"], {"metadata": {"finalizers": None}}
        await self.session.merge(kind, meta["namespace"], meta["name"], patch, "collector")

    async def _status(self, kind: Kind, body: Body, status: Body) -> None:
        meta = {key: body["metadata"][key] for key in ("name", "namespace", "uid")}
        intent = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta}
        await self.session.apply(
            kind, {**intent, "status": status}, "kubelet", subresource="status"
        )


def _waits(config: Body) -> bool:
    return "synchronous_standby_names = " in config["data"]["postgresql.conf"]


def running(pod: Body, server: Server) -> Body:
    """The status of a pod whose PostgreSQL answers."""
    (spec,) = pod["spec"]["containers"]
    since = server.started_at.isoformat(timespec="seconds").replace("+00:00", "Z")
    container = {
        "name": names.POSTGRES_CONTAINER,
        "image": spec["image"],
        "imageID": "sha256:0",
        "resources": spec["resources"],
        "ready": True,
        "started": True,
        "restartCount": 0,
        "state": {"running": {"startedAt": since}},
    }
    address = {"podIP": server.address, "podIPs": [{"ip": server.address}]}
    return {"phase": "Running", "containerStatuses": [container], **address}
