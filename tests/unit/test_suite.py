"""What the suite tells of a run: CI's readers see its last lines."""

from __future__ import annotations

from pathlib import Path

import pytest

import suite

REPORT = """<testsuites><testsuite>
<testcase classname="e2e.one" name="good" time="1.5"/>
<testcase classname="e2e.one" name="bad" time="2"><failure message="assert 1 == 2">
def test_bad():
&gt;   assert 1 == 2
E   assert 1 == 2

tests/e2e/one.py:7: AssertionError</failure></testcase>
<testcase classname="e2e.one" name="broken"><error message="fixture">no lines with a mark
conftest.py:3: OSError</error></testcase>
<testcase classname="e2e.one" name="not here"><skipped message="no node"/></testcase>
</testsuite></testsuites>"""


@pytest.fixture
def report(tmp_path: Path) -> Path:
    file = tmp_path / "junit.xml"
    file.write_text(REPORT)
    return file


def test_it_counts_and_says_by_which_words_a_test_failed(
    report: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = suite.read_report("e2e", report, 1)
    assert (result.passed, result.failed, result.skipped) == (1, 2, 1)
    assert suite.summary([result]) == 1
    told = capsys.readouterr().out
    assert "failed  e2e.one::bad\nE   assert 1 == 2\ntests/e2e/one.py:7: AssertionError\n" in told
    assert "failed  e2e.one::broken\nno lines with a mark\nconftest.py:3: OSError\n" in told
    assert told.endswith("failed in: e2e\n1 passed, 2 failed, 1 skipped\n")


def test_a_run_that_died_without_a_report_is_a_failure(tmp_path: Path) -> None:
    assert suite.read_report("e2e", tmp_path / "none.xml", 137).failed == 1
