"""A part's name in the cache changes with every input, and with nothing else."""

from pathlib import Path

from node import fingerprint


def test_texts_are_framed() -> None:
    assert fingerprint.of_texts("ab", "c") != fingerprint.of_texts("a", "bc")
    assert fingerprint.of_texts("ab", "c") == fingerprint.of_texts("ab", "c")


def test_content_names_and_the_executable_bit_count(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "file"
    file.parent.mkdir()
    file.write_text("one")
    first = fingerprint.of_files(tmp_path, ["folder"])
    file.write_text("two")
    changed = fingerprint.of_files(tmp_path, ["folder"])
    file.chmod(0o755)
    executable = fingerprint.of_files(tmp_path, ["folder"])
    file.rename(file.with_name("other"))
    renamed = fingerprint.of_files(tmp_path, ["folder"])
    assert len({first, changed, executable, renamed}) == 4


def test_what_python_leaves_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("")
    before = fingerprint.of_files(tmp_path, ["."])
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "module.pyc").write_bytes(b"compiled")
    assert fingerprint.of_files(tmp_path, ["."]) == before


def test_two_checkouts_share_what_they_build(tmp_path: Path) -> None:
    hashes = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("same")
        hashes.add(fingerprint.of_files(tmp_path / name, ["file"], "flags"))
    assert len(hashes) == 1
