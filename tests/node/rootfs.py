"""The files of a minimal Debian, by debootstrap from the machine's own mirror."""

import tarfile
from pathlib import Path

from node import apt_sources, builder, declared
from node.commands import run

_PACKAGES = ("ca-certificates", "tzdata")
_LEFT_OUT = ("./var/cache/apt", "./var/lib/apt/lists", "./usr/share/doc", "./usr/share/man")


def make(archive: Path) -> None:
    sources = apt_sources.of_machine()
    with builder.scratch() as folder:
        root = folder / "root"
        run(
            [
                *("debootstrap", "--variant=minbase", f"--include={','.join(_PACKAGES)}"),
                *(apt_sources.SUITE, root, sources[0].address),
            ],
            env={"PATH": declared.DEBIAN_PATH},
            log="images",
            seconds=900,
        )
        lines = "".join(f"{source.line}\n" for source in sources)
        (root / "etc/apt/sources.list").write_text(lines)
        for name in ("etc/resolv.conf", "etc/hostname"):
            (root / name).unlink(missing_ok=True)
        with tarfile.open(archive, "w") as tar:
            tar.add(root, ".", filter=_kept)


def _kept(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Owners by number: the machine's names for them are not the image's. The folders stay:
    packages' scripts link manual pages into them, and fail where they are missing."""
    left_out = any(entry.name.startswith(f"{path}/") for path in _LEFT_OUT)
    if entry.isdev() or (left_out and not entry.isdir()):
        return None
    entry.uname = entry.gname = ""
    return entry
