"""Where everything is: what a checkout owns, what the machine has once, what clones share."""

import os
import shutil
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGE = Path(__file__).resolve().parent

# What a checkout owns.
CLUSTER = CHECKOUT / ".cluster"
BIN = CLUSTER / "bin"
LOG = CLUSTER / "log"
KUBECONFIG = CLUSTER / "kubeconfig"
IMAGES = CLUSTER / "images.json"
VALUES = CLUSTER / "values.yaml"

# What the machine has once, whichever checkout brought it up.
STATE = Path("/var/lib/postbase-node")
OWNER = STATE / "owner"
LOCK = STATE / "lock"


def cache() -> Path:
    """Built parts, keyed by the hash of their inputs, so that a second clone builds nothing."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "postbase"


def forget_old(prefix: str, current: Path) -> None:
    """Keeps the newest few of one part beside the current: each is a hundred megabytes, and
    other checkouts may be some changes behind."""
    others = [folder for folder in cache().glob(f"{prefix}*") if folder != current]
    others.sort(key=lambda folder: folder.stat().st_mtime, reverse=True)
    for folder in others[3:]:
        shutil.rmtree(folder, ignore_errors=True)
