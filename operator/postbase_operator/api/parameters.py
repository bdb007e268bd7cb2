"""Which PostgreSQL parameters the operator owns, and the rules that say so at `kubectl apply`.

These are the ones that durability, archiving, access or the operator's own connection stand on:
set otherwise, the product would break a promise while it says that all is well.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field

from postbase_operator.api.rules import Rule
from postbase_operator.api.scalars import Setting

# Written out, family by family: `in` on a map is cheap for the API server's cost budget, matching
# a hundred keys of any length against patterns is not.
OWNED = (
    # access: the Service, the sidecar and the operator connect by these
    "listen_addresses",
    "port",
    "unix_socket_directories",
    # files: they lie where the pod's volumes put them
    "config_file",
    "data_directory",
    "external_pid_file",
    "hba_file",
    "ident_file",
    "krb_server_keyfile",
    "promote_trigger_file",
    # TLS: keys come from the Database's Secret
    "ssl",
    "ssl_ca_file",
    "ssl_cert_file",
    "ssl_ciphers",
    "ssl_crl_dir",
    "ssl_crl_file",
    "ssl_dh_params_file",
    "ssl_ecdh_curve",
    "ssl_groups",
    "ssl_key_file",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "ssl_passphrase_command",
    "ssl_passphrase_command_supports_reload",
    "ssl_prefer_server_ciphers",
    "ssl_tls13_ciphers",
    # durability
    "fsync",
    "full_page_writes",
    # archiving and recovery: spec.pitr and PitrRestore
    "archive_cleanup_command",
    "archive_command",
    "archive_library",
    "archive_mode",
    "archive_timeout",
    "hot_standby",
    "idle_replication_slot_timeout",
    "max_slot_wal_keep_size",
    "primary_conninfo",
    "primary_slot_name",
    "recovery_end_command",
    "recovery_init_sync_method",
    "recovery_min_apply_delay",
    "recovery_prefetch",
    "recovery_target",
    "recovery_target_action",
    "recovery_target_inclusive",
    "recovery_target_lsn",
    "recovery_target_name",
    "recovery_target_time",
    "recovery_target_timeline",
    "recovery_target_xid",
    "restore_command",
    "synchronous_standby_names",
    "wal_sender_timeout",
    # logs go to the container's output
    "log_destination",
    "logging_collector",
    # passwords of the application's logins are verified and renewed as SCRAM
    "password_encryption",
    # the spec is the only source of settings
    "allow_alter_system",
    "include",
    "include_dir",
    "include_if_exists",
)

FLOORS = {"max_wal_senders": 10, "max_replication_slots": 10}

PREFIXES = ("ssl_", "archive_", "recovery_", "primary_")
SUFFIX = "_file"


def is_owned(name: str) -> bool:
    """By family too: a later major's `recovery_…` is ours before this list knows its name."""
    name = name.lower()
    return name in OWNED or name.startswith(PREFIXES) or name.endswith(SUFFIX)


def owned_among(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(name for name in names if is_owned(name)))


# One name a line of the file: a line break or a blank in it would begin another setting.
NAME = r"^[a-z_][a-z0-9_]*([.][a-z_][a-z0-9_]*)?$"

_LIST = "[" + ", ".join(f"'{name}'" for name in OWNED) + "]"
# Not filter() and join(): the API server cannot bound what those cost, literals it can.
_FOUND = " + ".join(f"('{name}' in self ? ' {name}' : '')" for name in OWNED)
_WHY = "set by the operator, which needs them for durability, archiving or access: remove them"


def _floor(name: str, least: int) -> Rule:
    value = f"string(self['{name}'])"
    return Rule(
        f"!('{name}' in self) || ({value}.matches('^[0-9]{{1,6}}$') && int({value}) >= {least})",
        message=f"spec.parameters.{name} must be a number of at least {least}: backups and the "
        f"WAL receiver take theirs from it",
    )


RULES = (
    Rule(
        f"!{_LIST}.exists(p, p in self)",
        message=f"spec.parameters: some of these are {_WHY}",
        message_expression=f"'spec.parameters:' + {_FOUND} + ' are {_WHY}'",
    ),
    Rule(
        f"self.all(p, p.matches('{NAME}'))",
        message="spec.parameters: the name of a parameter is written in lower-case letters, digits "
        "and underscores, as timezone; an extension's as auto_explain.log_min_duration",
    ),
    Rule(
        "!('wal_level' in self) || self['wal_level'] in ['replica', 'logical']",
        message="spec.parameters.wal_level must be replica or logical: minimal cannot be backed up",
    ),
    Rule(
        "!('io_method' in self) || self['io_method'] != 'io_uring'",
        message="spec.parameters.io_method cannot be io_uring, which the pod's seccomp profile "
        "blocks: use worker or sync",
    ),
    *(_floor(name, least) for name, least in FLOORS.items()),
)

# The rules sit on the map itself, so that the API server names `spec.parameters` by itself too.
Parameters = Annotated[dict[str, Setting], Field(max_length=128), *RULES]
