"""What runs on the node and how: every argument and every configuration file, each with its reason.

The files are pure text: a change here is seen as a change of the whole node. The commands' keys
and kubeconfigs are made when first asked for.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from node import cgroups, declared, golang, network
from node.control_plane import Argv, Plane
from node.ports import Port

NAME = "postbase-node"
DNS_SERVICE = "10.96.0.10"
DOMAIN = "cluster.local"

# In two parts: the body needs the head's API server.
HEAD = ("etcd", "kube-apiserver", "containerd")
BODY = (
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "coredns",
    "provisioner",
)


@dataclass(frozen=True)
class Node:
    """The node's own folders, below one that is its own too."""

    state: Path

    @property
    def plane(self) -> Plane:
        return Plane(self.state / "plane", network.ADDRESS, 6443, 2379, 2380)

    @property
    def socket(self) -> Path:
        return self.state / "run" / "containerd.sock"

    @property
    def volumes(self) -> Path:
        return self.state / "volumes"

    @property
    def pod_logs(self) -> Path:
        return self.state / "log" / "pods"

    def ports(self) -> list[Port]:
        """All that listen; each on the loopback or on the bridge, none on an outer address."""
        bridge = [(6443, "kube-apiserver"), (10250, "kubelet"), (53, "CoreDNS")]
        loopback = [
            (2379, "etcd"),
            (2380, "etcd"),
            (10248, "kubelet"),
            (10249, "kube-proxy"),
            (10256, "kube-proxy"),
            (10257, "kube-controller-manager"),
            (10259, "kube-scheduler"),
        ]
        return [
            *(Port(network.ADDRESS, number, use) for number, use in bridge),
            *(Port("127.0.0.1", number, use) for number, use in loopback),
        ]

    def head(self) -> Mapping[str, Argv]:
        return {
            "etcd": self.plane.etcd(),
            "kube-apiserver": self.plane.apiserver(),
            "containerd": ["containerd", "--config", self.state / "containerd.toml"],
        }

    def body(self) -> Mapping[str, Argv]:
        kube = golang.built("kube")
        plane = self.plane
        return {
            "kube-controller-manager": plane.controllers(),
            "kube-scheduler": [
                kube.with_name("kube-scheduler"),
                f"--kubeconfig={plane.kubeconfig_for('system:kube-scheduler')}",
                "--bind-address=127.0.0.1",
                "--leader-elect=false",
            ],
            "kubelet": [
                kube.with_name("kubelet"),
                f"--config={self.state / 'kubelet.json'}",
                f"--kubeconfig={plane.kubeconfig_for(f'system:node:{NAME}', 'system:nodes')}",
                f"--hostname-override={NAME}",
                f"--node-ip={network.ADDRESS}",
                f"--root-dir={self.state / 'kubelet'}",
            ],
            "kube-proxy": self._proxy(),
            "coredns": [golang.built("coredns"), "-conf", self.state / "Corefile"],
            "provisioner": [
                golang.built("provisioner"),
                f"--kubeconfig={plane.kubeconfig}",
                f"--folder={self.volumes}",
                f"--node={NAME}",
            ],
        }

    def _proxy(self) -> Sequence[str | Path]:
        return [
            golang.built("kube").with_name("kube-proxy"),
            f"--kubeconfig={self.plane.kubeconfig_for('system:kube-proxy')}",
            f"--hostname-override={NAME}",
            "--proxy-mode=iptables",
            f"--cluster-cidr={network.PODS}",
            "--healthz-bind-address=127.0.0.1:10256",
            "--metrics-bind-address=127.0.0.1:10249",
            # Leave the machine's connection tracking and loopback routing as they are.
            "--conntrack-max-per-core=0",
            "--conntrack-min=0",
            "--conntrack-tcp-timeout-established=0",
            "--conntrack-tcp-timeout-close-wait=0",
            "--iptables-localhost-nodeports=false",
        ]

    def files(self, pause: str) -> Mapping[Path, str]:
        return {
            self.state / "containerd.toml": self._containerd(pause),
            self.state / "cni" / "10-postbase.conflist": self._cni(),
            self.state / "kubelet.json": self._kubelet(),
            self.state / "Corefile": self._corefile(),
        }

    def _containerd(self, pause: str) -> str:
        run = self.state / "run"
        cri = 'plugins."io.containerd.grpc.v1.cri"'
        return f"""version = 2
root = "{self.state / "containerd"}"
state = "{run / "containerd"}"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]
[grpc]
address = "{self.socket}"
[plugins."io.containerd.internal.v1.opt"]
path = "{self.state / "opt"}"
[{cri}]
sandbox_image = "{pause}"
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
stream_server_address = "127.0.0.1"
[{cri}.cni]
bin_dir = "{declared.CNI_PLUGINS}"
conf_dir = "{self.state / "cni"}"
[{cri}.containerd]
snapshotter = "overlayfs"
[{cri}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[{cri}.containerd.runtimes.runc.options]
Root = "{run / "runc"}"
SystemdCgroup = false
"""

    def _cni(self) -> str:
        return json.dumps(
            {
                "cniVersion": "0.4.0",
                "name": "postbase",
                "plugins": [
                    {
                        "type": "bridge",
                        "bridge": network.BRIDGE,
                        "isGateway": True,
                        "ipMasq": True,
                        "hairpinMode": True,  # a pod may be behind the Service that it calls
                        "ipam": {
                            "type": "host-local",
                            "ranges": [[{"subnet": network.PODS, "gateway": network.ADDRESS}]],
                            "routes": [{"dst": "0.0.0.0/0"}],
                            "dataDir": str(self.state / "ipam"),
                        },
                    },
                    {"type": "portmap", "capabilities": {"portMappings": True}},
                ],
            },
            indent=1,
        )

    def _kubelet(self) -> str:
        return json.dumps(
            {
                "apiVersion": "kubelet.config.k8s.io/v1beta1",
                "kind": "KubeletConfiguration",
                "address": network.ADDRESS,
                "authentication": {
                    "anonymous": {"enabled": False},
                    "webhook": {"enabled": True},
                    "x509": {"clientCAFile": str(self.plane.trust)},
                },
                "authorization": {"mode": "Webhook"},
                "clusterDNS": [DNS_SERVICE],
                "clusterDomain": DOMAIN,
                "containerRuntimeEndpoint": f"unix://{self.socket}",
                "cgroupDriver": "cgroupfs",
                "cgroupRoot": f"/{cgroups.NAME}",
                "enforceNodeAllocatable": [],
                "failSwapOn": False,
                # A sandbox refuses some writes below /proc that the kubelet makes as real root.
                "featureGates": {"KubeletInUserNamespace": True},
                "podLogsDir": str(self.pod_logs),
                "volumePluginDir": str(self.state / "kubelet-plugins"),
                # Nothing can be pulled: an image that were collected would never come back.
                "imageGCHighThresholdPercent": 100,
                "evictionHard": {
                    "memory.available": "100Mi",
                    "nodefs.available": "0%",
                    "nodefs.inodesFree": "0%",
                    "imagefs.available": "0%",
                    "imagefs.inodesFree": "0%",
                },
                "maxPods": 250,
            },
            indent=1,
        )

    def _corefile(self) -> str:
        return f""".:53 {{
    bind {network.ADDRESS}
    errors
    kubernetes {DOMAIN} in-addr.arpa ip6.arpa {{
        kubeconfig {self.plane.kubeconfig}
        ttl 5
    }}
    forward . /etc/resolv.conf
}}
"""
