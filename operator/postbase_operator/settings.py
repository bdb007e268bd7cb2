"""What the operator is told by its environment.

The chart sets these; each field says its unit and what follows from it. Built once, by cli.py,
and passed on: nothing else reads the environment.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from postbase_operator.errors import InvalidSpec

PREFIX = "POSTBASE_"

# The majors that this release knows, and the image that runs each where the chart names no other.
OFFICIAL_IMAGES = {
    major: f"docker.io/library/postgres:{major}" for major in ("14", "15", "16", "17", "18")
}


@dataclass(frozen=True, slots=True)
class Settings:
    """The operator's configuration; every field can be set as POSTBASE_<FIELD IN CAPITALS>."""

    operator_namespace: str = "postbase-system"
    """Where the operator itself runs; its own objects (Leases) live there."""

    watch_namespaces: tuple[str, ...] = ()
    """Namespaces to serve, comma separated; empty means all, and needs cluster-wide rights."""

    sidecar_image: str = ""
    """This product's own image, for the sidecar of each database. Required."""

    sidecar_pull_policy: str = "IfNotPresent"

    postgres_images: Mapping[str, str] = field(default_factory=lambda: dict(OFFICIAL_IMAGES))
    """Major version to stock image, as JSON; an unknown version names the known ones."""

    postgres_pull_policy: str = "Always"
    """For PostgreSQL by tag: the first start, and one after a request to upgrade."""

    regions: tuple[str, ...] = ()
    """Regions that this cluster stands for, comma separated; empty accepts any."""

    cpu_request_ratio: float = 0.25
    """CPU request of a database as a share of its limit: what the scheduler counts."""

    cluster_name: str = "default"
    """What the catalogue in the object store knows this cluster by."""

    object_store: str = ""
    """Where backups go unless a Project says otherwise: JSON as a Project's spec.objectStore; the
    Secrets that it names are in the operator's namespace. Empty: there are no backups."""

    create_bucket: bool = False
    """Make the bucket where there is none: for the embedded store, which begins without."""

    max_concurrent_backups: int = 10
    """Backups that run at a time; further ones wait."""

    workers: int = 10
    """Databases reconciled side by side."""

    writes_per_second: float = 50.0
    """Budget of write requests to the API server, all workers together."""

    resync_seconds: float = 1800.0
    """Every object is looked at again after this time, give or take a fifth."""

    gateway_account: str = ""
    """ServiceAccount of the gateway, in the operator's namespace: it gets rights in the namespace
    of each Account, which the operator makes. Empty: Accounts are not served."""

    railway_token: str = field(default="", repr=False)
    """Token of Railway's API, for Databases with spec.provider: Railway. Empty: they are refused.
    A password: it comes from a Secret, and is in no log."""

    railway_token_kind: str = "Project"  # noqa: S105 - the kind alone
    """Project (one environment of one project: the least that it takes), Workspace or Account."""

    railway_project: str = ""
    """Id of the Railway project that Databases are made in; a project's token knows its own."""

    railway_environment: str = ""
    """Id of its environment, likewise."""

    railway_endpoint: str = ""
    """Address of Railway's API, with its path; the token goes there. Empty: Railway's own."""

    railway_image: str = ""
    """This product's own image as Railway pulls it, for WAL receivers there; it must be public.
    Empty: `sidecar_image`."""

    railway_prices: str = ""
    """Railway's prices in US dollars, as JSON: asOf (a date), memory, cpu, volume, egress. What is
    not named costs what railway/cost.py says. Only estimates follow from it."""

    health_port: int = 8080
    """Serves /livez, /readyz and /metrics."""

    log_level: str = "INFO"

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Reads POSTBASE_*; a value that cannot be read is an InvalidSpec naming its variable."""
        settings = cls(**read_environment(cls, environ, PREFIX))
        if not settings.sidecar_image:
            raise InvalidSpec(PREFIX + "SIDECAR_IMAGE", "must name this product's image")
        return settings

    def image_for(self, major: str) -> str:
        """The stock image of a major version; InvalidSpec names the versions that are known."""
        try:
            return self.postgres_images[major]
        except KeyError:
            known = ", ".join(sorted(self.postgres_images, key=int))
            raise InvalidSpec(
                "spec.postgresVersion",
                f"{major!r} is not known here; known: {known}. Or set spec.image",
                reason="UnknownVersion",
            ) from None


def read_environment(of: type, environ: Mapping[str, str], prefix: str) -> dict[str, Any]:
    """The fields of a dataclass that the environment sets, as their annotations want them."""
    return {
        name: _parse(prefix + name.upper(), kind, environ[prefix + name.upper()])
        for name, kind in of.__annotations__.items()
        if prefix + name.upper() in environ
    }


def _parse(variable: str, kind: str, raw: str) -> object:
    try:
        if kind.startswith("tuple"):
            return tuple(part.strip() for part in raw.split(",") if part.strip())
        if kind.startswith("Mapping"):
            parsed = json.loads(raw)
            if not isinstance(parsed, dict):
                raise ValueError("not a JSON object")
            return {str(key): str(value) for key, value in parsed.items()}
        if kind == "bool":
            return {"true": True, "false": False}[raw.lower()]
        return {"str": str, "int": int, "float": float}[kind](raw)
    except (ValueError, KeyError) as error:
        raise InvalidSpec(variable, f"{raw!r} cannot be read as {kind}: {error}") from error
