"""How busy the machine was between two looks, whoever made it so."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Machine:
    """`free`: share of the processors' time; `stalled`: percent of the time in which something
    waited for a processor, for the disk."""

    free: float
    stalled: tuple[float, float]

    def __str__(self) -> str:
        cpu, disk = self.stalled
        return f"{self.free:.0%} | {cpu:.0f} / {disk:.0f}"


@dataclass(frozen=True)
class Look:
    idle: int
    total: int
    stalls: tuple[int, int]
    """Microseconds since the machine began."""
    up: float

    @classmethod
    def now(cls) -> Look:
        fields = [int(each) for each in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
        return cls(
            idle=fields[3] + fields[4],
            total=sum(fields),
            stalls=(_stalled("cpu"), _stalled("io")),
            up=float(Path("/proc/uptime").read_text().split()[0]),
        )

    def since(self, before: Look) -> Machine:
        seconds = self.up - before.up
        cpu, disk = (
            (now - then) / seconds / 1e4
            for now, then in zip(self.stalls, before.stalls, strict=True)
        )
        return Machine((self.idle - before.idle) / (self.total - before.total), (cpu, disk))


def _stalled(what: str) -> int:
    """0 where the kernel does not tell."""
    file = Path(f"/proc/pressure/{what}")
    if not file.exists():
        return 0
    return int(file.read_text().split("total=")[1].split()[0])
