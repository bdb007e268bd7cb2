"""What requests may say. Unknown keys are passed over, types are never coerced ("2" is no 2)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from postbase_operator.api.plan_limits import LEAST
from postbase_operator.gateway.shapes import Name

STEP = 0.25
"""Cores come in these steps."""


def _whole(value: object) -> object:
    """`7.0` is an integer in JSON; "7" is none."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_whole)
Days = Annotated[int, Field(ge=1, le=3650), WHOLE]
Major = Literal["14", "15", "16", "17", "18"]
# RFC 3339 with a zone; whether February has a 30th is for the calendar to say.
_DAY = r"[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?"
_ZONE = r"([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
TARGET_NAME = r"^[a-z][a-z0-9-]{1,38}[a-z0-9]$"


class Body(BaseModel):
    """Of a request, in JSON."""

    model_config = ConfigDict(
        strict=True, extra="ignore", frozen=True, hide_input_in_errors=True, allow_inf_nan=False
    )


class NoBody(Body):
    """Nothing is read of it."""


class DeviceToken(Body):
    device_code: Annotated[str, Field(pattern=r"^[A-Za-z0-9._~-]{1,256}$")]


class NewProject(Body):
    name: Name


class WantedConfig(Body):
    """cpu in cores, in steps of 0.25; memory in MiB; storage in GiB. Bounds are the plan's."""

    cpu: Annotated[float | None, Field(ge=LEAST.cpu, le=1024, multiple_of=STEP)] = None
    memory: Annotated[int, Field(ge=LEAST.memory, le=1 << 26), WHOLE] | None = None
    storage: Annotated[int, Field(ge=LEAST.storage, le=1 << 20), WHOLE] | None = None


class NewDatabase(Body):
    name: Name
    region: Annotated[
        str | None,
        Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", examples=["us-west1"]),
    ] = None
    config: WantedConfig | None = None
    postgres_version: Major | None = None


class DatabaseChange(Body):
    """What is not given stays. Storage may only grow. `parameters` replaces all that were set."""

    config: WantedConfig | None = None
    parameters: (
        Annotated[
            dict[
                Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_.]{0,62}$")],
                Annotated[str, Field(pattern=r"^[^\n\r\x00]*$", max_length=1024)],
            ],
            Field(max_length=128),
        ]
        | None
    ) = None


class NewBackup(Body):
    """Without days it is kept until it is deleted."""

    retention_days: Days | None = None


class EnablePitr(Body):
    retention_days: Days | None = None


class NewRestore(Body):
    """`target_name` restores into a new database beside this one; `dry_run` only plans."""

    target_name: Annotated[str | None, Field(pattern=TARGET_NAME)] = None
    dry_run: bool = False


class NewPitrRestore(NewRestore):
    """`target_time`: RFC 3339 with a zone, or `latest`."""

    target_time: Annotated[
        str,
        Field(
            max_length=64,
            pattern=f"^(latest|{_DAY}[Tt]{_TIME}{_ZONE})$",
            examples=["2026-01-25T14:30:00Z", "latest"],
        ),
    ]


class Query(BaseModel):
    """What a query string may say: text is turned into values here."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


class NoQuery(Query):
    """Nothing is read of it."""


class Paged(Query):
    limit: Annotated[int, Field(ge=1, le=1000)] = 1000
    cursor: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9_=-]{1,200}$")] = None


class BackupList(Paged):
    include: Annotated[
        Literal["base"] | None, Field(description="`base`: base backups of PITR, too.")
    ] = None


class ProjectDeletion(Query):
    force: Annotated[
        bool, Field(description="Deletes its databases first, each after a last backup.")
    ] = False
