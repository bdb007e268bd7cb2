"""Images from their files into the node's containerd, where it does not have these very ones."""

from collections.abc import Mapping
from pathlib import Path

from node import oci
from node.bringup import ctr
from node.console import step


def load(archives: Mapping[str, Path]) -> None:
    has = _digests(ctr("images", "list"))
    for reference, archive in archives.items():
        digest = oci.digest(archive)
        # A registry would serve it by digest too: the kubelet tells a pod's image by that name.
        pinned = f"{reference.rpartition(':')[0]}@{digest}"
        if has.get(reference) == digest == has.get(pinned):
            continue
        with step(f"loading {reference}", usually=3):
            ctr("images", "import", archive)
            ctr("images", "tag", "--force", reference, pinned)


def _digests(table: str) -> dict[str, str]:
    """reference -> digest, from `ctr images list`."""
    rows = [line.split() for line in table.splitlines()[1:]]
    return {row[0]: row[2] for row in rows if len(row) > 2}
