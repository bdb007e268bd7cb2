"""Account: a tenant of the gateway. Its Projects and Databases live in a namespace of its own."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from postbase_operator.api.base import AGE, MESSAGE, READY, Column, Definition, Model, Resource
from postbase_operator.api.conditions import Conditions
from postbase_operator.api.ids import public_id
from postbase_operator.api.rules import fixed, short_name
from postbase_operator.api.scalars import ObjectName, PublicId, worded


class Plan(StrEnum):
    """What an account may use."""

    FREE = "Free"
    PRO = "Pro"


class AccountPhase(StrEnum):
    """The state in one word."""

    PENDING = "Pending"
    ACTIVE = "Active"
    SUSPENDED = "Suspended"
    DELETING = "Deleting"
    FAILED = "Failed"


class AccountSpec(Model):
    """Who the tenant is and what it may use."""

    rules = (
        fixed("githubId", "spec.githubId", "it is the identity; make another Account"),
        fixed("namespace", "spec.namespace", "its databases live there; make another Account"),
    )

    login: Annotated[
        str,
        *worded(
            r"^[A-Za-z0-9_-]+$",
            "spec.login must be a login name: letters, digits, hyphens and underscores",
            min_length=1,
            max_length=64,
        ),
    ] = Field(description="Login name, as GitHub has it. May change; githubId is the identity.")
    github_id: int | None = Field(
        None, ge=1, description="Numeric id of the user on GitHub; none: a token made by hand only."
    )
    email: str | None = Field(
        None, max_length=254, description="Verified address, as GitHub gave it."
    )
    plan: Plan = Field(
        Plan.FREE,
        description="Free or Pro: rates, sizes, retention and number of databases. Default: Free.",
    )
    namespace: ObjectName | None = Field(
        None,
        description="Namespace of its objects; made where it is missing. Cannot be changed. "
        "Default: one named after the Account's id.",
    )
    suspended: bool = Field(
        False,
        description="True refuses all its tokens; its databases run on. Default: false.",
    )


class AccountStatus(Model):
    """What the operator found; nobody else writes here."""

    id: PublicId | None = Field(None, description="Public id, user_…, made from the UID.")
    phase: AccountPhase | None = Field(
        None, description="Pending, Active, Suspended, Deleting or Failed."
    )
    observed_generation: int = Field(
        -1, description="The metadata.generation that this status is about; -1: none yet."
    )
    namespace: ObjectName | None = Field(None, description="Namespace of its objects.")
    conditions: Conditions = ()


class Account(Resource):
    """A tenant of the gateway, with a plan and a namespace of its own."""

    definition: ClassVar = Definition(
        kind="Account",
        plural="accounts",
        singular="account",
        short_names=("pbaccount",),
        namespaced=False,
        columns=(
            Column("Login", ".spec.login", "Login name"),
            Column("Plan", ".spec.plan", "Free or Pro"),
            Column("Namespace", ".status.namespace", "Namespace of its objects"),
            Column("Phase", ".status.phase", "State in one word"),
            READY,
            AGE,
            MESSAGE,
        ),
    )

    rules = (short_name(63),)

    spec: AccountSpec = Field(description="Who the tenant is and what it may use.")
    status: AccountStatus = Field(AccountStatus(), description="What the operator found.")

    @property
    def id(self) -> str:
        return public_id("Account", self.metadata.uid)
