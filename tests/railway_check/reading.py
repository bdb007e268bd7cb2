"""Checks that change nothing."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import aiohttp
from graphql import (
    GraphQLInputObjectType,
    build_client_schema,
    get_introspection_query,
    parse,
    validate,
)
from pydantic import BaseModel, Field

from postbase_operator.errors import Denied, PostbaseError
from postbase_operator.railway import operations
from postbase_operator.railway.graphql import reads
from postbase_operator.railway.graphql.budget import Budgets, said
from postbase_operator.railway.graphql.client import SOURCE, Client, Token, TokenKind
from postbase_operator.railway.graphql.faults import NotAuthorized, NotFound
from postbase_operator.railway.graphql.models import EnvironmentState, ServiceInstance
from postbase_operator.railway.graphql.reads import Place
from postbase_operator.railway.operations import Document
from postbase_operator.railway.plans import plan_of
from railway_check.telling import Telling

REGIONS = {"us-west2", "us-east4-eqdc4a", "europe-west4-drams3a", "asia-southeast1-eqsg3a"}
"""Those of Railway's documents."""
INPUTS = {
    "ServiceCreateInput": {"projectId", "environmentId", "name", "variables"},
    "ServiceInstanceUpdateInput": {
        *("source", "multiRegionConfig", "restartPolicyType", "drainingSeconds"),
        *("sleepApplication", "startCommand"),
    },
    "VolumeCreateInput": {"projectId", "environmentId", "serviceId", "mountPath", "region"},
    "VolumeUpdateInput": {"name"},
    "VariableCollectionUpsertInput": {
        *("projectId", "environmentId", "serviceId", "variables", "skipDeploys"),
    },
    "ServiceInstanceLimitsUpdateInput": {"serviceId", "environmentId", "vCPUs", "memoryGB"},
}
"""What railway/graphql/changes.py sends in variables, of which a document says nothing."""
LINES = 20
HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")


class Schema(BaseModel):
    told: dict[str, Any] = Field(alias="__schema")


@dataclass
class Reader:
    """`place` None: the one that a project's token is for."""

    telling: Telling
    client: Client
    token: Token
    endpoint: str
    place: Place | None

    async def all(self) -> EnvironmentState | None:
        """What the environment shows; None where it could not be read."""
        with self.telling.about("the token is known to Railway"):
            await self._who()
        with self.telling.about("the limits of requests are told in headers"):
            await self._rates()
        with self.telling.about("Railway's schema is told"):
            await self._schema()
        with self.telling.about("an error is understood"):
            await self._sentences()
        if self.place is None:
            self.telling.failed_at(
                "a place is known: set RAILWAY_PROJECT_ID, RAILWAY_ENVIRONMENT_ID"
            )
            return None
        with self.telling.about("the project is read"):
            await self._project(self.place)
        state: EnvironmentState | None = None
        with self.telling.about("the environment is read"):
            state = await self._environment(self.place)
        return state

    async def _who(self) -> None:
        if self.token.kind is TokenKind.PROJECT:
            self.place = await reads.token_place(self.client)
            self.telling.held(f"a project's token, for environment {self.place.environment_id}")
            return
        for each in await reads.workspaces(self.client, self.token.kind):
            self.telling.held(f"workspace {each.name} ({each.id})")
            quota = await reads.quota(self.client, each.id)
            self.telling.seen(
                f"its plan is {quota.plan}; points left: {quota.api_token_rate_limit}"
            )
            for project in await reads.projects(self.client, each.id):
                self.telling.seen(f"project {project.name} ({project.id})")

    async def _rates(self) -> None:
        """By a request of its own: the client keeps no headers."""
        headers = {**self.token.header, "Content-Type": "application/json"}
        asked = {"query": "query Nothing { __typename }"}
        async with (
            aiohttp.ClientSession(trust_env=True, headers=headers) as session,
            session.post(self.endpoint, params={"source": SOURCE}, json=asked) as answer,
        ):
            told = {name: answer.headers.get(name) for name in HEADERS}
            read = said(answer.headers, 0.0)
        missing = ", ".join(name for name, value in told.items() if value is None)
        self.telling.whether(not missing, "the limits are told in headers", f"no {missing}")
        self.telling.seen(f"{told}; read as a window that ends in {read.reset} s")

    async def _schema(self) -> None:
        text = get_introspection_query(descriptions=False)
        found = await self.client.ask(Document.of(text), Schema)
        schema = build_client_schema({"__schema": found.told}, assume_valid=True)  # type: ignore[typeddict-item]
        documents = [each for each in vars(operations).values() if isinstance(each, Document)]
        for each in [*documents, operations.environment_state(1)]:
            faults = [fault.message for fault in validate(schema, parse(each.text))]
            unknown = operations.unknown_fields(faults) or frozenset() if faults else frozenset()
            if faults and unknown and unknown <= each.optional:
                self.telling.seen(f"{each.name}: without {sorted(unknown)}, and done without")
            else:
                self.telling.whether(not faults, f"{each.name} fits the schema", "; ".join(faults))

        for name, sent in INPUTS.items():
            held = schema.type_map.get(name)
            fields = set(held.fields) if isinstance(held, GraphQLInputObjectType) else set()
            missing = ", ".join(sorted(sent - fields))
            self.telling.whether(not missing, f"{name} has what is sent", f"no {missing}")

    async def _sentences(self) -> None:
        nothing = str(uuid.UUID(int=0))
        try:
            await reads.deployment(self.client, nothing)
            self.telling.failed_at("what is not there is refused")
        except (NotFound, NotAuthorized) as error:
            self.telling.held(f"what is not there is understood: {error}")
        stranger = Token(self.token.kind, nothing)
        async with Client(stranger, Budgets(), self.endpoint) as client:
            try:
                await reads.regions(client)
                self.telling.seen("regions are told to anybody")
                await reads.deployment(client, nothing)
                self.telling.failed_at("a token that Railway does not know is refused")
            except Denied as error:
                self.telling.held(f"a token that Railway does not know is understood: {error}")

    async def _project(self, place: Place) -> None:
        project = await reads.project(self.client, place.project_id)
        plan = plan_of(project.subscription_type)
        known = plan.name != project.subscription_type
        self.telling.whether(known, f"the plan is known: {plan}", "no limit is known of it")
        try:
            found = await reads.environments(self.client, place.project_id)
            self.telling.whether(
                len(found) == 1, "the project has one environment", f"{len(found)}"
            )
        except PostbaseError as error:  # a project's token may not be allowed to
            self.telling.seen(f"environments are not told to this token: {error}")
        regions = await reads.regions(self.client, place.project_id)
        missing = REGIONS - {each.name for each in regions}
        self.telling.whether(not missing, "the documents' regions are there", str(sorted(missing)))
        for each in regions:
            gone = f", given up for {each.replacement}" if each.replacement else ""
            self.telling.seen(f"region {each.name} ({each.location}){gone}")

    async def _log(self, service: ServiceInstance) -> None:
        """How many lines: what they say is nobody's business here."""
        if service.latest_deployment is None:
            return
        what = f"the log of {service.service_name} is read"
        with self.telling.about(what):
            lines = await reads.logs(self.client, service.latest_deployment.id, limit=LINES)
            self.telling.held(f"{what}: {len(lines)} of its last lines")

    async def _environment(self, place: Place) -> EnvironmentState:
        first = await reads.environment(self.client, place)
        ids = [each.service_id for each in first.services]
        state = await reads.environment(self.client, place, ids)
        self.telling.held(f"{len(state.services)} services, {len(state.volumes)} volumes are read")
        for each in state.services:
            proxies = state.proxies.get(each.service_id, ())
            words = [f"{p.domain}:{p.proxy_port} {p.sync_status}" for p in proxies]
            latest = each.latest_deployment.status if each.latest_deployment else "no deployment"
            self.telling.seen(f"{each.service_name}: {latest}, in {each.region}, proxies {words}")
            variables = await reads.variables(self.client, place, each.service_id)
            limits = await reads.limits(self.client, place, each.service_id)
            self.telling.seen(f"{each.service_name}: {len(variables)} variables, limits {limits}")
            await self._log(each)
        patches = await reads.recent_patches(self.client, place.environment_id)
        words = sorted({each.status for each in patches})
        self.telling.held(f"{len(patches)} commits are read; their words are {words}")
        return state
