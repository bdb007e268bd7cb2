"""What a container said at its end, fit for a status: the lines that tell why, and no data. PURE.

The kubelet keeps the last 80 lines or 2 KiB of a log (FallbackToLogsOnError). A session's lines may
quote a statement, with a row or a password in it; the server's own processes quote none, but for
the DETAIL that names a crashed one's. By our log_line_prefix a session's lines bear its user.
"""

from __future__ import annotations

import re

OWN_LINE = re.compile(r"^\S+ \S+ \S+ \[\d+\] ((?:LOG|WARNING|ERROR|FATAL|PANIC|HINT):  .*)$")
"""`%m [%p] %q`: a line of a process that belongs to no session, and what it says."""
PANIC = re.compile(r"\b(PANIC:  .*)$")
"""Of a session's, too: it ends the whole server, and quotes no statement."""
GRAVE = re.compile(r"\b((?:FATAL|PANIC):  .*)$")
"""Under a prefix of the user's own; these quote no statement either."""
CAUSE = ("FATAL:", "PANIC:")
SHOWN_LINES = 4
SHOWN_CHARACTERS = 600


def last_words(message: str) -> str:
    """The telling lines, to the one that ended it, joined by `; `; the last line of all where none
    is PostgreSQL's.

    That one is a script's, a shell's or a foreign program's, which know no data.
    """
    lines = message.strip().splitlines()
    if not any(re.search(r"\[\d+\]", line) or GRAVE.search(line) for line in lines):
        return lines[-1] if lines else ""
    own = [found[1] for line in lines if (found := OWN_LINE.match(line) or PANIC.search(line))]
    own = own or [found[1] for line in lines if (found := GRAVE.search(line))]
    telling = _until_the_cause(own)[-SHOWN_LINES:]
    said = "; ".join(re.sub(r"\s+", " ", line) for line in telling)
    return said if len(said) <= SHOWN_CHARACTERS else f"… {said[-SHOWN_CHARACTERS:]}"


def _until_the_cause(said: list[str]) -> list[str]:
    """Without what the postmaster says while it puts things away, but for a hint: once it was four
    lines, and nobody learnt that the volume was full."""
    causes = [number for number, line in enumerate(said) if line.startswith(CAUSE)]
    if not causes:
        return said
    after = causes[-1] + 1
    return said[:after] + [line for line in said[after:] if line.startswith("HINT:")]
