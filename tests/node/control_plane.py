"""etcd and kube-apiserver: alone for the apiserver tests, and as the head of the node.

with control_plane(tmp_path, controllers=True) as plane:
    subprocess.run([plane.kubectl, "--kubeconfig", plane.kubeconfig, "get", "ns"])
"""

import http.client
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from node import golang, kubeconfigs, paths, ports, waiting
from node.certificates import Authority
from node.errors import NodeError

SERVICES = "10.96.0.0/16"
FIRST_SERVICE = "10.96.0.1"

Argv = Sequence[str | Path]


@dataclass(frozen=True)
class Plane:
    """Where one control plane lives; everything else follows from it."""

    folder: Path
    address: str
    port: int
    etcd_port: int
    etcd_peer_port: int

    @property
    def server(self) -> str:
        return f"https://{self.address}:{self.port}"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's: member of system:masters, by client certificate."""
        return self.folder / "admin.kubeconfig"

    @property
    def kubectl(self) -> Path:
        return golang.built("kube").with_name("kubectl")

    @property
    def trust(self) -> Path:
        return self.folder / "pki" / "ca.crt"

    @property
    def authority(self) -> Authority:
        return Authority(self.folder / "pki")

    def kubeconfig_for(self, user: str, group: str = "") -> Path:
        """For a component, known to RBAC by its user or group."""
        client = self.authority.client(user.rpartition(":")[2], user, group)
        file = self.folder / f"{user.rpartition(':')[2]}.kubeconfig"
        return kubeconfigs.write(file, self.server, self.authority, client, "postbase-node")

    def prepare(self) -> None:
        client = self.authority.client("admin", "admin", "system:masters")
        kubeconfigs.write(self.kubeconfig, self.server, self.authority, client, "postbase-node")

    def etcd(self) -> Argv:
        """Without fsync: the cluster is made anew after any crash, so only its speed counts."""
        url = f"http://127.0.0.1:{self.etcd_port}"
        peer = f"http://127.0.0.1:{self.etcd_peer_port}"
        return [
            golang.built("kube").with_name("etcd"),
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={url}",
            f"--advertise-client-urls={url}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
            "--auto-compaction-retention=5m",
            "--log-level=warn",
        ]

    def apiserver(self) -> Argv:
        pki = self.authority
        names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
        addresses = sorted({self.address, FIRST_SERVICE, "127.0.0.1"})
        serving = pki.server("kube-apiserver", addresses, names)
        kubelet = pki.client("kubelet-client", "kube-apiserver-kubelet-client", "system:masters")
        tokens = pki.signing_key("service-account")
        return [
            golang.built("kube").with_name("kube-apiserver"),
            f"--etcd-servers=http://127.0.0.1:{self.etcd_port}",
            f"--bind-address={self.address}",
            f"--advertise-address={self.address}",
            f"--secure-port={self.port}",
            f"--service-cluster-ip-range={SERVICES}",
            f"--client-ca-file={pki.certificate}",
            f"--tls-cert-file={serving.certificate}",
            f"--tls-private-key-file={serving.key}",
            f"--kubelet-client-certificate={kubelet.certificate}",
            f"--kubelet-client-key={kubelet.key}",
            "--kubelet-preferred-address-types=InternalIP",
            f"--service-account-key-file={tokens}",
            f"--service-account-signing-key-file={tokens}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            "--profiling=false",
        ]

    def controllers(self) -> Argv:
        pki = self.authority
        return [
            golang.built("kube").with_name("kube-controller-manager"),
            f"--kubeconfig={self.kubeconfig_for('system:kube-controller-manager')}",
            "--bind-address=127.0.0.1",
            f"--root-ca-file={pki.certificate}",
            f"--service-account-private-key-file={pki.signing_key('service-account')}",
            "--use-service-account-credentials",
            "--leader-elect=false",
            "--profiling=false",
        ]

    def ready(self) -> bool:
        """/readyz: true only when the server's own start-up hooks are done, RBAC roles included."""
        context = ssl.create_default_context(cafile=str(self.trust))
        link = http.client.HTTPSConnection(self.address, self.port, timeout=2, context=context)
        try:
            link.request("GET", "/readyz")
            return link.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            link.close()


@contextmanager
def control_plane(folder: Path, *, controllers: bool = False) -> Iterator[Plane]:
    """etcd and kube-apiserver on free ports of the loopback, gone with the block.

    `controllers` adds kube-controller-manager: garbage collection, namespaces' ends, accounts.
    The programs must be built (`node build`); beside a node it runs without disturbing it.
    """
    if not golang.built("kube").exists():
        raise NodeError("the Go programs are not built: run `make up`, or `python3 -m node build`")
    plane = Plane(folder, "127.0.0.1", ports.free(), ports.free(), ports.free())
    plane.prepare()
    with ExitStack() as running:
        started = [
            running.enter_context(_child(argv, folder / f"{role}.log"))
            for role, argv in (("etcd", plane.etcd()), ("kube-apiserver", plane.apiserver()))
        ]
        waiting.until(
            lambda: plane.ready() or any(process.poll() is not None for process in started),
            f"kube-apiserver is ready (logs: {folder})",
            seconds=60,
        )
        if not plane.ready():
            raise NodeError(f"etcd or kube-apiserver ended at once: see {folder}/*.log")
        if controllers:
            log = folder / "kube-controller-manager.log"
            running.enter_context(_child([*plane.controllers(), "--secure-port=0"], log))
        yield plane


@contextmanager
def _child(argv: Argv, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Dies with its parent, even by kill -9: a test run that was shot leaves no servers."""
    setpriv = [paths.BIN / "setpriv", "--pdeathsig", "KILL"]
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(word) for word in (*setpriv, *argv)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
