"""The machine's package mirror, from its apt sources: no address stands in what we commit."""

from dataclasses import dataclass
from pathlib import Path

from node.commands import run
from node.errors import NodeError

SUITE = "bookworm"  # the images' Debian, whatever the machine runs: it has PostgreSQL 15
_FOLDER = Path("/etc/apt")
_LENT = ("Acquire::http", "Acquire::Check-", "Acquire::Retries", "Acquire::Force")
_ARCHIVE_SUFFIXES = ("", "-updates", "-security", "/updates")


@dataclass(frozen=True)
class Source:
    address: str
    suite: str
    components: tuple[str, ...]

    @property
    def line(self) -> str:
        return f"deb {self.address} {self.suite} {' '.join(self.components)}"


def of_machine() -> list[Source]:
    """Debian's sources for SUITE, the archive itself first; a machine of another release lends its
    mirror's address."""
    found = []
    for file in [_FOLDER / "sources.list", *sorted((_FOLDER / "sources.list.d").glob("*"))]:
        if file.is_file() and file.suffix in (".list", ".sources"):
            text = file.read_text()
            found += parse_deb822(text) if file.suffix == ".sources" else parse_lines(text)
    return for_suite(found)


def for_suite(found: list[Source]) -> list[Source]:
    ours = [s for s in found if s.suite.removeprefix(SUITE) in _ARCHIVE_SUFFIXES]
    ours = [s for s in ours if "main" in s.components]
    archives = [s for s in ours if s.suite == SUITE and "security" not in s.address]
    if not archives:
        mirrors = [s.address for s in found if s.address.rstrip("/").endswith("/debian")]
        if not mirrors:
            raise NodeError("no Debian mirror in the machine's apt sources: images cannot be made")
        return [Source(mirrors[0], SUITE, ("main",))]
    return [archives[0], *(s for s in ours if s != archives[0])]


def settings() -> str:
    """The machine's way out (a proxy, a snapshot's dates), for apt inside the builds."""
    return "".join(
        f"{line}\n"
        for line in run(["apt-config", "dump"]).splitlines()
        if line.startswith(_LENT) and not line.endswith('"";')
    )


def parse_lines(text: str) -> list[Source]:
    """`deb [options] address suite component...`"""
    found = []
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if words[:1] != ["deb"]:
            continue
        words = words[1:]
        if words and words[0].startswith("["):
            end = next((n for n, word in enumerate(words) if word.endswith("]")), len(words))
            words = words[end + 1 :]
        if len(words) >= 3:
            found.append(Source(words[0], words[1], tuple(words[2:])))
    return found


def parse_deb822(text: str) -> list[Source]:
    """Paragraphs of `Field: value`, each address with each suite."""
    found = []
    for paragraph in _paragraphs(text):
        enabled = paragraph.get("enabled", "yes") != "no"
        if enabled and "deb" in paragraph.get("types", "").split():
            components = tuple(paragraph.get("components", "").split())
            for address in paragraph.get("uris", "").split():
                for suite in paragraph.get("suites", "").split():
                    found.append(Source(address, suite, components))
    return found


def _paragraphs(text: str) -> list[dict[str, str]]:
    paragraphs: list[dict[str, str]] = [{}]
    field = ""
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        if not line.strip():
            paragraphs.append({})
        elif line[0].isspace():
            paragraphs[-1][field] += f" {line.strip()}"
        else:
            name, _, value = line.partition(":")
            field = name.strip().lower()
            paragraphs[-1][field] = value.strip()
    return paragraphs
