"""Cross-origin requests (the Fetch standard's CORS protocol), for origins that are named. PURE.

A token is sent by whoever holds it, never by the browser itself: so credentials are not allowed,
and an origin that is not named learns nothing but that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

ASKED = "Access-Control-Request-Method"
SENT = "Authorization, Content-Type, Idempotency-Key, X-Request-Id"
EXPOSED = (
    "Location, RateLimit, RateLimit-Policy, Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining,"
    " X-RateLimit-Reset, X-Request-Id"
)
KEPT_SECONDS = 600
"""How long a browser may keep the answer to a preflight."""


def is_preflight(method: str, headers: Mapping[str, str]) -> bool:
    return method == "OPTIONS" and "Origin" in headers and ASKED in headers


def allowed(origin: str | None, origins: tuple[str, ...]) -> dict[str, str]:
    """Headers of any answer to a page of this origin; Vary even where it is not allowed, or a
    cache would give one origin's answer to another."""
    if not origins:
        return {}
    if origin is None or ("*" not in origins and origin not in origins):
        return {"Vary": "Origin"}
    return {
        "Vary": "Origin",
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Expose-Headers": EXPOSED,
    }


def preflight(origin: str, origins: tuple[str, ...], methods: Iterable[str]) -> dict[str, str]:
    """Headers of the answer to a preflight: what this path knows."""
    found = allowed(origin, origins)
    if "Access-Control-Allow-Origin" not in found:
        return found
    del found["Access-Control-Expose-Headers"]
    return found | {
        "Access-Control-Allow-Methods": ", ".join(sorted(methods)),
        "Access-Control-Allow-Headers": SENT,
        "Access-Control-Max-Age": str(KEPT_SECONDS),
    }
