"""What the log of a recovery on Railway tells."""

from __future__ import annotations

from postbase_operator.railway.fills import last_commit, last_fatal

LOG = """\
2026-11-28 23:00:01 UTC [30] LOG:  starting archive recovery
2026-11-28 23:00:02 UTC [41] FATAL:  the database system is starting up
2026-11-28 23:00:03 UTC [30] LOG:  redo done at 0/5000028
2026-11-28 23:00 [30] LOG:  last completed transaction was at log time 2026-11-28 22:10:00+00
2026-11-28 23:00:03 UTC [30] FATAL:  recovery ended before configured recovery target was reached
2026-11-28 23:00:04 UTC [42] FATAL:  no pg_hba.conf entry for host "203.0.113.9"
2026-11-28 23:00:04 UTC [43] FATAL:  role "root" does not exist
2026-11-28 23:00:05 UTC [1] LOG:  database system is shut down
""".splitlines()


def test_why_it_has_ended_is_not_what_strangers_at_an_open_port_are_told() -> None:
    assert last_fatal(LOG) == "recovery ended before configured recovery target was reached"
    assert last_fatal(LOG[:4]) == ""
    panic = "PANIC:  could not write to file: No space left on device"
    assert last_fatal([*LOG, panic]) == panic.partition(":  ")[2]


def test_the_last_commit_is_told_as_the_server_has_it() -> None:
    assert last_commit(LOG) == "2026-11-28 22:10:00+00"
    assert last_commit(LOG[:3]) == ""
