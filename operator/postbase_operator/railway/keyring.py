"""The Secrets of a Database on Railway, as its platform needs them; who has Kubernetes gives them.

Users find the credentials where those of any other Database are. Railway holds the superuser's
password as well, as a variable of the service: that one follows the Secret. Only a Secret that is
gone is made from the variable: the server has the password that its volume was made with, and a new
one would lock us out of it, and then overwrite the last copy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from postbase_operator.api.database import Database
from postbase_operator.postgres.credentials import Credentials, Front


class Keyring(Protocol):
    """Each method may raise Unavailable, and InvalidSpec for what a person has damaged."""

    async def superuser(self, db: Database, known: str = "") -> str:
        """The superuser's password. Where there is none it is `known`, what a service of the
        Database was made with; a new one where there is no service."""
        ...

    async def replication(self, db: Database) -> str:
        """The password of the receiver's role, made where there is none that can be used. Nothing
        is lost with it: the role is given what it says."""
        ...

    async def credentials(self, db: Database, front: Front) -> Credentials:
        """The application's, made where there are none, with this address in them."""
        ...

    async def change(
        self, db: Database, front: Front, new: Callable[[Credentials], Credentials]
    ) -> Credentials:
        """One write of what `new` makes of them. Conflict where somebody else wrote."""
        ...

    async def keep(self, db: Database, volumes: Sequence[str]) -> None:
        """They stay, for these volumes stay (by their names on Railway), and a service of them has
        the superuser's password no more; which ones they open is noted beside it."""
        ...

    async def let_go(self, db: Database) -> None:
        """They go with the Database: nothing is left that they would open."""
        ...
