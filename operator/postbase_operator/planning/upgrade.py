"""Which build of PostgreSQL a Database runs: the one it was made with, until another is asked for.

A tag moves: the same words have meant another minor version, and another C library whose sorting
broke every text index. So what a tag meant at first is kept on the volume, by digest, and each
later start runs just that. Another tag in the spec, or a request, lets the next start learn anew.
PURE.
"""

from __future__ import annotations

from postbase_operator.api.database import Database
from postbase_operator.planning.observed import Process, ProcessState, Volume
from postbase_operator.planning.plan import BeginUpgrade, Step

REQUEST = "postbase.sh/request-upgrade"
VERB = "upgrade"
NO_PROCESS = "none"


def pinned(db: Database, volume: Volume) -> str:
    """The image by digest that a start runs; "" for the tag that the spec stands for."""
    known = _is_of(volume.image, volume.image_tag) and not volume.upgrading
    meant = db.spec.image in (None, volume.image_tag)
    return volume.image if known and meant else ""


def _is_of(digest: str, tag: str) -> bool:
    """Whether the digest is of the tag's own repository: a node that knows one image by several
    names tells any of them, and that one may lie where the cluster cannot pull from."""
    found, at, _ = digest.partition("@sha256:")
    first, _, last = tag.rpartition("/")
    repository = f"{first}/{last.partition(':')[0]}".strip("/")
    return bool(at and repository) and f"/{found}".endswith(f"/{repository}")


def begin(db: Database, volume: Volume, process: Process) -> list[Step]:
    """The step that takes up a request which was not taken up yet."""
    asked = db.metadata.annotations.get(REQUEST)
    if not asked or asked in (volume.upgrade, db.status.requests.get(VERB)):
        return []
    return [BeginUpgrade(volume.name, asked, process.identity or NO_PROCESS)]


def learnt(db: Database, volume: Volume, process: Process) -> tuple[str, str]:
    """Digest and tag that the running process teaches; two "" where they are known."""
    if process.state is not ProcessState.RUNNING or volume.upgrading == process.identity:
        return "", ""
    changed = bool(db.spec.image) and process.image == db.spec.image != volume.image_tag
    if volume.image and volume.image_tag and not volume.upgrading and not changed:
        return "", ""
    if "@sha256:" in process.image:  # started by digest: its tag is not to be seen
        return process.image_digest, volume.image_tag or process.image
    return process.image_digest, process.image


def served(db: Database, volume: Volume | None) -> str | None:
    """The request that has been served and is not told yet."""
    if volume is None or not volume.upgrade or volume.upgrading:
        return None
    return volume.upgrade if db.status.requests.get(VERB) != volume.upgrade else None
