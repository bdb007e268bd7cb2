"""What a log's end tells a status: why, and nothing that a session wrote."""

from __future__ import annotations

from postbase_operator.kube.last_words import SHOWN_CHARACTERS, last_words

AT = "2026-11-24 03:00:00.123 UTC"


def lines(*said: str) -> str:
    return "\n".join(said) + "\n"


def test_it_tells_what_led_to_the_end_and_not_how_things_were_put_away() -> None:
    """A volume that is full, as PostgreSQL 15 says it."""
    said = last_words(
        lines(
            f"{AT} [1] LOG:  starting PostgreSQL 15.18",
            f"{AT} [22] LOG:  database system was not properly shut down",
            f"{AT} [29] postgres@postgres FATAL:  the database system is not yet accepting",
            f"{AT} [22] LOG:  redo starts at 0/531125A0",
            f"{AT} [22] LOG:  redo done at 0/5CE85B08",
            f'{AT} [22] FATAL:  could not write to file "pg_wal/xlogtemp.22": No space left',
            f"{AT} [1] LOG:  startup process (PID 22) exited with exit code 1",
            f"{AT} [1] LOG:  terminating any other active server processes",
            f"{AT} [1] LOG:  shutting down due to startup process failure",
            f"{AT} [30] postgres@postgres FATAL:  the database system is shutting down",
            f"{AT} [1] LOG:  database system is shut down",
        )
    )
    assert said.endswith('FATAL: could not write to file "pg_wal/xlogtemp.22": No space left')
    assert said.startswith("LOG: database system was not properly shut down; LOG: redo starts")


def test_a_hint_stays_with_its_cause() -> None:
    said = last_words(
        lines(
            f"{AT} [1] FATAL:  could not map anonymous shared memory: Cannot allocate memory",
            f"{AT} [1] HINT:  reduce the request size, shared_buffers or max_connections",
            f"{AT} [1] LOG:  database system is shut down",
        )
    )
    assert said.startswith("FATAL: could not map")
    assert said.endswith("HINT: reduce the request size, shared_buffers or max_connections")


def test_a_panic_of_a_session_is_told() -> None:
    said = last_words(
        lines(
            f'{AT} [77] app_a@app PANIC:  could not write to file "pg_wal/xlogtemp.77"',
            f"{AT} [77] app_a@app STATEMENT:  SELECT 's3cret'",
            f"{AT} [1] LOG:  server process (PID 77) was terminated by signal 6: Aborted",
        )
    )
    assert said == 'PANIC: could not write to file "pg_wal/xlogtemp.77"'


def test_it_quotes_no_statement_and_no_row() -> None:
    said = last_words(
        lines(
            f"{AT} [77] app_a@app ERROR:  duplicate key value: s3cret",
            f"{AT} [77] app_a@app STATEMENT:  ALTER ROLE app_a PASSWORD 's3cret'",
            f"{AT} [1] LOG:  server process (PID 77) was terminated by signal 9: Killed",
            f"{AT} [1] DETAIL:  Failed process was running: SELECT 's3cret'",
        )
    )
    assert said == "LOG: server process (PID 77) was terminated by signal 9: Killed"


def test_under_another_prefix_only_what_is_grave() -> None:
    said = last_words(
        lines(
            "[9]: LOG:  statement: SELECT 's3cret'",
            "[9]: PANIC:  could not locate a valid checkpoint record",
        )
    )
    assert said == "PANIC: could not locate a valid checkpoint record"


def test_of_a_foreign_program_the_last_line() -> None:
    assert last_words("usage: nginx\nnginx: no such file\n") == "nginx: no such file"
    assert last_words("") == ""


def test_it_stays_short() -> None:
    said = last_words(lines(*(f"{AT} [1] FATAL:  {'x' * 500}" for _ in range(4))))
    assert len(said) <= SHOWN_CHARACTERS + 2
