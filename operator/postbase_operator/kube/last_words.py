"""What a container said at its end, fit for a status: the lines that tell why, and no data. PURE.

The kubelet keeps the last 80 lines or 2 KiB of a log (FallbackToLogsOnError). A session's lines may
quote a statement, with a row or a password in it; the server's own processes quote none, but for
the DETAIL that names a crashed one's. By our log_line_prefix a session's lines bear its user.
"""

from __future__ import annotations

import re

OWN_LINE = re.compile(r"^\S+ \S+ \S+ \[\d+\] ((?:LOG|WARNING|ERROR|FATAL|PANIC|HINT):  .*)$")
"""`%m [%p] %q`: a line of a process that belongs to no session, and what it says."""
GRAVE = re.compile(r"\b((?:FATAL|PANIC):  .*)$")
"""Under a prefix of the user's own; these quote no statement."""
SHOWN_LINES = 4
SHOWN_CHARACTERS = 600


def last_words(message: str) -> str:
    """The last few telling lines, joined by `; `; the last line of all where none is PostgreSQL's.

    That one is a script's, a shell's or a foreign program's, which know no data.
    """
    lines = message.strip().splitlines()
    if not any(re.search(r"\[\d+\]", line) or GRAVE.search(line) for line in lines):
        return lines[-1] if lines else ""
    own = [found[1] for line in lines if (found := OWN_LINE.match(line) or GRAVE.search(line))]
    said = "; ".join(re.sub(r"\s+", " ", line) for line in own[-SHOWN_LINES:])
    return said if len(said) <= SHOWN_CHARACTERS else f"… {said[-SHOWN_CHARACTERS:]}"
