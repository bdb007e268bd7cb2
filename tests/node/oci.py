"""Images in files: the one-program images are written here, and every image's digest is read here.

An image of a single static program needs no build tool: one layer, one configuration, two indexes.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

_LAYER = "application/vnd.oci.image.layer.v1.tar"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_REFERENCE = "org.opencontainers.image.ref.name"


def write_program(archive: Path, reference: str, program: Path, more: Mapping[str, object]) -> None:
    """An oci-archive whose only file is the program, at /usr/local/bin, as its entry point."""
    layer = _layer(program)
    inside = f"/usr/local/bin/{program.name}"
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": [inside], "Env": ["PATH=/usr/local/bin"], **more},
        "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        "history": [{"created_by": "tests/node"}],
    }
    blobs = [layer, json.dumps(config).encode()]
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": _descriptor(_CONFIG, blobs[1]),
        "layers": [_descriptor(_LAYER, blobs[0])],
    }
    blobs.append(json.dumps(manifest).encode())
    named = {**_descriptor(_MANIFEST, blobs[2]), "annotations": {_REFERENCE: reference}}
    index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": [named]}
    with tarfile.open(archive, "w") as tar:
        _add(tar, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        _add(tar, "index.json", json.dumps(index).encode())
        for blob in blobs:
            _add(tar, f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}", blob)


def digest(archive: Path) -> str:
    """Of the manifest: by it a running cluster is asked whether it has this very image."""
    with tarfile.open(archive) as tar:
        member = tar.extractfile("index.json")
        index = json.load(member) if member else {"manifests": []}
    return str(index["manifests"][0]["digest"])


def _layer(program: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder in ("tmp", "data", "usr", "usr/local", "usr/local/bin"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            tar.addfile(entry)
        _add(tar, f"usr/local/bin/{program.name}", program.read_bytes(), 0o755)
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))


def _descriptor(media: str, blob: bytes) -> dict[str, object]:
    return {"mediaType": media, "digest": _digest(blob), "size": len(blob)}


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"
