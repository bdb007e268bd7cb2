"""What a new Database starts with."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from postbase_operator.api.base import Empty, Model, Reference
from postbase_operator.api.rules import names_a_branch
from postbase_operator.api.scalars import LSN, ObjectName, TargetTime, worded


class Origin(Model):
    """The Database whose archive is read; it need not exist any more."""

    exactly_one_of = ("database_uid", "name")

    database_uid: (
        Annotated[
            str,
            *worded(
                r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
                "must be a metadata.uid, such as 6f1c1b0e-3a52-4c1e-9d0e-0a1b2c3d4e5f; for a name "
                "use from.name",
                max_length=36,
            ),
        ]
        | None
    ) = Field(
        None,
        description="Its metadata.uid, as the object store's catalogue lists it.",
    )
    name: ObjectName | None = Field(
        None,
        description="Its name, in the same namespace; the youngest of that name in the catalogue.",
    )


class RestoreFrom(Model):
    """A moment in the archive of another Database."""

    exactly_one_of = ("target_time", "lsn", "latest", "backup_id")
    rules = (names_a_branch("targetTime", "lsn", "latest"),)

    from_: Origin = Field(description="The Database whose archive is read.")
    target_time: TargetTime | None = Field(
        None,
        description="The moment to restore, in RFC 3339 with a zone: 2026-11-23T14:30:00.5Z.",
    )
    lsn: LSN | None = Field(None, description="The position in the log to restore, as 16/B374D848.")
    timeline: Annotated[int, Field(ge=1, le=2147483647)] | None = Field(
        None,
        description="With targetTime, lsn or latest: the PostgreSQL timeline of the branch that is "
        "meant. Default: the one that was written last.",
    )
    latest: Empty | None = Field(None, description="`{}`: everything that the archive has.")
    backup_id: (
        Annotated[
            str,
            *worded(
                r"^bkp_[a-z2-7]{26}$",
                "must be the status.id of a Backup, bkp_ and 26 characters",
                max_length=40,
            ),
        ]
        | None
    ) = Field(
        None,
        alias="backupID",
        description="Id of the backup to restore as it is: bkp_….",
    )


class Bootstrap(Model):
    """What a new Database starts with; exactly one."""

    exactly_one_of = ("empty", "latest", "backup_ref", "restore")

    empty: Empty | None = Field(
        None,
        description="`{}`: an empty database, even where the object store has an archive of this "
        "name; that archive stays and expires by its retention.",
    )
    latest: Empty | None = Field(
        None,
        description="`{}`: everything that the archive of this name has; for a cluster that is "
        "built again from Git.",
    )
    backup_ref: Reference | None = Field(
        None,
        description="A Backup of the same namespace. A Logical one also goes into a newer "
        "PostgreSQL than it came from.",
    )
    restore: RestoreFrom | None = Field(
        None, description="A moment in the archive of another Database, or of a deleted one."
    )
