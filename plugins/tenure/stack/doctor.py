"""Whether this machine and this environment can run Tenure, checked without starting it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.requirements import Requirement

from tenure.config import load_platform
from tenure.errors import TenureError
from tenure.settings import REPOSITORY, Settings
from tenure.stack import postgres, state
from tenure.stack.endpoints import StackEndpoints

_LOCKS = ("requirements.txt", "requirements-local.txt")
_LEAST_FREE_GB = 2.0
_LEAST_PYTHON = (3, 11)
_SHOWN = 5


@dataclass(frozen=True)
class DoctorFinding:
    """One thing that was looked at; `fix` is empty when it is well."""

    name: str
    healthy: bool
    detail: str
    fix: str = ""


def examine(settings: Settings, environment: Mapping[str, str]) -> Iterator[DoctorFinding]:
    """Look at everything, one finding at a time."""
    yield _python()
    yield _packages()
    yield _postgres()
    yield _ports(settings, environment)
    yield _home(settings.home)
    yield _project()
    yield _confinement(settings)


def live(environment: Mapping[str, str]) -> Iterator[DoctorFinding]:
    """What the health check of a container asks, whatever its role: code and database."""
    yield _python()
    yield _database(environment.get("TENURE_DATABASE_URL", ""))


def _database(url: str) -> DoctorFinding:
    if not url:
        return DoctorFinding("database", healthy=True, detail="TENURE_DATABASE_URL is not set here")

    def ask() -> str:
        import psycopg

        plain = url.replace("postgresql+psycopg://", "postgresql://", 1)
        try:
            with psycopg.connect(plain, connect_timeout=5) as connection:
                row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        except psycopg.Error as error:
            raise OSError(str(error).strip()) from error
        return f"at revision {row[0] if row else 'none'}"

    return _tried("database", ask, "Start PostgreSQL, or correct TENURE_DATABASE_URL.")


def _python() -> DoctorFinding:
    found = ".".join(map(str, sys.version_info[:3]))
    return DoctorFinding(
        "python", sys.version_info >= _LEAST_PYTHON, found, "Use Python 3.11 or newer."
    )


def _packages() -> DoctorFinding:
    wrong = [problem for lock in _LOCKS for problem in _drift(REPOSITORY / lock)]
    if not wrong:
        return DoctorFinding("packages", healthy=True, detail="as locked")
    shown = ", ".join(wrong[:_SHOWN])
    more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
    return DoctorFinding("packages", healthy=False, detail=shown + more, fix="Run `make install`.")


def _drift(lock: Path) -> Iterator[str]:
    """Packages whose installed version is not the locked one."""
    if not lock.exists():
        return
    for line in lock.read_text().splitlines():
        if "==" not in line or line.startswith((" ", "#")):
            continue
        wanted = Requirement(line.rstrip(" \\"))
        if wanted.marker and not wanted.marker.evaluate():
            continue
        try:
            installed = version(wanted.name)
        except PackageNotFoundError:
            installed = "missing"
        if not wanted.specifier.contains(installed if installed != "missing" else "0", True):
            yield f"{wanted.name} is {installed}, locked {wanted.specifier}"


def _postgres() -> DoctorFinding:
    def ask() -> str:
        command = [str(postgres.binaries() / "postgres"), "--version"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    return _tried("postgresql", ask, "Run `make install`, or set TENURE_DATABASE_URL.")


def _ports(settings: Settings, environment: Mapping[str, str]) -> DoctorFinding:
    if found := state.read(settings.home):
        ports = ", ".join(f"{k} {v}" for k, v in found.endpoints.named().items())
        return DoctorFinding("ports", healthy=True, detail=f"{ports} (the stack is up)")

    def ask() -> str:
        endpoints = StackEndpoints.from_environment(environment)
        endpoints.require_free()
        return ", ".join(f"{k} {v}" for k, v in endpoints.named().items()) + " are free"

    return _tried("ports", ask, "Set TENURE_AIRFLOW_PORT, TENURE_MLFLOW_PORT, TENURE_GATEWAY_PORT.")


def _home(home: Path) -> DoctorFinding:
    existing = next(p for p in (home, *home.parents) if p.exists())
    free = shutil.disk_usage(existing).free / 1e9
    healthy = os.access(existing, os.W_OK) and free >= _LEAST_FREE_GB
    detail = f"{home}: {free:.0f} GB free, {'' if os.access(existing, os.W_OK) else 'not '}writable"
    return DoctorFinding(
        "home", healthy, detail, f"Set TENURE_HOME to a folder with {_LEAST_FREE_GB} GB."
    )


def _project() -> DoctorFinding:
    missing = [name for name in ("dags", "plugins", "include") if not (REPOSITORY / name).is_dir()]
    detail = f"{REPOSITORY}: " + (f"no {', '.join(missing)}" if missing else "complete")
    return DoctorFinding("project", not missing, detail, "Install from a checkout: `make install`.")


def _confinement(settings: Settings) -> DoctorFinding:
    """What holds a model process on this machine, measured of one."""

    def ask() -> str:
        from tenure.usecases.serving.walls import measure

        with TemporaryDirectory() as folder:
            try:
                walls = measure(Path(folder) / "models")
            except (EOFError, ValueError) as error:
                raise OSError(f"no model process starts here ({error!r})") from error
        gaps = [f"{wall.name}: {wall.gap}" for wall in walls if wall.gap]
        held = ", ".join(wall.name for wall in walls if not wall.gap)
        said = f"a model process was started and holds: {held or 'nothing'}"
        if gaps and not (why := load_platform(settings.include).gateway.unconfined_models):
            raise OSError(f"{said}; not {', '.join(gaps)}")
        return f"{said}; not {', '.join(gaps)} (declared: {why})" if gaps else said

    return _tried(
        "confinement",
        ask,
        "Install libseccomp2 on a kernel with Landlock: gateways refuse versions here. Or say in "
        "`gateway.unconfined_models` of platform.yaml why they may serve.",
    )


def _tried(name: str, ask: Callable[[], str], fix: str) -> DoctorFinding:
    try:
        return DoctorFinding(name, healthy=True, detail=ask())
    except TenureError as error:
        return DoctorFinding(name, healthy=False, detail=error.what, fix=error.next_step)
    except (OSError, subprocess.CalledProcessError) as error:
        return DoctorFinding(name, healthy=False, detail=str(error), fix=fix)
