"""The operator with an election that is always won: what two leaders at once would be like.

Runs in a pod of the operator's own image, in no product: the Lease is neither asked nor written.
"""

import asyncio
import os
import sys

from postbase_operator.handlers import process
from postbase_operator.kube.lease import Elector
from postbase_operator.settings import Settings


class Usurper(Elector):
    """Leads from the first moment to the last, whoever else does."""

    async def acquire(self) -> None:
        """Ours, without asking."""

    async def keep(self) -> None:
        await asyncio.Event().wait()

    async def release(self) -> None:
        """There is nothing to give back."""


if __name__ == "__main__":
    process.Elector = Usurper  # type: ignore[attr-defined]  # the one part that differs
    sys.exit(process.main(Settings.from_env(os.environ)))
