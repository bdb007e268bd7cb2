"""The mirror is read from whatever form the machine's apt sources have."""

import pytest

from node import apt_sources
from node.apt_sources import Source
from node.errors import NodeError

ARCHIVE = Source("http://mirror.test/debian", "bookworm", ("main",))
SECURITY = Source("http://mirror.test/debian-security", "bookworm-security", ("main",))

LINES = """
# deb http://commented.test/debian bookworm main
deb http://mirror.test/debian bookworm main
deb-src http://mirror.test/debian bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/some.gpg] http://tools.test/apt stable main # why
"""

DEB822 = """
Types: deb deb-src
# a snapshot stood here
URIs: http://mirror.test/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/some.gpg

Types: deb
URIs: http://off.test/debian
Suites: bookworm
Components: main
Enabled: no

Types: deb
URIs: http://one.test/debian
 http://two.test/debian
Suites: bookworm
Components: main
"""


def test_one_line_sources() -> None:
    assert apt_sources.parse_lines(LINES) == [
        ARCHIVE,
        Source("http://tools.test/apt", "stable", ("main",)),
    ]


def test_deb822_sources() -> None:
    both = ("main", "contrib")
    assert apt_sources.parse_deb822(DEB822) == [
        Source("http://mirror.test/debian", "bookworm", both),
        Source("http://mirror.test/debian", "bookworm-updates", both),
        Source("http://one.test/debian", "bookworm", ("main",)),
        Source("http://two.test/debian", "bookworm", ("main",)),
    ]


def test_the_archive_comes_first_and_strangers_are_left_out() -> None:
    strangers = [
        Source("http://tools.test/apt", "stable", ("main",)),
        Source("http://pgdg.test/apt", "bookworm-pgdg", ("main",)),
        Source("http://mirror.test/debian", "bookworm-backports", ("main",)),
    ]
    assert apt_sources.for_suite([SECURITY, *strangers, ARCHIVE]) == [ARCHIVE, SECURITY]


def test_another_release_lends_its_mirror() -> None:
    trixie = Source("http://mirror.test/debian", "trixie", ("main",))
    assert apt_sources.for_suite([trixie]) == [ARCHIVE]


def test_no_mirror_is_said() -> None:
    with pytest.raises(NodeError, match="no Debian mirror"):
        apt_sources.for_suite([Source("http://tools.test/apt", "stable", ("main",))])
