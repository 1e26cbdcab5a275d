"""What `tenure doctor` says of the confinement is asked of a real process, and of the kernel."""

import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tenure.adapters.model_process import nursery
from tenure.cli import app
from tenure.settings import REPOSITORY
from tenure.usecases.serving import walls
from tenure.usecases.serving.walls import measure

NAMES = ["seccomp", "Landlock", "no capabilities", "no new privileges"]
RUNNER = CliRunner()


@pytest.fixture
def gaps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Gaps by wall, of processes with a main module of `tests/faults`."""
    here = os.pathsep.join([str(REPOSITORY / "tests" / "faults"), str(REPOSITORY / "plugins")])
    bare = {**nursery.bare_environment(), "PYTHONPATH": here}
    monkeypatch.setattr(nursery, "bare_environment", lambda: bare)
    return lambda module: {w.name: w.gap for w in measure(tmp_path / "models", module) if w.gap}


def test_a_process_as_gateways_start_them(tmp_path: Path) -> None:
    assert [(wall.name, wall.gap) for wall in measure(tmp_path / "models")] == [
        (name, "") for name in NAMES
    ]


def test_walls_that_cannot_be_built(gaps: Any) -> None:
    assert gaps("walls_missing") == {
        "seccomp": "libseccomp.so.2 is not installed",
        "Landlock": "the kernel has no Landlock",
    }


def test_walls_that_are_only_believed_in(gaps: Any) -> None:
    """The process says that all of it holds; what it can do, and the kernel, say otherwise."""
    found = gaps("walls_of_paper")
    rights = found.pop("no capabilities", "")
    assert found == {"seccomp": "a socket can be made", "Landlock": "/etc can be read"}
    assert ("CapEff" in rights) == (os.geteuid() == 0)


def test_a_process_that_does_not_start(gaps: Any) -> None:
    with pytest.raises((OSError, EOFError)):
        gaps("no_such_module")


@pytest.mark.parametrize(
    ("declared", "exit_code", "says"),
    [
        ("", 1, "not Landlock: /etc can be read -> Install libseccomp2"),
        ("gateway: {unconfined_models: trained here by us}", 0, "(declared: trained here by us)"),
    ],
)
def test_the_doctor_shows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, declared: str, exit_code: int, says: str
) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "platform.yaml").write_text(f"roles: {{}}\n{declared}\n")
    monkeypatch.setenv("TENURE_INCLUDE", str(tmp_path))
    found = (walls.Wall("seccomp", ""), walls.Wall("Landlock", "/etc can be read"))
    monkeypatch.setattr(walls, "measure", lambda _folder: found)
    line = next(
        one for one in RUNNER.invoke(app, ["doctor"]).output.splitlines() if "confinement" in one
    )
    assert ("NOT OK" in line) == bool(exit_code)
    assert "a model process was started and holds: seccomp; not Landlock" in line
    assert says in line
