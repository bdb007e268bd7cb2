"""PostgreSQL's history of a timeline: which ones it came from, and where it left each. PURE."""

from __future__ import annotations

from dataclasses import dataclass, field

from postbase_operator.archive.lsn import Lsn
from postbase_operator.archive.record import UnreadableRecord


@dataclass(frozen=True, slots=True)
class Fork:
    """The log left `timeline` at `end`: what that one has beyond is another branch's."""

    timeline: int
    end: Lsn
    reason: str = field(default="", compare=False)


def parse_history(content: bytes) -> tuple[Fork, ...]:
    """The ancestors, the oldest first. Raises UnreadableRecord.

    Lines are "<timeline> <position> <why>"; empty ones and those that begin with # say nothing.
    """
    forks: list[Fork] = []
    for line in content.decode(errors="replace").splitlines():
        words = line.split(maxsplit=2)
        if not words or words[0].startswith("#"):
            continue
        try:
            fork = Fork(int(words[0]), Lsn.parse(words[1]), "".join(words[2:]).rstrip())
        except (ValueError, IndexError):
            raise UnreadableRecord("a timeline's history", f"has the line {line!r}") from None
        if forks and fork.timeline <= forks[-1].timeline:
            raise UnreadableRecord("a timeline's history", "names its timelines out of order")
        forks.append(fork)
    return tuple(forks)
