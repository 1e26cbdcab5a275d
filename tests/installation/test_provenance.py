"""Digests of code and lock."""

from pathlib import Path

from tenure.installation.provenance import code_digest, lock_digest
from tenure.settings import REPOSITORY
from tenure.vocabulary import digest_bytes


def test_the_code_digest_follows_names_and_contents_of_python_files(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    source = tmp_path / "a" / "one.py"
    source.write_text("x = 1\n")
    first = code_digest(tmp_path)
    (tmp_path / "notes.txt").write_text("no code")
    (tmp_path / "a" / "__pycache__").mkdir()
    (tmp_path / "a" / "__pycache__" / "one.cpython-311.pyc").write_bytes(b"compiled")
    assert code_digest(tmp_path) == first
    source.write_text("x = 2\n")
    second = code_digest(tmp_path)
    source.rename(tmp_path / "a" / "two.py")
    assert len({first, second, code_digest(tmp_path)}) == 3


def test_the_lock_digest_is_that_of_the_lock_or_of_what_is_installed(tmp_path: Path) -> None:
    assert lock_digest() == digest_bytes((REPOSITORY / "requirements.txt").read_bytes())
    assert lock_digest(tmp_path / "none") == lock_digest(tmp_path / "none") != lock_digest()
