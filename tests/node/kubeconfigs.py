"""Kubeconfigs with everything inline: one file can be copied anywhere."""

import base64
import json
from pathlib import Path

from node.certificates import Authority, Pair


def write(file: Path, server: str, authority: Authority, client: Pair, context: str) -> Path:
    """In JSON, which is YAML: the standard library writes no YAML. Its key opens the cluster."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
        "clusters": [
            {
                "name": context,
                "cluster": {
                    "server": server,
                    "certificate-authority-data": _base64(authority.certificate),
                },
            }
        ],
        "users": [
            {
                "name": context,
                "user": {
                    "client-certificate-data": _base64(client.certificate),
                    "client-key-data": _base64(client.key),
                },
            }
        ],
        "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f".{file.name}.new")
    new.touch(mode=0o600)
    new.write_text(json.dumps(content, indent=1))
    new.rename(file)
    return file


def _base64(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()
