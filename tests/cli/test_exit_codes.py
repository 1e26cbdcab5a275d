import subprocess
import sys
from pathlib import Path

import pytest

from tenure import cli
from tenure.errors import ConfigInvalid, GateFailed, PortTaken, ServiceUnreachable, TenureError


def raised(kind: type[TenureError]) -> TenureError:
    return kind("2 of 14 failed.", still_safe="The champion.", next_step="Look.", evidence="9f2c")


@pytest.mark.parametrize(
    ("kind", "code"),
    [(GateFailed, 1), (ConfigInvalid, 1), (ServiceUnreachable, 3), (PortTaken, 3)],
)
def test_an_error_is_printed_and_not_traced(
    kind: type[TenureError],
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail() -> None:
        raise raised(kind)

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == (
        f"{kind.__name__}: 2 of 14 failed.\nStill safe: The champion.\n"
        "Next step: Look.\nEvidence: 9f2c\n"
    )


def tenure(*arguments: str, home: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [Path(sys.executable).parent / "tenure", *arguments],
        env={"PATH": "/usr/bin:/bin", "TENURE_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--help"], 0, "status"),
        (["no-such-command"], 2, "No such command"),
        (["status", "--no-such-option"], 2, "No such option"),
        (["status"], 3, "Start it with `tenure up`."),
        (["status", "--json"], 3, "Start it with `tenure up`."),
        (["down"], 0, "Nothing was running."),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else None,
)
def test_exit_codes_of_the_real_command(
    arguments: list[str], code: int, says: str, tmp_path: Path
) -> None:
    done = tenure(*arguments, home=tmp_path)
    assert done.returncode == code, done.stderr
    assert says in done.stdout + done.stderr


def test_the_command_starts_without_the_heavy_libraries() -> None:
    heavy = {
        "airflow",
        "mlflow",
        "pandas",
        "sklearn",
        "great_expectations",
        "evidently",
        "sqlalchemy",
    }
    program = "import sys, tenure.cli; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert heavy & set(done.stdout.split()) == set()
