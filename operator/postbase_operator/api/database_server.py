"""The server of a Database: its volume, what it may use, how its data directory is made."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from postbase_operator.api.base import Model
from postbase_operator.api.rules import Rule, immutable
from postbase_operator.api.scalars import (
    Quantity,
    SecretKey,
    at_least,
    at_most,
    volume_size,
    worded,
)

DATA = "it belongs to the data on the volume; restore into a new Database that has it"


class Storage(Model):
    """The volume."""

    size: Annotated[
        Quantity,
        *volume_size("spec.storage.size"),
        Rule(
            "!isQuantity(string(self)) || !isQuantity(string(oldSelf)) || "
            "quantity(string(self)).compareTo(quantity(string(oldSelf))) >= 0",
            message="spec.storage.size cannot shrink: no volume can; to use less, restore into a "
            "new Database with a smaller size",
        ),
    ] = Field(
        description="Capacity, e.g. 10Gi; at least 1Gi. May grow, in place and without a stop "
        "where the storage class allows expansion; never shrinks."
    )
    storage_class_name: SecretKey | None = Field(
        None,
        description="StorageClass of volumes made from now on; the present volume keeps its own "
        "until a restore makes the next. Default: the cluster's.",
    )


class Resources(Model):
    """What PostgreSQL may use. Changes are made in place, without a restart, where possible."""

    cpu: Annotated[
        Quantity,
        at_least(
            "resources.cpu", "50m", "with less it does not answer in time (500m is half a core)"
        ),
        at_most("resources.cpu", "1024", "it is in cores; for thousandths of one write 500m"),
    ] = Field("500m", description="Processor time, in cores: 2 or 500m. Default: 500m.")
    memory: Annotated[
        Quantity,
        at_least(
            "resources.memory",
            "128Mi",
            "PostgreSQL does not start with less (Mi and Gi are meant; "
            "m is a thousandth of a byte)",
        ),
        at_most("resources.memory", "64Ti", "no node has more; Mi and Gi are the units"),
    ] = Field(
        "512Mi",
        description="Memory, e.g. 2Gi; PostgreSQL takes a quarter of it for its own "
        "cache. Default: 512Mi.",
    )


# A number alone counts pages of 8 kB. Three quarters: what is left serves sessions and the page
# cache, without which the first queries end in the memory limit.
_BUFFERS = "string(self.parameters['shared_buffers'])"
_MEMORY = "quantity(string(self.resources.memory)).asApproximateFloat()"
_BYTES = (
    f"({_BUFFERS}.matches('^[0-9]+$') ? double({_BUFFERS}) * 8192.0 : "
    f"quantity({_BUFFERS}.replace('B', 'i').replace('k', 'K')).asApproximateFloat())"
)
SHARED_BUFFERS = Rule(
    "!has(self.parameters) || !('shared_buffers' in self.parameters) || "
    f"!{_BUFFERS}.matches('^[0-9]{{1,12}}(kB|MB|GB|TB)?$') || "
    "!isQuantity(string(self.resources.memory)) || "
    f"{_BYTES} <= 0.75 * {_MEMORY}",
    message="spec.parameters.shared_buffers must be at most three quarters of "
    "spec.resources.memory: PostgreSQL needs the rest for its sessions; make it smaller, or memory "
    "larger",
)


class InitDB(Model):
    """How the data directory is made; cannot be changed afterwards."""

    rules = (
        Rule(
            "has(self.icuLocale) == (has(self.localeProvider) && self.localeProvider == 'icu')",
            message="spec.initdb.icuLocale and localeProvider: icu go together: set both or none",
        ),
        Rule(
            "!has(self.locale) || !self.locale.matches('(?i)[.]utf-?8$') || "
            "!has(self.encoding) || self.encoding.matches('(?i)^(utf_?8|unicode)$')",
            message="spec.initdb.encoding must be UTF8 with a locale that ends in UTF-8, which the "
            "default C.UTF-8 does: set encoding: UTF8, or a locale of that encoding, or C",
        ),
        Rule(
            "!has(self.localeProvider) || self.localeProvider != 'builtin' || "
            "!has(self.locale) || self.locale in ['C', 'C.UTF-8', 'PG_UNICODE_FAST']",
            message="spec.initdb.localeProvider: builtin has the locales C, C.UTF-8 and (from 18) "
            "PG_UNICODE_FAST: set one of these, or localeProvider: libc",
        ),
    )

    encoding: Annotated[
        str,
        *worded(
            r"^[A-Za-z0-9_]+$",
            "spec.initdb.encoding must be a character set in PostgreSQL's words, such as UTF8",
            max_length=32,
        ),
    ] = Field(
        "UTF8",
        description="Character set of the database. Default: UTF8.",
    )
    locale: Annotated[
        str,
        *worded(
            r"^[A-Za-z0-9_.@-]+$",
            "spec.initdb.locale must be a locale of the image, such as C.UTF-8 or de_DE.UTF-8",
            max_length=64,
        ),
    ] = Field(
        "C.UTF-8",
        description="Locale for sorting and character classes. The default C.UTF-8 is the same in "
        "every version of the C library, so that no image update can break an index.",
    )
    locale_provider: Literal["builtin", "icu", "libc"] | None = Field(
        None,
        description="Who implements the locale, in initdb's words: builtin (17 and later), icu (15 "
        "and later) or libc. Default: builtin where the version has it, else libc.",
    )
    icu_locale: (
        Annotated[
            str,
            *worded(
                r"^[A-Za-z0-9_.@=;-]+$",
                "spec.initdb.icuLocale must be a locale in ICU's words, such as de-DE",
                max_length=64,
            ),
        ]
        | None
    ) = Field(
        None,
        description="With localeProvider icu: the ICU locale, e.g. de-DE.",
    )


class Extension(Model):
    """An extension that the operator creates; the image must contain it."""

    name: Annotated[
        str,
        *worded(
            r"^[A-Za-z_][A-Za-z0-9_-]*$",
            "must be the name of an extension as in CREATE EXTENSION, such as postgis",
            max_length=63,
        ),
    ] = Field(description="Name, e.g. postgis.")
    version: (
        Annotated[
            str,
            *worded(
                r"^[A-Za-z0-9._+~-]+$",
                "must be a version of the extension that the image has, such as 3.4.2",
                max_length=63,
            ),
        ]
        | None
    ) = Field(
        None,
        description="Version to have. Without it: the image's newest when it is created, then "
        "left alone.",
    )


class PodSecurity(Model):
    """The user that the pod runs as."""

    run_as_user: Annotated[int, immutable("spec.podSecurity.runAsUser", DATA)] = Field(
        999,
        ge=1,
        le=4_294_967_294,
        description="Uid and gid of PostgreSQL and of its files. Any works with any image; on "
        "OpenShift take one of the namespace's range. Cannot be changed. Default: 999, as in the "
        "official image.",
    )
