"""What all kinds share: wire names, metadata, references, and the frame of a resource.

Models are frozen, and read leniently: an older operator must be able to read what a newer one's
schema let in. What may be written is the CRDs' matter, which are generated from these models.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from postbase_operator.api.rules import Rule, exactly_one, with_rules
from postbase_operator.api.scalars import Instant, ObjectName

GROUP = "postbase.sh"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
CATEGORY = "postbase"

# Words that Kubernetes writes in capitals when they are not the first of a name.
CAPITALS = {"wal": "WAL", "lsn": "LSN", "uid": "UID", "gib": "GiB"}


def wire_name(name: str) -> str:
    """`last_wal_file` -> `lastWALFile`."""
    first, *rest = name.split("_")
    return first + "".join(CAPITALS.get(word, word.capitalize()) for word in rest)


class Model(BaseModel):
    """An object of the API: snake_case here, camelCase on the wire."""

    model_config = ConfigDict(
        alias_generator=wire_name, populate_by_name=True, extra="ignore", frozen=True
    )

    rules: ClassVar[tuple[Rule, ...]] = ()
    """Checked by the API server on the whole object."""

    exactly_one_of: ClassVar[tuple[str, ...]] = ()
    """The fields (Python names) of which one and only one is set; checked here and there."""

    @model_validator(mode="after")
    def _one_is_chosen(self) -> Self:
        chosen = [name for name in self.exactly_one_of if getattr(self, name) is not None]
        if self.exactly_one_of and len(chosen) != 1:
            raise ValueError(exactly_one(self.wire_names(*self.exactly_one_of)).message)
        return self

    @classmethod
    def wire_names(cls, *names: str) -> tuple[str, ...]:
        return tuple(cls.model_fields[name].alias or name for name in names)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        schema = handler.resolve_ref_schema(handler(core_schema))
        choice = [exactly_one(cls.wire_names(*cls.exactly_one_of))] if cls.exactly_one_of else []
        schema.update(with_rules(schema, [*choice, *cls.rules]))
        return schema

    def to_wire(self) -> dict[str, Any]:
        """As JSON for the API server; what the schema's defaults put back is left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)


class Empty(Model):
    """A choice that needs no more than to be named: written as `{}`."""


class Reference(Model):
    """Another object of the same namespace."""

    name: Annotated[ObjectName, Field(description="Name of the object, in the same namespace.")]


class ObjectMeta(Model):
    """The part of Kubernetes' metadata that we read."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    finalizers: tuple[str, ...] = ()
    creation_timestamp: Instant | None = None
    deletion_timestamp: Instant | None = None

    @property
    def is_deleting(self) -> bool:
        return self.deletion_timestamp is not None


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`; those of priority 1 are shown with `-o wide`."""

    name: str
    path: str
    description: str
    type: str = "string"
    priority: int = 0

    def wide(self) -> Column:
        """The same, shown with `-o wide` only."""
        return replace(self, priority=1)


READY = Column(
    "Ready", '.status.conditions[?(@.type=="Ready")].status', "Whether it is as the spec wants it"
)
MESSAGE = Column(
    "Message",
    '.status.conditions[?(@.type=="Ready")].message',
    "Why it is, or is not, ready",
    priority=1,
)
AGE = Column("Age", ".metadata.creationTimestamp", "Time since it was created", type="date")


@dataclass(frozen=True, slots=True)
class Definition:
    """What a CRD says about its kind beside the schema."""

    kind: str
    plural: str
    singular: str
    short_names: tuple[str, ...]
    columns: tuple[Column, ...]
    namespaced: bool = True
    selectable: tuple[str, ...] = ()
    """Fields that `--field-selector` knows (Kubernetes 1.32; older ones leave them out)."""

    @property
    def file_name(self) -> str:
        return f"{self.plural}.{GROUP}.yaml"


class Resource(Model):
    """A custom resource. Each kind adds `spec` and `status`."""

    definition: ClassVar[Definition]

    api_version: str = API_VERSION
    metadata: ObjectMeta = ObjectMeta()

    def to_wire(self) -> dict[str, Any]:
        identity = {"apiVersion": API_VERSION, "kind": self.definition.kind}
        return {**identity, **super().to_wire()}
