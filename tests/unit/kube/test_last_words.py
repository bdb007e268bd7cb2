"""What a log's end tells a status: why, and nothing that a session wrote."""

from __future__ import annotations

from postbase_operator.kube.last_words import SHOWN_CHARACTERS, last_words

AT = "2026-11-24 03:00:00.123 UTC"


def lines(*said: str) -> str:
    return "\n".join(said) + "\n"


def test_it_tells_the_last_lines_of_the_servers_own_processes() -> None:
    said = last_words(
        lines(
            f"{AT} [1] LOG:  starting PostgreSQL 15.18",
            f'{AT} [29] FATAL:  could not write to file "pg_wal/xlogtemp.29": No space left',
            f"{AT} [1] LOG:  startup process (PID 29) exited with exit code 1",
            f"{AT} [1] LOG:  aborting startup due to startup process failure",
            f"{AT} [1] LOG:  database system is shut down",
        )
    )
    assert said.startswith('FATAL: could not write to file "pg_wal/xlogtemp.29": No space left; ')
    assert said.endswith("database system is shut down")
    assert "starting" not in said  # four lines are enough


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
