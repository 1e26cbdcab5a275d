import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tenure.errors import ConfigInvalid
from tenure.settings import REPOSITORY
from tenure.stack import environment, postgres, services
from tenure.stack.endpoints import StackEndpoints
from tenure.stack.environment import Layout
from tenure.stack.postgres import Server


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    one = Layout(tmp_path / "home", tmp_path / "project", REPOSITORY / "include")
    environment.prepare(one)
    return one


@pytest.fixture
def server(tmp_path: Path) -> Server:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        passwords = {role: f"password-of-{role}" for role in postgres.ROLES}
        return Server(process, tmp_path / "a folder", passwords=passwords)


def test_secrets_are_made_once_and_are_ours_alone(layout: Layout, server: Server) -> None:
    first = environment.build(layout, StackEndpoints(), server, base={})
    again = environment.build(layout, StackEndpoints(), server, base={})
    assert first == again
    files = [*(layout.home / "keys").iterdir(), layout.passwords]
    assert len(files) == 4
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert len(first["AIRFLOW__API_AUTH__JWT_SECRET"]) == 128


def test_nobody_else_looks_into_the_home(layout: Layout, server: Server) -> None:
    """Root's own others may pass through, for PostgreSQL is another user there."""
    environment.build(layout, StackEndpoints(), server, base={})
    for folder in (layout.home, layout.store):  # also where they stood open before
        folder.chmod(0o755)
    environment.prepare(layout)
    assert layout.home.stat().st_mode & 0o777 == (0o711 if os.getuid() == 0 else 0o700)
    below = [path for path in layout.home.rglob("*") if path.is_dir()]
    assert {path.name for path in below} == {"airflow", "logs", "store", "mlflow", "keys"}
    assert {path.stat().st_mode & 0o777 for path in below} == {0o700}


def test_passwords_stay_and_new_users_get_one(layout: Layout) -> None:
    before = json.loads(layout.passwords.read_text())
    assert set(before) == {"ada", "dora", "grace", "heidi", "olga", "sam", "vera", "watchdog"}
    layout.passwords.write_text(json.dumps({k: v for k, v in before.items() if k != "vera"}))
    environment.prepare(layout)
    after = json.loads(layout.passwords.read_text())
    assert after.pop("vera") != before.pop("vera")
    assert after == before


def test_what_slows_or_misleads_is_not_inherited(layout: Layout, server: Server) -> None:
    base = {
        "PYTHONDONTWRITEBYTECODE": "1",
        "AIRFLOW__CORE__EXECUTOR": "KubernetesExecutor",
        "AIRFLOW_CONN_OTHER": "x",
        "MLFLOW_TRACKING_URI": "http://elsewhere",
        "KEPT": "1",
    }
    env = environment.build(layout, StackEndpoints(), server, base=base)
    assert env["KEPT"] == "1"
    assert env["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert env["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:5000"
    assert "PYTHONDONTWRITEBYTECODE" not in env
    assert "AIRFLOW_CONN_OTHER" not in env


def test_everything_listens_on_loopback(layout: Layout, server: Server) -> None:
    env = environment.build(layout, StackEndpoints(), server, base={})
    assert env["AIRFLOW__API__HOST"] == env["MLFLOW_HOST"] == "127.0.0.1"


def test_the_database_is_reached_over_its_socket(layout: Layout, server: Server) -> None:
    env = environment.build(layout, StackEndpoints(), server, base={})
    connection = json.loads(env["AIRFLOW_CONN_TENURE_DATABASE"])
    assert connection["host"] == str(server.socket)
    assert env["TENURE_DATABASE_URL"] == (
        "postgresql+psycopg://tenure:password-of-tenure@/tenure?host="
        + str(server.socket).replace(" ", "%20")
    )


def test_alerts_go_where_the_environment_says(
    layout: Layout, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "AIRFLOW_CONN_TENURE_ALERTS" not in environment.build(
        layout, StackEndpoints(), server, base={}
    )
    base = {"TENURE_ALERTS_URL": "http://127.0.0.1:9/alerts"}
    env = environment.build(layout, StackEndpoints(), server, base=base)
    assert json.loads(env["AIRFLOW_CONN_TENURE_ALERTS"])["extra"] == {
        "url": base["TENURE_ALERTS_URL"]
    }


HELD = {
    "mlflow": {"password-of-mlflow"},
    "gateway": {"password-of-tenure_gateway"},
    "api-server": {"password-of-tenure", "password-of-airflow", "fernet", "api", "jwt"},
    "scheduler": {
        *("password-of-tenure", "password-of-airflow", "fernet", "jwt"),
        *("watchdog", "alerts", "strange"),
    },
    "dag-processor": {"password-of-tenure", "password-of-airflow", "alerts"},
    "triggerer": {"password-of-airflow", "fernet"},
}
"""Exactly the secrets of each process; nobody holds the superuser's."""


@pytest.mark.parametrize("name", HELD)
def test_each_process_holds_its_own_secrets_and_no_others(
    layout: Layout, server: Server, name: str
) -> None:
    base = {
        "TENURE_ALERTS_URL": "http://alerts/hook",
        "AWS_SECRET_ACCESS_KEY": "strange",
        "HOME": "/somebody",
    }
    everything = environment.build(layout, StackEndpoints(), server, base=base)
    known = {role: f"password-of-{role}" for role in postgres.ROLES}
    known |= {one: (layout.home / "keys" / f"airflow-{one}").read_text() for one in KEYS}
    known["watchdog"] = json.loads(layout.passwords.read_text())["watchdog"]
    known |= {"alerts": "http://alerts/hook", "strange": "strange"}
    env = environment.of_process(name, everything)
    texts = [value + "\n" for value in env.values()]
    held = {
        value if value.startswith("password-of-") else one
        for one, value in known.items()
        if any(_holds(text, value) for text in texts)
    }
    assert held == HELD[name]
    assert env["HOME"] == "/somebody"
    assert env["TENURE_STACK"] == str(layout.home)


KEYS = ("fernet", "api", "jwt")


def _holds(text: str, secret: str) -> bool:
    """As a whole: one role's name is the beginning of another's."""
    return re.search(rf"{re.escape(secret)}(?![\w-])", text) is not None


def test_every_service_has_its_part(layout: Layout, server: Server) -> None:
    """A line of the Procfile that nobody listed would start with nothing, or with everything."""
    names = services.read_procfile(REPOSITORY / "Procfile")
    assert set(HELD) == set(names)
    everything = environment.build(layout, StackEndpoints(), server, base={})
    with pytest.raises(KeyError):
        environment.of_process("new", everything)
    assert environment.SECRETS.keys() - everything.keys() == {
        "AIRFLOW_CONN_TENURE_ALERTS",
        "TENURE_ALERTS_URL",
    }


def test_everybody_of_platform_yaml_may_log_in(layout: Layout, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    (folder / "configs").mkdir(parents=True)
    path = folder / "configs" / "platform.yaml"
    path.write_text(
        "roles: {viewer: [v@example.org, both], auditor: [a], operator: [both, o], trainer: [t]}\n"
    )
    assert environment.airflow_users(folder) == {
        "v@example.org": "viewer",
        "both": "op",
        "a": "viewer",
        "o": "op",
        "t": "user",
        "watchdog": "viewer",
    }
    path.write_text('roles: {operator: ["a:admin,b"]}\n')
    with pytest.raises(ConfigInvalid, match=r"'a:admin,b' in platform\.yaml"):
        environment.airflow_users(folder)
