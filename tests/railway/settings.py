"""What a test may choose of Railway, and the facts of its plans and places."""

from __future__ import annotations

from dataclasses import dataclass, field

GRACE = 48 * 3600.0
"""Until a deleted volume or project is really gone (§1 Delete)."""


@dataclass(frozen=True)
class Plan:
    volume_mb: int
    max_volume_mb: int
    """§1 quotes "Max size of 5000 MB on current plan" for 5 GB; 1 TB on Pro (§3)."""
    volumes: int | None
    per_hour: int
    per_second: int | None
    memory_gb: float
    cpus: float


PLANS = {
    # §3 volumes and their number, §2 rate limits, §5 maximum of a service. [U] Free's rate a
    # second and its maximum of a service: the notes have none.
    "FREE": Plan(500, 500, 1, 100, None, 0.5, 1),
    "HOBBY": Plan(5_000, 5_000, 10, 1_000, 10, 48, 48),
    "PRO": Plan(50_000, 1_000_000, 20, 10_000, 50, 1_000, 1_000),
}

REGIONS = {
    # §3
    "us-west2": "California, USA",
    "us-east4-eqdc4a": "Virginia, USA",
    "europe-west4-drams3a": "Amsterdam, Netherlands",
    "asia-southeast1-eqsg3a": "Singapore",
}


@dataclass
class Delays:
    """Seconds of the double's clock. The defaults are short; `railway()` is as it was seen."""

    queued: float = 0.05
    initializing: float = 0.05
    deploying: float = 0.05
    starting: float = 0.05
    patch: float = 0.1
    proxy: float = 0.1
    removing: float = 0.05
    restart: float = 0.1
    instance_found: float = 0.0
    volume_seen: float = 0.0
    workflow_seen: float = 0.05
    backup: float = 0.1
    migration: float = 0.2
    deleted_seen: float = 30.0
    drain: float = 0.2
    """Not seconds: how much of a drain is waited by what does not end at SIGTERM. Ten seconds with
    each deployment were a third of what the tests of a Database there took."""

    @classmethod
    def railway(cls) -> Delays:
        """§1: a service instance is not found for up to 8 s. The others are guesses [U]."""
        return cls(
            queued=1,
            initializing=2,
            deploying=3,
            starting=3,
            patch=4,
            proxy=3,
            removing=2,
            restart=1,
            instance_found=8,
            volume_seen=3,
            workflow_seen=1,
            backup=10,
            migration=60,
            deleted_seen=60,
            drain=1,
        )


@dataclass
class Settings:
    delays: Delays = field(default_factory=Delays)
    operator_image: str = "ghcr.io/postbase/operator"
    """An image of this name, with any tag, runs `python -m postbase_operator`."""
    source_address: str = "127.0.0.9"
    """Where connections seem to come from. Not 127.0.0.1: pg_hba.conf of the official image trusts
    that one, and every refusal of the notes (§4) would be hidden."""
    public_address: str = "127.0.0.1"
    """Where its API and the TCP proxies are reached, as by the internet. No `localhost`: by that
    name the certificate would fit (§3 TLS)."""
    rate_limited: bool = True
    commit_returns: str = "opaque"
    """What environmentPatchCommit answers (§2, [U]): `opaque`, `workflow` or `patch`."""
    rejected_status: str = "COMMITTED"
    """Of a patch that could not be applied (§2, [U]); `lastAppliedError` tells it."""
    acts_on_all_environments: bool = True
    """serviceCreate and others act on all that are no forks (§2 Environments; reports differ)."""
    pending_volumes_count: bool = False
    """Whether a volume in its 48 h counts against the plan [U]."""
    sigterm_reaches_postgres: bool = False
    """§3 Stop: wrapper.sh has neither exec nor a trap: expect crash recovery."""
    unidentified_per_second: int = 10
    """§2: Cloudflare, of callers without `?source=` or `x-source`."""
    bucket_endpoint: str = "https://storage.railway.app"
    bucket_keys: tuple[str, str] = ("key", "secret")
