"""Which pages hear what."""

from __future__ import annotations

import pytest

from postbase_operator.errors import InvalidSpec
from postbase_operator.gateway import cors
from postbase_operator.gateway.settings import GatewaySettings

CONSOLE = "https://console.example.com"
ALLOW = "Access-Control-Allow-Origin"


def test_by_default_nothing_is_said_to_anybody() -> None:
    assert cors.allowed(CONSOLE, ()) == {}


@pytest.mark.parametrize(
    "origin", [None, "https://evil.example.com", f"{CONSOLE}.evil.com", "null"]
)
def test_an_origin_that_is_not_named_hears_nothing_and_caches_know_it(origin: str | None) -> None:
    assert cors.allowed(origin, (CONSOLE,)) == {"Vary": "Origin"}


def test_one_that_is_named_and_any_where_any_is() -> None:
    for origins in ((CONSOLE,), ("*",), ("https://other.example.com", CONSOLE)):
        told = cors.allowed(CONSOLE, origins)
        assert (told[ALLOW], told["Vary"]) == (CONSOLE, "Origin")
        assert "Access-Control-Allow-Credentials" not in told


def test_a_preflight_is_told_the_methods_of_the_path() -> None:
    told = cors.preflight(CONSOLE, (CONSOLE,), ["POST", "GET"])
    assert told["Access-Control-Allow-Methods"] == "GET, POST"
    assert "Authorization" in told["Access-Control-Allow-Headers"]
    assert ALLOW not in cors.preflight("https://evil.example.com", (CONSOLE,), ["GET"])


@pytest.mark.parametrize(
    "origin", ["console.example.com", f"{CONSOLE}/", f"{CONSOLE}/x", "https://"]
)
def test_what_is_no_origin_is_refused_at_the_start(origin: str) -> None:
    with pytest.raises(InvalidSpec, match="ALLOWED_ORIGINS"):
        GatewaySettings.from_env({"POSTBASE_GATEWAY_ALLOWED_ORIGINS": origin})
