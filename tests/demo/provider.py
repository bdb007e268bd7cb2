"""What differs where the server runs somewhere else; the story is the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol


class Provider(Protocol):
    spec: str
    """Lines of a Database's spec."""
    region: str
    """Of the REST API's, in which this provider runs what is made."""
    over_tls: str
    """How far a client knows whom it talks to."""
    restarts: str
    """What happens in `restart`, as the story tells it."""
    loses: str
    """What happens in `lose_volume`, likewise."""
    also: Sequence[Callable[[Provider], None]]
    """Steps after those of the story."""

    def ready(self) -> AbstractContextManager[None]:
        """The cluster and the operator, for the time of the story."""

    def client(self, database: str) -> None:
        """A pod named client, whose psql gets to this database by its Secret and nothing else."""

    def client_image(self, host: str, namespace: str) -> str:
        """One that is there and has psql; `host` is the address of a Database that serves."""

    def follow(self, database: str) -> None:
        """After a restore in place: clients of it go on as this provider has them go on."""

    def restart(self, database: str) -> None:
        """PostgreSQL ends as nobody has asked for. Returns when it serves again."""

    def lose_volume(self, database: str) -> None:
        """Server and volume go for good. Returns when they are gone."""

    def told_at_the_end(self) -> str:
        """What is left to be looked at."""
