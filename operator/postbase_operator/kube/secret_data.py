"""A Secret's data: bytes in Python, base64 on the wire. PURE."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from postbase_operator.kube.kinds import Body


def encode(data: Mapping[str, bytes]) -> dict[str, str]:
    return {key: base64.b64encode(value).decode() for key, value in data.items()}


def decode(secret: Body) -> dict[str, bytes]:
    return {key: base64.b64decode(value) for key, value in (secret.get("data") or {}).items()}
