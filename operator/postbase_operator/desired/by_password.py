"""How a Job's pod gets into a server that is not in this cluster (Railway), and trusts none of our
certificates: by a password, which one container has as a variable.

The server's certificate is for another name, and proves nothing: bound to the channel, the password
does (as postgres.connect.password_session has it). No ConfigMap of such a Database has scripts, so
that one comes in the Job.
"""

from __future__ import annotations

from kubernetes.client import V1EnvVar, V1EnvVarSource, V1SecretKeySelector

from postbase_operator.desired import config

SUPERUSER = "postgres"
PASSWORD = "PGPASSWORD"  # noqa: S105 - the name of a variable
CHANNEL = {"PGSSLMODE": "require", "PGCHANNELBINDING": "require"}
KEEPALIVES = {
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "4",
    "tcp_user_timeout": "30000",
}
"""Of a session that says nothing for long: what lies between would forget it, and one that died in
silence would be waited for."""


def password(secret: str) -> V1EnvVar:
    """For libpq, from this Secret."""
    key = V1SecretKeySelector(name=secret, key="password")
    return V1EnvVar(name=PASSWORD, value_from=V1EnvVarSource(secret_key_ref=key))


def script(name: str) -> list[str]:
    """The kubelet takes `$(NAME)` in a command for a variable, and `$$` for a `$`."""
    return ["/bin/sh", "-c", config.SCRIPTS[name].replace("$", "$$")]
