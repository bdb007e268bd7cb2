"""ApiToken: lets a client of the gateway in. Only the digest is kept, never the token."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from postbase_operator.api.base import AGE, Column, Definition, Model, Reference, Resource
from postbase_operator.api.rules import immutable
from postbase_operator.api.scalars import Instant, TargetTime, Text, worded


class Scope(StrEnum):
    """What a token may do."""

    READ = "Read"
    WRITE = "Write"


class ApiTokenSpec(Model):
    """Whose token it is and how to know it. Cannot be changed."""

    digest: Annotated[
        str,
        *worded(
            r"^[0-9a-f]{64}$",
            "spec.digest must be the SHA-256 of the token, 64 lower-case hexadecimal digits, and "
            "never the token itself",
            max_length=64,
        ),
    ] = Field(description="SHA-256 of the token, in lowercase hexadecimal.")
    account_ref: Reference = Field(description="The Account that it speaks for.")
    display_name: Text | None = Field(None, description="A word for people: what it is used for.")
    scopes: tuple[Scope, ...] = Field(
        (),
        max_length=8,
        description="What it may do: Read, Write. Default: everything.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    expires_at: TargetTime | None = Field(
        None, description="When it stops working, in RFC 3339. Default: never."
    )


class ApiTokenStatus(Model):
    """What the gateway saw."""

    last_used_at: Instant | None = Field(
        None, description="When it was last used; at most five minutes behind."
    )


class ApiToken(Resource):
    """A token of the gateway; deleting it revokes it. It lives in the gateway's namespace."""

    definition: ClassVar = Definition(
        kind="ApiToken",
        plural="apitokens",
        singular="apitoken",
        short_names=("pbtoken",),
        selectable=(".spec.accountRef.name",),
        columns=(
            Column("Account", ".spec.accountRef.name", "Whom it speaks for"),
            Column("Scopes", ".spec.scopes", "What it may do"),
            Column("Expires", ".spec.expiresAt", "When it stops working"),
            Column("Last-Used", ".status.lastUsedAt", "Time since its last use", type="date"),
            AGE,
        ),
    )

    spec: Annotated[
        ApiTokenSpec, immutable("spec of an ApiToken", "delete it and make another")
    ] = Field(description="Whose token it is and how to know it. Cannot be changed.")
    status: ApiTokenStatus = Field(ApiTokenStatus(), description="What the gateway saw.")

    @staticmethod
    def name_of(digest: str) -> str:
        """The object's name: a token that no watch has shown yet is found by one GET."""
        return f"token-{digest[:40]}"

    def is_valid(self, now: datetime) -> bool:
        return self.spec.expires_at is None or now < self.spec.expires_at
