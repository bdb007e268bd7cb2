"""The bridge, its route, kernel settings: what of the host's network is taken and given back.

The bridge is made beforehand because the API server and CoreDNS listen on its address before the
first pod would make it.
"""

import json
import socket
from pathlib import Path

from node import paths
from node.commands import run, succeeds
from node.control_plane import SERVICES
from node.errors import NodeError

BRIDGE = "cni0"
ADDRESS = "10.88.0.1"
PODS = "10.88.0.0/16"

_SYS = Path("/proc/sys")
_BEFORE = paths.STATE / "sysctls.json"
_WANTED = {"net/ipv4/ip_forward": "1", "net/bridge/bridge-nf-call-iptables": "1"}
# The kubelet and kube-proxy write these by themselves.
_TOUCHED = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
    "net/ipv4/conf/all/route_localnet",
    "net/netfilter/nf_conntrack_max",
    "net/netfilter/nf_conntrack_tcp_be_liberal",
    "net/netfilter/nf_conntrack_tcp_timeout_established",
    "net/netfilter/nf_conntrack_tcp_timeout_close_wait",
)


def raise_up() -> None:
    _refuse_overlap()
    if not (_SYS / "net/bridge").exists():
        run(["modprobe", "br_netfilter"])
    _BEFORE.write_text(json.dumps(sysctls()))
    for name, value in _WANTED.items():
        (_SYS / name).write_text(value)
    run(["ip", "link", "add", BRIDGE, "type", "bridge"])
    run(["ip", "address", "add", f"{ADDRESS}/16", "dev", BRIDGE])
    run(["ip", "link", "set", BRIDGE, "up"])
    # Without a default route the machine would not even begin to send to a Service.
    run(["ip", "route", "add", SERVICES, "dev", BRIDGE])


def take_down() -> None:
    for link in json.loads(run(["ip", "-json", "link", "show", "type", "veth"]) or "[]"):
        if link.get("master") == BRIDGE:
            succeeds(["ip", "link", "delete", link["ifname"]])
    if exists():
        run(["ip", "link", "delete", BRIDGE])
    if _BEFORE.exists():
        now = sysctls()
        for name, value in json.loads(_BEFORE.read_text()).items():
            if now.get(name) != value:
                (_SYS / name).write_text(value)


def exists() -> bool:
    return BRIDGE in links()


def links() -> set[str]:
    return {name for _, name in socket.if_nameindex()}


def sysctls() -> dict[str, str]:
    """The kernel settings that the node, or a program in it, changes."""
    files = [_SYS / name for name in (*_WANTED, *_TOUCHED)]
    return {str(f.relative_to(_SYS)): f.read_text().strip() for f in files if f.exists()}


def _refuse_overlap() -> None:
    for route in json.loads(run(["ip", "-json", "-4", "route", "show"]) or "[]"):
        if route["dst"].startswith(("10.88.", "10.96.")):
            raise NodeError(
                f"the network {route['dst']} of {route.get('dev')} is in the way: "
                f"the node needs {PODS} and {SERVICES}"
            )
