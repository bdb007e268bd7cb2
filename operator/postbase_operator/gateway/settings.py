"""What the gateway is told by its environment; the chart sets it.

As in the operator's settings, each field can be set as POSTBASE_GATEWAY_<FIELD IN CAPITALS>.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from urllib.parse import urlsplit

from postbase_operator.errors import InvalidSpec
from postbase_operator.settings import read_environment

PREFIX = "POSTBASE_GATEWAY_"
GITHUB = "https://github.com"
SIGN_IN = ("open", "allow-list", "closed")
Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """The gateway's configuration."""

    namespace: str = "postbase-system"
    """Where it runs, and where ApiTokens lie."""

    service: str = "postbase-gateway"
    """Its headless Service: whose endpoints are the replicas that share the rate limits."""

    port: int = 8080
    """The API, in plain HTTP; TLS is the ingress's."""

    internal_port: int = 8081
    """/livez, /readyz, /metrics, and what replicas ask each other."""

    pod_ip: str = ""
    """Its own address among those endpoints. Empty: it counts by itself."""

    peer_key_file: str = ""
    """A file with the key by which replicas know each other. Empty: they do not ask."""

    regions: tuple[str, ...] = ()
    """Regions of this cluster to choose from, the default first. Empty: none is asked for."""

    railway_regions: tuple[str, ...] = ()
    """Regions of Railway's, by its names: what is made in one of them is made there."""

    postgres_version: str = "17"
    """Major version of databases that name none."""

    postgres_versions: tuple[str, ...] = ("14", "15", "16", "17", "18")
    """Those that can be asked for."""

    github_url: str = GITHUB
    """GitHub, or an Enterprise Server."""

    github_client_id: str = ""
    """Of an OAuth app with device flow switched on. Empty: nobody can sign in; tokens work."""

    sign_in: str = "allow-list"
    """Who gets an account at first sign-in: open, allow-list, or closed (nobody)."""

    allowed_logins: tuple[str, ...] = ()
    allowed_organizations: tuple[str, ...] = ()

    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks whose X-Forwarded-For is believed."""

    allowed_origins: tuple[str, ...] = ()
    """Origins whose pages may call the API from a browser, such as https://console.example.com."""

    log_level: str = "INFO"

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> GatewaySettings:
        """Raises InvalidSpec naming the variable that cannot be used."""
        settings = cls(**read_environment(cls, environ, PREFIX))
        if settings.sign_in not in SIGN_IN:
            raise InvalidSpec(PREFIX + "SIGN_IN", f"must be one of {', '.join(SIGN_IN)}")
        if urlsplit(settings.github_url).scheme not in ("http", "https"):
            raise InvalidSpec(PREFIX + "GITHUB_URL", "must be an http:// or https:// address")
        both = set(settings.regions) & set(settings.railway_regions)
        if both:
            why = (
                f"{sorted(both)[0]!r} is one of this cluster's regions, too: a region has one place"
            )
            raise InvalidSpec(PREFIX + "RAILWAY_REGIONS", why)
        settings.proxies()
        for origin in settings.allowed_origins:
            if origin != "*" and not is_origin(origin):
                why = f"{origin!r} is no origin: scheme and host, as https://console.example.com"
                raise InvalidSpec(PREFIX + "ALLOWED_ORIGINS", why)
        return settings

    @property
    def all_regions(self) -> tuple[str, ...]:
        return (*self.regions, *self.railway_regions)

    @property
    def default_region(self) -> str | None:
        """Of a database, where neither its body nor its project names one."""
        return self.regions[0] if self.regions else None

    def proxies(self) -> tuple[Network, ...]:
        try:
            return tuple(ip_network(each, strict=False) for each in self.trusted_proxies)
        except ValueError as error:
            raise InvalidSpec(PREFIX + "TRUSTED_PROXIES", str(error)) from error

    @property
    def github_api(self) -> str:
        """Where the REST API is: on github.com a host of its own."""
        base = self.github_url.rstrip("/")
        return "https://api.github.com" if base == GITHUB else f"{base}/api/v3"


def is_origin(text: str) -> bool:
    """As browsers write one: scheme, host, and the port where it is not the scheme's own."""
    parts = urlsplit(text)
    wanted = f"{parts.scheme}://{parts.netloc}"
    return parts.scheme in ("http", "https") and bool(parts.netloc) and text == wanted
