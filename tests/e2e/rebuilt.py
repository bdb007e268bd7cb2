"""An image as somebody would have built it again: the same layers, and another digest."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

NAME = "org.opencontainers.image.ref.name"


def rebuilt(archive: Path, reference: str, build: str, into: Path) -> str:
    """Writes the image of an oci-archive under another name, with `build` in its labels.

    Answers the digest of its manifest.
    """
    with tarfile.open(archive) as source, tarfile.open(into, "w") as target:
        index = _json(source, "index.json")
        (listed,) = index["manifests"]
        manifest = _json(source, _path(listed["digest"]))
        config = _json(source, _path(manifest["config"]["digest"]))
        config["config"].setdefault("Labels", {})["build"] = build
        manifest["config"] |= _blob(target, config)
        listed |= _blob(target, manifest) | {"annotations": {NAME: reference}}
        _add(target, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        _add(target, "index.json", json.dumps(index).encode())
        for layer in manifest["layers"]:
            member = source.getmember(_path(layer["digest"]))
            target.addfile(member, source.extractfile(member))
    return str(listed["digest"])


def _json(archive: tarfile.TarFile, name: str) -> Any:
    file = archive.extractfile(name)
    assert file is not None, name
    return json.load(file)


def _blob(archive: tarfile.TarFile, body: Any) -> dict[str, Any]:
    """Writes it, and answers what describes it."""
    data = json.dumps(body).encode()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    _add(archive, _path(digest), data)
    return {"digest": digest, "size": len(data)}


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))


def _path(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"
