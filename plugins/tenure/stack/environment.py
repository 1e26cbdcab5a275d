"""What each process of the stack is told, in one place: Airflow, MLflow and Tenure by environment.

Secrets are random, made once and kept in files that only their owner reads. A process gets those
that are listed for it, and no others.
"""

import base64
import json
import os
import secrets
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from tenure.errors import ConfigInvalid
from tenure.files import private_folder
from tenure.stack.endpoints import LOOPBACK, StackEndpoints
from tenure.stack.postgres import GATEWAY, Server
from tenure.stack.processes import MARK
from tenure.vocabulary import Role

WATCHDOG = "watchdog"
"""The service user that `maintain_platform` reads runs and tasks as."""
_LOOKING = frozenset({Role.VIEWER, Role.AUDITOR})
_RANKS = ("viewer", "user", "op")
_BYTECODE_OFF = "PYTHONDONTWRITEBYTECODE"

AIRFLOW = ("api-server", "scheduler", "dag-processor", "triggerer")
_TASKS = "scheduler"
"""Its children are the tasks, which get what it has."""
SECRETS: dict[str, tuple[str, ...]] = {
    "TENURE_DATABASE_URL": ("api-server", _TASKS, "dag-processor"),
    "TENURE_GATEWAY_DATABASE_URL": (),
    "TENURE_ALERTS_URL": (),
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": AIRFLOW,
    "AIRFLOW__CORE__FERNET_KEY": ("api-server", _TASKS, "triggerer"),
    "AIRFLOW__API__SECRET_KEY": ("api-server",),
    "AIRFLOW__API_AUTH__JWT_SECRET": ("api-server", _TASKS),
    "AIRFLOW_CONN_TENURE_DATABASE": ("api-server", _TASKS, "dag-processor"),
    "AIRFLOW_CONN_TENURE_AIRFLOW": (_TASKS,),
    "AIRFLOW_CONN_TENURE_ALERTS": (_TASKS, "dag-processor"),
    "MLFLOW_BACKEND_STORE_URI": ("mlflow",),
}
"""Variables that let their holder into something, and who holds them.

The dag-processor runs the notices of tasks that could not run; they read the lifecycle database.
"""
_PLAIN = (
    *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_*", "TZ", "TMPDIR", "TERM", MARK),
    *("LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONUNBUFFERED", "OMP_NUM_THREADS", "COVERAGE_*"),
    *("SSL_CERT_*", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
)
"""What any process may have."""
_OWN: dict[str, tuple[str, ...]] = {
    "mlflow": ("MLFLOW_*",),
    "gateway": ("TENURE_*",),
    **dict.fromkeys(AIRFLOW, ("TENURE_*", "AIRFLOW_*", "MLFLOW_TRACKING_URI")),
    _TASKS: ("*",),  # a YAML may name any variable for a consumer's address
}


@dataclass(frozen=True)
class Layout:
    """Folders of one stack.

    Args:
        home: All state.
        project: The folder that holds `dags/`, `plugins/` and the Procfile.
        include: Configs and suites.
    """

    home: Path
    project: Path
    include: Path

    @property
    def airflow(self) -> Path:
        """AIRFLOW_HOME."""
        return self.home / "airflow"

    @property
    def passwords(self) -> Path:
        """User → password of Airflow's login, as JSON."""
        return self.airflow / "simple_auth_manager_passwords.json"

    @property
    def logs(self) -> Path:
        """One file a service."""
        return self.home / "logs"

    @property
    def store(self) -> Path:
        """The local object store."""
        return self.home / "store"


def airflow_users(include: Path) -> dict[str, str]:
    """Airflow's role of each person in `platform.yaml`; it opens pages, what Tenure allows it asks.

    Raises:
        ConfigInvalid: The file is broken, or a name cannot be one of Airflow's.
    """
    from tenure.config import load_platform

    roles = load_platform(include).roles
    users: dict[str, str] = {}
    for role, people in roles.items():
        for name in people:
            if not name or set(name) & set(",:"):
                raise ConfigInvalid(
                    f"{name!r} in platform.yaml cannot be a user of the embedded stack.",
                    still_safe="Nothing was started.",
                    next_step="Use names without comma and colon.",
                )
            rank = "op" if role is Role.OPERATOR else "viewer" if role in _LOOKING else "user"
            users[name] = max(users.get(name, rank), rank, key=_RANKS.index)
    return users | {WATCHDOG: "viewer"}


def prepare(layout: Layout) -> None:
    """Make the folders and, the first time, the passwords of the users.

    Only we may look into them. Root's home of the stack others may pass through, to what is theirs:
    PostgreSQL runs as another user there.
    """
    private_folder(layout.home)
    layout.home.chmod(0o711 if os.getuid() == 0 else 0o700)
    for folder in (layout.airflow, layout.logs, layout.store, layout.store / "mlflow"):
        private_folder(folder)
        folder.chmod(0o700)
    users = airflow_users(layout.include)
    known = json.loads(layout.passwords.read_text()) if layout.passwords.exists() else {}
    missing = {user: secrets.token_urlsafe(12) for user in users if user not in known}
    if missing:
        write_private(layout.passwords, json.dumps(known | missing, indent=2))


def write_private(path: Path, text: str) -> None:
    """Write a whole file that only its owner reads; never half, never open for a moment."""
    private_folder(path.parent)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:  # noqa: PTH123
        file.write(text)
    draft.replace(path)


def secret(layout: Layout, name: str, make: Callable[[], str] = secrets.token_urlsafe) -> str:
    """A secret of the stack, made the first time and then kept in `<home>/keys`."""
    path = layout.home / "keys" / name
    if not path.exists():
        write_private(path, make())
    return path.read_text()


def build(
    layout: Layout, endpoints: StackEndpoints, server: Server, base: Mapping[str, str] | None = None
) -> dict[str, str]:
    """What the processes of the stack are told, all of them together; `of_process` shares it out.

    Args:
        layout: Folders.
        endpoints: Ports.
        server: PostgreSQL.
        base: What to start from; the environment of this process by default.
    """
    inherited = dict(os.environ if base is None else base)
    for key in [key for key in inherited if key.startswith(("AIRFLOW_", "MLFLOW_"))]:
        del inherited[key]
    inherited.pop(_BYTECODE_OFF, None)
    tenure = _tenure(layout, endpoints, server)
    path = os.pathsep.join([str(Path(sys.executable).parent), inherited.get("PATH", os.defpath)])
    return {
        **inherited,
        **tenure,
        **_airflow(layout, endpoints, server),
        **_mlflow(layout, endpoints, server),
        **_connections(
            tenure,
            endpoints,
            server,
            inherited.get("TENURE_ALERTS_URL"),
            json.loads(layout.passwords.read_text())[WATCHDOG],
        ),
        MARK: str(layout.home),
        "PATH": path,
        "PYTHONPATH": str(layout.project / "plugins"),
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": "1",
        "NO_PROXY": ",".join(filter(None, [inherited.get("NO_PROXY"), f"{LOOPBACK},localhost"])),
    }


def of_process(name: str, everything: Mapping[str, str]) -> dict[str, str]:
    """What one process gets of all: what anybody may have, its own, and the secrets listed for it.

    Args:
        name: Of the service, as in the Procfile.
        everything: From `build`.
    """
    wanted = (*_PLAIN, *_OWN[name])
    found = {
        key: value
        for key, value in everything.items()
        if name in SECRETS.get(key, (name,)) and any(fnmatchcase(key, one) for one in wanted)
    }
    if name == "gateway":
        found["TENURE_DATABASE_URL"] = everything["TENURE_GATEWAY_DATABASE_URL"]
    return found


def _tenure(layout: Layout, endpoints: StackEndpoints, server: Server) -> dict[str, str]:
    return {
        "TENURE_HOME": str(layout.home),
        "TENURE_INCLUDE": str(layout.include),
        "TENURE_DATABASE_URL": server.url("tenure", role="tenure"),
        "TENURE_GATEWAY_DATABASE_URL": server.url("tenure", role=GATEWAY),
        "TENURE_STORE_URL": layout.store.as_uri(),
        "TENURE_MLFLOW_URL": endpoints.url("mlflow"),
        "TENURE_GATEWAY_URL": endpoints.url("gateway"),
        "TENURE_AIRFLOW_URL": endpoints.url("airflow"),
        **endpoints.variables(),
    }


def _airflow(layout: Layout, endpoints: StackEndpoints, server: Server) -> dict[str, str]:
    """Defaults of Airflow that would not do here; FACTS says why."""
    url = endpoints.url("airflow")
    sections: dict[str, dict[str, object]] = {
        "CORE": {
            "DAGS_FOLDER": layout.project / "dags",
            "PLUGINS_FOLDER": layout.project / "plugins",
            "LOAD_EXAMPLES": False,
            "EXECUTOR": "LocalExecutor",
            "PARALLELISM": 4,
            "MAX_ACTIVE_TASKS_PER_DAG": 4,
            "EXECUTION_API_SERVER_URL": f"{url}/execution/",
            "FERNET_KEY": secret(layout, "airflow-fernet", _fernet_key),
            "SIMPLE_AUTH_MANAGER_USERS": ",".join(
                f"{u}:{role}" for u, role in airflow_users(layout.include).items()
            ),
            "SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": layout.passwords,
            "DAGS_ARE_PAUSED_AT_CREATION": False,
        },
        "DATABASE": {
            "SQL_ALCHEMY_CONN": server.url("airflow", "psycopg2", role="airflow"),
            "SQL_ALCHEMY_POOL_SIZE": 5,
            "LOAD_DEFAULT_CONNECTIONS": False,
        },
        "API": {
            "HOST": LOOPBACK,
            "PORT": endpoints.airflow,
            "BASE_URL": url,
            "WORKERS": 1,
            "SECRET_KEY": secret(layout, "airflow-api"),
            "INSTANCE_NAME": "Tenure",
            "AUTO_REFRESH_INTERVAL": 3,
        },
        "API_AUTH": {"JWT_SECRET": secret(layout, "airflow-jwt", lambda: secrets.token_hex(64))},
        "SCHEDULER": {
            "SCHEDULER_IDLE_SLEEP_TIME": 0.5,
            "TASK_INSTANCE_HEARTBEAT_TIMEOUT": 60,
            "ORPHANED_TASKS_CHECK_INTERVAL": 30,
        },
        "WORKERS": {
            # Seconds until a worker sees that its process ended. Whoever answers a waiting task
            # before that makes Airflow believe that the task was killed (it is tried again).
            "MIN_HEARTBEAT_INTERVAL": 1,
            # An API server that starts again takes a minute on a busy machine, and its first answer
            # half of one. Airflow's own pace (five calls in fifteen seconds) uses up all tries of a
            # task meanwhile; these calls last for two minutes and more.
            "EXECUTION_API_RETRIES": 20,
            "EXECUTION_API_RETRY_WAIT_MAX": 15,
            "EXECUTION_API_TIMEOUT": 30,
        },
        "DAG_PROCESSOR": {
            "REFRESH_INTERVAL": 5,
            "MIN_FILE_PROCESS_INTERVAL": 15,
            "BUNDLE_REFRESH_CHECK_INTERVAL": 2,
            "PARSING_PROCESSES": 2,
            "DAG_BUNDLE_STORAGE_PATH": layout.airflow / "bundles",
            "STALE_DAG_THRESHOLD": 60,
        },
        "LOGGING": {"BASE_LOG_FOLDER": layout.airflow / "logs", "COLORED_CONSOLE_LOG": False},
        "USAGE_DATA_COLLECTION": {"ENABLED": False},
        "OPENLINEAGE": {"DISABLED": True},
    }
    named = {
        f"AIRFLOW__{section}__{key}": str(value)
        for section, values in sections.items()
        for key, value in values.items()
    }
    return {"AIRFLOW_HOME": str(layout.airflow), **named}


def _mlflow(layout: Layout, endpoints: StackEndpoints, server: Server) -> dict[str, str]:
    """MLflow's server reads its options from MLFLOW_* variables; clients read the last ones."""
    return {
        "MLFLOW_BACKEND_STORE_URI": server.url("mlflow", "psycopg2", role="mlflow"),
        "MLFLOW_DEFAULT_ARTIFACT_ROOT": (layout.store / "mlflow").as_uri(),
        "MLFLOW_SERVE_ARTIFACTS": "false",
        "MLFLOW_HOST": LOOPBACK,
        "MLFLOW_PORT": str(endpoints.mlflow),
        "MLFLOW_WORKERS": "1",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_TRACKING_URI": endpoints.url("mlflow"),
    }


def _connections(
    tenure: Mapping[str, str],
    endpoints: StackEndpoints,
    server: Server,
    alerts: str | None,
    watchdog_password: str,
) -> dict[str, str]:
    """The same places as Airflow connections, which is how operators find them everywhere."""
    database = {"conn_type": "postgres", "login": "tenure", "schema": "tenure"}
    database["password"] = server.passwords.get("tenure", "")
    database["host"] = LOOPBACK if server.port else str(server.socket)
    return {
        "AIRFLOW_CONN_TENURE_DATABASE": json.dumps(database | {"port": server.port}),
        "AIRFLOW_CONN_TENURE_STORE": _at(tenure["TENURE_STORE_URL"]),
        "AIRFLOW_CONN_TENURE_MLFLOW": _http(endpoints.mlflow),
        "AIRFLOW_CONN_TENURE_GATEWAY": _http(endpoints.gateway),
        "AIRFLOW_CONN_TENURE_AIRFLOW": _http(
            endpoints.airflow, login=WATCHDOG, password=watchdog_password
        ),
        **({"AIRFLOW_CONN_TENURE_ALERTS": _at(alerts)} if alerts else {}),
    }


def _at(url: str) -> str:
    return json.dumps({"conn_type": "generic", "extra": {"url": url}})


def _http(port: int, **login: str) -> str:
    place = {"conn_type": "http", "schema": "http", "host": LOOPBACK, "port": port}
    return json.dumps(place | login)


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
