"""`make railway-check`: read-only; with WRITE=1 also a service that is made and taken away.

From the environment: RAILWAY_TOKEN; RAILWAY_TOKEN_KIND (Project, Workspace or Account, as the
chart's railway.tokenKind); for the last two RAILWAY_PROJECT_ID and RAILWAY_ENVIRONMENT_ID; with
WRITE=1 RAILWAY_REGION, by default Amsterdam.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping

from postbase_operator.railway.graphql.budget import Budgets
from postbase_operator.railway.graphql.client import ENDPOINT, Client, Token, TokenKind
from postbase_operator.railway.graphql.reads import Place
from railway_check.reading import Reader
from railway_check.telling import Telling
from railway_check.writing import Writer

REGION = "europe-west4-drams3a"


def refusal(given: Mapping[str, str]) -> str | None:
    """Why it cannot begin."""
    if not given.get("RAILWAY_TOKEN"):
        return (
            "set RAILWAY_TOKEN: on Railway, of a project with one environment, Settings, Tokens. "
            "Without WRITE=1 nothing is changed"
        )
    kinds = [kind.value for kind in TokenKind]
    if given.get("RAILWAY_TOKEN_KIND", "Project") not in kinds:
        return f"RAILWAY_TOKEN_KIND is one of {', '.join(kinds)}"
    if given.get("WRITE", "") not in ("", "0", "1"):
        return "WRITE is 1, or is not set"
    return None


async def check(given: Mapping[str, str], telling: Telling, endpoint: str = ENDPOINT) -> None:
    token = Token(TokenKind(given.get("RAILWAY_TOKEN_KIND", "Project")), given["RAILWAY_TOKEN"])
    ids = (given.get("RAILWAY_PROJECT_ID"), given.get("RAILWAY_ENVIRONMENT_ID"))
    place = Place(ids[0], ids[1]) if ids[0] and ids[1] else None
    async with Client(token, Budgets(), endpoint) as client:
        reader = Reader(telling, client, token, endpoint, place)
        state = await reader.all()
        if given.get("WRITE") != "1":
            telling.write(
                "          nothing was changed; WRITE=1 makes a service and takes it away"
            )
        elif state is not None and reader.place is not None:
            region = given.get("RAILWAY_REGION", REGION)
            await Writer(telling, client, reader.place, region).all()


def main(given: Mapping[str, str], endpoint: str = ENDPOINT) -> int:
    """0: all held; 1: not all did; 2: it could not begin."""
    why = refusal(given)
    if why is not None:
        print(f"make railway-check: {why}", file=sys.stderr)
        return 2
    telling = Telling()
    asyncio.run(check(given, telling, endpoint))
    telling.write(f"          {len(telling.failed)} did not hold" if telling.failed else "all held")
    return 1 if telling.failed else 0


if __name__ == "__main__":
    sys.exit(main(os.environ))
