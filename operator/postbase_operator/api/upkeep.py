"""How a Database is kept: restarts, drains, certificates, passwords and its end."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from postbase_operator.api.base import Model, Reference
from postbase_operator.api.rules import Rule
from postbase_operator.api.scalars import DURATION, Duration, TimeZoneName, between, worded


class DeletionPolicy(StrEnum):
    """What becomes of the volume when the Database is deleted."""

    RETAIN = "Retain"
    FINAL_BACKUP = "FinalBackup"
    DELETE = "Delete"


class RestartPolicy(StrEnum):
    """Whether the operator may restart PostgreSQL by itself."""

    NEVER = "Never"
    WHEN_NEEDED = "WhenNeeded"


class Disruptions(StrEnum):
    """Whether nodes may be drained."""

    ALLOW = "Allow"
    BLOCK = "Block"


class NodeLoss(StrEnum):
    """What to do when the node is gone without a word."""

    WAIT = "Wait"
    REPLACE = "Replace"


class Weekday(StrEnum):
    """A day of the week."""

    MON = "Mon"
    TUE = "Tue"
    WED = "Wed"
    THU = "Thu"
    FRI = "Fri"
    SAT = "Sat"
    SUN = "Sun"


class MaintenanceWindow(Model):
    """A time of the week in which PostgreSQL may be restarted."""

    days: tuple[Weekday, ...] = Field(
        (),
        max_length=7,
        description="Days on which it begins: Mon, Tue, Wed, Thu, Fri, Sat, Sun. Default: all.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    start: Annotated[
        str,
        *worded(
            r"^([01][0-9]|2[0-3]):[0-5][0-9]$",
            "spec.maintenanceWindow.start must be hour and minute of the day, from 00:00 to 23:59",
            max_length=5,
        ),
    ] = Field(
        description="When it begins, as 02:30, in timeZone.",
    )
    duration: Annotated[
        Duration,
        between(
            "spec.maintenanceWindow.duration",
            "10m",
            "168h",
            "a restart must fit, and a week is all",
        ),
    ] = Field(timedelta(hours=2), description="How long it lasts, e.g. 90m. Default: 2h.")
    time_zone: TimeZoneName = Field(
        "UTC", description="Zone of start, by its IANA name. Default: UTC."
    )


class Tls(Model):
    """The server's certificate. Without a Secret of one's own the operator makes and renews it."""

    secret_ref: Reference | None = Field(
        None,
        description="Secret with tls.crt, tls.key and ca.crt, e.g. of cert-manager; a renewed "
        "certificate is loaded without a restart. Default: one that the operator makes.",
    )
    overlap: Duration = Field(
        timedelta(hours=168),
        description="How long a replaced certificate authority stays in ca.crt beside the new "
        "one, so that clients can follow. Default: 168h.",
    )


class Credentials(Model):
    """The application's password. Without a Secret of one's own the operator makes it."""

    rules = (
        Rule(
            "!(has(self.secretRef) && has(self.rotateEvery))",
            message="spec.credentials.rotateEvery cannot be used with secretRef: whoever writes "
            "that Secret rotates it; remove one of the two",
        ),
        # Two logins take turns: a third rotation's worth of passwords cannot be valid at a time.
        Rule(
            f"!has(self.rotateEvery) || !self.rotateEvery.matches(r'{DURATION}') || "
            f"!self.overlap.matches(r'{DURATION}') || self.rotateEvery == '' || self.overlap == '' "
            "|| duration(self.rotateEvery) >= duration(self.overlap)",
            message="spec.credentials.rotateEvery must not be shorter than overlap, for which the "
            "former password stays valid: make it longer, or overlap shorter",
        ),
    )

    secret_ref: Reference | None = Field(
        None,
        description="Secret with the key password, to be set in the database. Default: the "
        "operator generates one; either way the Secret in status.credentialsSecretRef is the one "
        "to connect with.",
    )
    rotate_every: (
        Annotated[
            Duration,
            between(
                "spec.credentials.rotateEvery",
                "1h",
                "87600h",
                "applications must be able to follow",
            ),
        ]
        | None
    ) = Field(
        None,
        description="Time between rotations, e.g. 2160h. Default: only on request, by the "
        "annotation postbase.sh/request-rotate.",
    )
    overlap: Duration = Field(
        timedelta(hours=24),
        description="How long the former login stays valid after a rotation, so that "
        "applications can follow. Default: 24h.",
    )
