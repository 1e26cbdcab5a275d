"""The documents tell the truth: commands exist, links lead somewhere, the house is as drawn."""

import re
import subprocess
from pathlib import Path

import click
import pytest
import typer

from tenure.cli import app
from tenure.settings import REPOSITORY

DOCUMENTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
MAKE = re.compile(r"\bmake ([a-z][a-z-]*)")
TENURE = re.compile(r"(?:`|bin/)tenure ([a-z][a-z-]*(?: [a-z][a-z-]*)?)")
LINK = re.compile(r"\]\((?!http)([^)#]+)")
HOUSE = REPOSITORY / "plugins" / "tenure"
ARCHITECTURE = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
DRAWN = re.compile(r"^plugins/tenure/\n((?:  .*\n)+)", flags=re.MULTILINE)
"""The lines of the tree below the package."""


def targets() -> set[str]:
    text = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z][a-z-]*):", text, flags=re.MULTILINE))


def command_exists(words: list[str]) -> bool:
    command: click.Command | None = typer.main.get_command(app)
    for word in words:
        if not hasattr(command, "commands"):
            return True  # an argument of a command that was found
        command = command.commands.get(word)
        if command is None:
            return False
    return True


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.relative_to(REPOSITORY).as_posix())
def test_every_command_in_a_document_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    unknown = [f"make {name}" for name in MAKE.findall(text) if name not in targets()]
    unknown += [
        f"tenure {line}" for line in TENURE.findall(text) if not command_exists(line.split())
    ]
    assert unknown == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.relative_to(REPOSITORY).as_posix())
def test_every_link_leads_somewhere(path: Path) -> None:
    links = LINK.findall(path.read_text(encoding="utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []


def rooms() -> set[str]:
    """Folders with a slash, and modules, as they stand at the top of the package."""
    folders = {f"{path.parent.name}/" for path in HOUSE.glob("*/__init__.py")}
    return folders | {path.name for path in HOUSE.glob("*.py")} - {"__init__.py"}


def missing(text: str) -> list[str]:
    """Paths in backticks that begin at the root or at a room of the package, and do not exist."""
    tops = {"plugins", "tests", "dags", "docs", "include", *(name.strip("/") for name in rooms())}
    return [
        path
        for path in re.findall(r"`([\w./]+/[\w./]*)`", text)
        if path.partition("/")[0] in tops
        and not any((base / path).exists() for base in (REPOSITORY, HOUSE))
    ]


def test_every_path_on_the_page_of_the_architecture_exists() -> None:
    assert missing(ARCHITECTURE) == []
    assert missing("`usecases/nothing.py`, `dags/nothing.py`") == [
        "usecases/nothing.py",
        "dags/nothing.py",
    ]


def test_its_tree_names_the_rooms_of_the_package_and_no_others() -> None:
    (lines,) = DRAWN.findall(ARCHITECTURE)
    drawn = re.findall(r"^  ([\w./]+)", lines, flags=re.MULTILINE)
    assert sorted(drawn) == sorted(rooms())


def test_the_readme_is_found_out_when_it_lies() -> None:
    assert not command_exists(["no-such-command"])
    assert command_exists(["status"])


def test_the_repository_holds_no_path_of_a_machine_and_no_index_address() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    address = re.compile(r"pypi\.org|pythonhosted|registry\.npmjs|deb\.debian\.org")
    found = [
        name
        for name in listed.stdout.splitlines()
        if (REPOSITORY / name).is_file()
        and name != "tests/test_documents.py"
        and address.search((REPOSITORY / name).read_text(encoding="utf-8", errors="replace"))
    ]
    assert found == []
