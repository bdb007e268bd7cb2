"""What the parts of the platform share: one environment, and whose Databases those in it are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from postbase_operator.api.database import Database
from postbase_operator.errors import InvalidSpec, NotReady
from postbase_operator.railway import services
from postbase_operator.railway.generations import Family, Part, family
from postbase_operator.railway.graphql.client import Client
from postbase_operator.railway.graphql.commits import Commits
from postbase_operator.railway.graphql.models import EnvironmentState, ServiceInstance
from postbase_operator.railway.graphql.reads import Place
from postbase_operator.railway.graphql.sight import Sight
from postbase_operator.railway.services import Whose

SETTLES = 30.0
"""Seconds after which what we have asked for, and do not see, is not there. A service instance has
been late for 8 (notes on Railway's API), and a request that we gave up on may still be served."""


@dataclass(slots=True)
class Ground:
    """`now` is the time of day, for what Railway dates."""

    sight: Sight
    cluster: str
    now: Callable[[], datetime]
    settles: float = SETTLES
    commits: Commits = field(init=False)
    told: dict[str, str] = field(default_factory=dict)
    """By service: the revision of what it was last told by this process."""
    _asked: dict[tuple[str, str], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.commits = Commits(self.sight, self.settles)

    @property
    def client(self) -> Client:
        return self.sight.client

    @property
    def place(self) -> Place:
        return self.sight.place

    def name(self, db: Database, generation: int = 1) -> str:
        """Of its first service, and so of all its volumes; or of a later one."""
        return services.generation_name(db, self.cluster, generation)

    def receiver_name(self, db: Database) -> str:
        return services.receiver_name(db, self.cluster)

    async def look(
        self, db: Database, *, fresh: bool = False
    ) -> tuple[EnvironmentState, ServiceInstance | None]:
        """The environment, and the service in it that is the Database to all others. Raises
        InvalidSpec where another's bears a name of its own."""
        state, found = await self.family(db, fresh=fresh)
        return state, found.front.service if found.front is not None else None

    async def family(
        self, db: Database, *, fresh: bool = False, marks: bool = False
    ) -> tuple[EnvironmentState, Family]:
        """The environment, and all that is PostgreSQL of the Database in it. `marks`: what they are
        as of now, too: what was seen before a commit was applied must not decide. Raises as
        `look`."""

        def kin(name: str) -> bool:
            return services.is_of(name, db, self.cluster)

        state = await self.sight.look(self.name(db), fresh=fresh or marks, kin=kin)
        parts = []
        for each in state.services:
            if each.deleted_at is None and kin(each.service_name):
                try:
                    variables = await self.sight.variables(each.service_id, fresh=marks)
                except NotReady:
                    if each.service_name == self.name(db) or each.latest_deployment is not None:
                        raise
                    continue  # beside one that serves, and made a moment ago
                self.refuse_stranger(db, variables, each.service_name)
                parts.append(Part(each, variables))
        return state, family(parts, db.metadata.uid)

    async def look_receiver(
        self, db: Database, *, fresh: bool = False
    ) -> tuple[EnvironmentState, ServiceInstance | None]:
        """Likewise, the service that receives its log. By the same look, which asks for no proxy
        of it: it has none."""
        name = self.receiver_name(db)
        state = await self.sight.look(self.name(db), fresh=fresh)
        service = state.named(name)
        if service is not None:
            self.refuse_stranger(db, await self.sight.variables(service.service_id), name)
        return state, service

    def refuse_stranger(self, db: Database, variables: dict[str, str], name: str) -> None:
        found = services.whose(variables, db, self.cluster)
        if found is not Whose.OURS:
            owner = variables.get(services.MARKER) or "nobody that we know"
            raise InvalidSpec(
                "metadata.name",
                f"on Railway there is a service {name} that belongs to {owner}, and is not "
                "touched: rename or delete it there",
                reason="NameTaken",
            )

    # -- what must not be asked for twice ----------------------------------------------------

    def asked(self, what: str, service_id: str) -> None:
        """Begins the time within which it may show."""
        self._asked[what, service_id] = self.sight.clock()

    def is_met(self, what: str, service_id: str) -> None:
        """This process has not asked for it; another may have, and was killed right after."""
        self._asked.setdefault((what, service_id), self.sight.clock())

    def was_not_done(self, what: str, service_id: str) -> None:
        self._asked[what, service_id] = -self.settles

    def wait_for(self, what: str, service_id: str) -> None:
        """Raises NotReady within the time in which it may still show."""
        since = self._asked.get((what, service_id), -self.settles)
        left = since + self.settles - self.sight.clock()
        if left > 0:
            raise NotReady(f"the {what} that was asked for is not seen yet", min(left, 2.0))
