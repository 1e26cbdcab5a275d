"""When the demo gives up: what it says, and whether the stack can still be looked at."""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tenure.cli.demo import _lived
from tenure.demo import show
from tenure.errors import StateConflict
from tenure.settings import Settings


@dataclass
class StartedStack:
    """What the command asks a stack."""

    home: Path
    is_up: bool = True

    @property
    def settings(self) -> Settings:
        return Settings.from_environment({"TENURE_HOME": str(self.home)})


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def gives_up(*_: object, **__: object) -> bool:
        raise StateConflict("The demo waited 300 s.", still_safe="All.", next_step="Look.")

    monkeypatch.setattr(show, "run", gives_up)
    passwords = tmp_path / "airflow" / "simple_auth_manager_passwords.json"
    passwords.parent.mkdir()
    passwords.write_text(json.dumps({"ada": "secret-of-ada", "watchdog": "secret-of-watchdog"}))
    return StartedStack(tmp_path)


def test_the_stack_stays_up_to_be_looked_at(stack: Any, capsys: pytest.CaptureFixture[str]) -> None:
    seen = io.StringIO()
    assert _lived(stack, Console(file=seen), stays=True) is False
    assert "The demo waited 300 s." in capsys.readouterr().out
    assert stack.settings.airflow_url in seen.getvalue()
    assert "secret-of-ada" in seen.getvalue()
    assert "secret-of-watchdog" not in seen.getvalue()


@pytest.mark.parametrize(("stays", "is_up"), [(False, True), (True, False)])
def test_asked_to_stop_or_never_started_it_only_says_why(
    stack: Any, stays: bool, is_up: bool
) -> None:
    stack.is_up = is_up
    with pytest.raises(StateConflict):
        _lived(stack, Console(file=io.StringIO()), stays=stays)
