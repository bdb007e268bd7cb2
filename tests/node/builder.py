"""buildah, with a store of its own in the cache, and what the machine lends to a build.

Chroot isolation, since a sandbox allows no nested containers; the network is the machine's, so are
its trust store and the addresses of its mirrors: mounted for the build, they stay out of the image.
"""

import configparser
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from node import apt_sources, declared, paths
from node.commands import run, succeeds

_TRUST = Path("/etc/ssl/certs/ca-certificates.crt")
_TRUST_INSIDE = "/run/lent/ca-certificates.crt"  # not in place of the image's: packages write there
_PIP = Path("/etc/pip.conf")
_PIP_LENT = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout")


def build(reference: str, dockerfile: Path, context: Path, arguments: Mapping[str, str]) -> None:
    with scratch() as folder:
        # Containers that a killed build has left. Builds hold a lock, so none is another's.
        run([*_buildah("rm"), "--all"], env=_environment(folder), log="images")
        run(
            [
                *_buildah("build"),
                *("--layers", "--pull-never", "--tag", reference, "--file", dockerfile),
                *(f"--build-arg={name}={value}" for name, value in arguments.items()),
                *_lent(folder),
                context,
            ],
            env=_environment(folder),
            log="images",
            seconds=1800,
        )


def export(reference: str, archive: Path, name: str) -> None:
    """Uncompressed: it is read once, on this machine."""
    with scratch() as folder:
        target = f"oci-archive:{archive}:{name}"
        run(
            [*_buildah("push"), "--disable-compression", reference, target],
            env=_environment(folder),
            log="images",
        )


def push(archive: str, target: str) -> None:
    """From a file (oci-archive:…) to a registry that was named."""
    with scratch() as folder:
        run(
            [*_buildah("push"), archive, f"docker://{target}"],
            env=_environment(folder),
            log="images",
            seconds=1800,
        )


def has(reference: str) -> bool:
    with scratch() as folder:
        inspect = [*_buildah("inspect"), "--type", "image", reference]
        return succeeds(inspect, env=_environment(folder))


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for the time of one step, in the cache and not in the machine's /var/tmp."""
    root = paths.cache() / "scratch"
    root.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=root) as folder:
        yield Path(folder)


def _buildah(verb: str) -> list[str]:
    """With mounts of its own: those of a killed build end with it, and are not on the machine."""
    store = paths.cache() / "buildah"
    options = ("--root", f"{store}/root", "--runroot", f"{store}/run")
    return ["unshare", "--mount", "buildah", *options, verb]


def _environment(folder: Path) -> dict[str, str]:
    return {
        "STORAGE_DRIVER": "overlay",
        "BUILDAH_ISOLATION": "chroot",
        "TMPDIR": str(folder),
        "PATH": f"{paths.BIN}:{declared.DEBIAN_PATH}",
    }


def _lent(folder: Path) -> list[str]:
    apt, pip = folder / "apt.conf", folder / "pip.conf"
    volumes = {apt: "/etc/apt/apt.conf.d/99lent", pip: str(_PIP)}
    settings, lines = _pip_settings(), apt_sources.settings()
    if _TRUST.exists():
        volumes[_TRUST] = _TRUST_INSIDE
        settings["global"]["cert"] = _TRUST_INSIDE
        lines += f'Acquire::https::CaInfo "{_TRUST_INSIDE}";\n'
    apt.write_text(lines)
    with pip.open("w") as file:
        settings.write(file)
    return [word for own, inside in volumes.items() for word in ("--volume", f"{own}:{inside}:ro")]


def _pip_settings() -> configparser.RawConfigParser:
    settings = configparser.RawConfigParser()
    settings["global"] = {}
    machine = configparser.RawConfigParser()
    machine.read([_PIP, Path.home() / ".config/pip/pip.conf", Path.home() / ".pip/pip.conf"])
    for name in _PIP_LENT:
        value = machine.get("global", name, fallback="")
        value = os.environ.get(f"PIP_{name.upper().replace('-', '_')}", value)
        if value:
            settings["global"][name] = value
    return settings
