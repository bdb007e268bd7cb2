"""Whose address a request comes from: the peer's, or what a trusted proxy says it was. PURE."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from aiohttp import web

from postbase_operator.gateway.settings import Network

V6_SITE = 64
"""Bits of an IPv6 address that stand for one client: the rest is its own to choose."""


class Addresses:
    """X-Forwarded-For is believed from the right, as far as the proxies are known."""

    def __init__(self, proxies: tuple[Network, ...]) -> None:
        self._proxies = proxies

    def of(self, request: web.BaseRequest) -> str:
        return self.client(request.remote or "", request.headers.getall("X-Forwarded-For", []))

    def client(self, peer: str, forwarded: list[str]) -> str:
        hops = [each.strip() for line in forwarded for each in line.split(",")]
        address = _read(peer)
        while address is not None and self._trusts(address) and hops:
            before = _read(hops.pop())
            if before is None:
                break
            address = before
        return _site(address)

    def _trusts(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address.version == net.version and address in net for net in self._proxies)


@lru_cache(4096)
def _read(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.strip("[]"))
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


@lru_cache(4096)
def _site(address: IPv4Address | IPv6Address | None) -> str:
    if isinstance(address, IPv6Address):
        return str(ip_network((address, V6_SITE), strict=False).network_address)
    return str(address) if address is not None else ""
