"""A Job's way into the database: a client certificate that it signs itself, for a day at most.

The authority's key is mounted for our own program alone. What it signs lies in memory and goes with
the pod; no Secret holds it, and no password for such a role exists.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from postbase_operator.desired import names
from postbase_operator.postgres import authority, certificates

FOLDER = Path(names.RUN_MOUNT)
OURS = 0o600
"""libpq refuses a key that others can read."""


def issue(role: str, folder: Path = FOLDER) -> None:
    """Leaves ca.crt, tls.crt and tls.key. Raises InvalidSpec where the authority is damaged."""
    mounted = Path(names.AUTHORITY_MOUNT)
    data = {each.name: each.read_bytes() for each in mounted.iterdir() if each.is_file()}
    ca = authority.read(data, names.AUTHORITY_MOUNT)
    identity = certificates.client(ca.signing, role, datetime.now(UTC))
    key = folder / "tls.key"
    key.touch(mode=OURS)
    key.write_bytes(identity.key)
    (folder / "tls.crt").write_bytes(identity.certificate)
    (folder / "ca.crt").write_bytes(Path(names.TRUST_MOUNT, "ca.crt").read_bytes())
