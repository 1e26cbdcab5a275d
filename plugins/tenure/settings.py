"""Where things are: connections and folders, as one frozen object.

Operators build it from Airflow connections, the CLI and the gateway from TENURE_* variables.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
"""The checkout (or the image's Airflow home) that holds `plugins/`."""


@dataclass(frozen=True)
class Settings:
    """Connections and folders of one installation.

    Args:
        home: Folder of all state (`TENURE_HOME`, default `var/` of the project).
        include: Folder of configs and suites (`TENURE_INCLUDE`, default `include/` of the project).
        database_url: SQLAlchemy URL of the lifecycle database (`postgresql+psycopg://…`).
        store_url: `file:///folder` or `s3://bucket/prefix`, with `?endpoint_url=` if need be.
        mlflow_url: MLflow tracking server.
        gateway_url: The gateway, as clients reach it.
        airflow_url: The Airflow UI, as people reach it.
    """

    home: Path
    include: Path
    database_url: str
    store_url: str
    mlflow_url: str
    gateway_url: str
    airflow_url: str

    @classmethod
    def from_environment(
        cls, env: Mapping[str, str] | None = None, *, project: Path | None = None
    ) -> "Settings":
        """Read TENURE_* variables; what is absent is taken from the embedded stack of the home.

        Args:
            env: The variables; those of this process by default.
            project: Folder whose `include/` and `var/` count where no variable names others; by
                default the nearest one, from the working folder upward, then the checkout.
        """
        env = os.environ if env is None else env
        project = project or _nearest_project()
        home = Path(env.get("TENURE_HOME") or project / "var").absolute()
        env = {**_of_running_stack(home), **env}
        socket = home / "postgres"
        return cls(
            home=home,
            include=Path(env.get("TENURE_INCLUDE") or project / "include").absolute(),
            database_url=env.get("TENURE_DATABASE_URL")
            or f"postgresql+psycopg://tenure@/tenure?host={socket}",
            store_url=env.get("TENURE_STORE_URL") or f"file://{home / 'store'}",
            mlflow_url=env.get("TENURE_MLFLOW_URL")
            or f"http://127.0.0.1:{env.get('TENURE_MLFLOW_PORT', '5000')}",
            gateway_url=env.get("TENURE_GATEWAY_URL")
            or f"http://127.0.0.1:{env.get('TENURE_GATEWAY_PORT', '8090')}",
            airflow_url=env.get("TENURE_AIRFLOW_URL")
            or f"http://127.0.0.1:{env.get('TENURE_AIRFLOW_PORT', '8080')}",
        )

    @property
    def signing_key(self) -> Path:
        """Ed25519 private key of the trainer and validator services."""
        return self.home / "keys" / "signing.pem"

    def place(self, key: str) -> str:
        """Where an object or a prefix of the store lies: a path, or `s3://bucket/…`.

        >>> places = dict.fromkeys(Settings.__dataclass_fields__, "")
        >>> Settings(**places | {"store_url": "file:///data/store"}).place("landing/rides/")
        '/data/store/landing/rides/'
        >>> Settings(**places | {"store_url": "s3://b/p?endpoint_url=http://x"}).place("landing/")
        's3://b/p/landing/'
        """
        return f"{self.store_url.partition('?')[0].removeprefix('file://').rstrip('/')}/{key}"

    @property
    def configs(self) -> Path:
        """Folder with `platform.yaml`, `datasets/` and `models/`."""
        return self.include / "configs"

    @property
    def suites(self) -> Path:
        """Folder of Great Expectations suites."""
        return self.include / "expectations"


def _nearest_project() -> Path:
    """The working folder, or one above it, that holds a `platform.yaml` at its place."""
    try:
        here = Path.cwd()
    except OSError:  # it was removed
        return REPOSITORY
    marked = (f for f in (here, *here.parents) if (f / "include/configs/platform.yaml").is_file())
    return next(marked, REPOSITORY)


def _of_running_stack(home: Path) -> dict[str, str]:
    """The TENURE_* variables that `tenure up` wrote down, so that another shell finds its ports."""
    try:
        found = json.loads((home / "stack.json").read_text())["environment"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return {str(key): str(value) for key, value in found.items() if key != "TENURE_HOME"}
