"""What is ours is told from what is not: mounts, firewall rules, listening ports."""

from pathlib import Path

from node import firewall, oci, ports, sweep

MOUNTS = """\
/dev/vda / ext4 rw,relatime 0 0
/dev/vda /var/lib/postbase-node ext4 rw,relatime 0 0
/dev/loop0 /var/lib/postbase-node/volumes/pvc-1 xfs rw 0 0
overlay /var/lib/postbase-node/run/a\\040b/rootfs overlay rw 0 0
tmpfs /var/lib/postbase-node-of-somebody tmpfs rw 0 0
/dev/loop1 /mnt xfs rw 0 0
"""

DUMP = """\
*nat
:PREROUTING ACCEPT [0:0]
:KUBE-SERVICES - [0:0]
:CNI-a1b2 - [0:0]
:MINE - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A POSTROUTING -s 10.88.0.5/32 -j CNI-a1b2
-A KUBE-SERVICES -j RETURN
-A PREROUTING -p tcp -m comment --comment "not KUBE-" -j MINE
COMMIT
"""

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:094B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1
   1: 00000000:192B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4712 1
   2: 0100007F:1234 0100007F:094B 01 00000000:00000000 00:00000000 00000000     0        0 4713 1
"""


def test_mounts_below_the_nodes_folder_the_last_one_first() -> None:
    assert sweep.mounts(MOUNTS) == [
        "/var/lib/postbase-node/run/a b/rootfs",
        "/var/lib/postbase-node/volumes/pvc-1",
        "/var/lib/postbase-node",
    ]


def test_only_the_clusters_chains_and_the_rules_into_them_go() -> None:
    assert firewall.without_ours(DUMP).splitlines() == [
        "*nat",
        ":PREROUTING ACCEPT [0:0]",
        ":MINE - [0:0]",
        '-A PREROUTING -p tcp -m comment --comment "not KUBE-" -j MINE',
        "COMMIT",
    ]


def test_listening_ports_with_address_and_socket() -> None:
    assert ports.listening(TCP) == {2379: [("127.0.0.1", "4711")], 6443: [("any", "4712")]}


def test_a_wildcard_is_in_the_way_of_every_address() -> None:
    assert ports.overlap("any", "10.88.0.1")
    assert ports.overlap("127.0.0.1", "127.0.0.1")
    assert not ports.overlap("127.0.0.1", "10.88.0.1")


def test_an_image_of_one_program_is_the_same_each_time(tmp_path: Path) -> None:
    program = tmp_path / "tool"
    program.write_bytes(b"\x7fELF")
    for archive in ("one.tar", "two.tar"):
        oci.write_program(tmp_path / archive, "localhost/postbase/tool:1", program, {})
    digest = oci.digest(tmp_path / "one.tar")
    assert digest.startswith("sha256:")
    assert digest == oci.digest(tmp_path / "two.tar")


def test_chains_without_a_rule_into_them_are_found_too() -> None:
    """kube-proxy's and the kubelet's canaries: the only thing left of them in IPv6 tables."""
    assert firewall.has_ours("*nat\n:PREROUTING ACCEPT [0:0]\n:KUBE-PROXY-CANARY - [0:0]\nCOMMIT\n")
    assert not firewall.has_ours("*nat\n:PREROUTING ACCEPT [0:0]\n:MINE - [0:0]\nCOMMIT\n")
