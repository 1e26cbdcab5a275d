"""Starts the servers that the gateway is compared with, each as its own documentation says."""

import json
import shutil
import signal
import subprocess
import sys
import time
import venv
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from serving_parts.installation import ARTIFACT, Served, clean_environment, free_port

HOSTS = Path(__file__).parent / "hosts"
_START_SECONDS = 60.0


@dataclass
class Peer:
    """A server under its name in the table.

    Args:
        name: In the table.
        command: Program and arguments; `{port}` is put in.
        path: Of its scoring endpoint.
        protocol: Which of `installation.bodies` it reads.
        env: Beside this environment.
        folder: Its working folder.
    """

    name: str
    command: Sequence[str]
    path: str
    protocol: str
    folder: Path
    env: Mapping[str, str] = field(default_factory=dict)
    popen: "subprocess.Popen[bytes] | None" = None
    url: str = ""

    def start(self, example: Mapping[str, Any]) -> None:
        """Start it and wait for its first answer. Raises RuntimeError with the end of its log."""
        port = str(free_port())
        self.url = f"http://127.0.0.1:{port}{self.path}"
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.folder / "log"
        with log.open("wb") as output:
            self.popen = subprocess.Popen(
                [part.replace("{port}", port) for part in self.command],
                env=clean_environment() | {"PORT": port} | dict(self.env),
                cwd=self.folder,
                stdout=output,
                stderr=output,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers(example):
            if self.popen.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise RuntimeError(log.read_text(errors="replace").strip()[-300:])
            time.sleep(0.2)

    @property
    def pid(self) -> int:
        """Of the process that was started."""
        assert self.popen is not None
        return self.popen.pid

    def close(self) -> None:
        """End it and what it started."""
        if self.popen is None:
            return
        with suppress(psutil.NoSuchProcess):
            below = psutil.Process(self.popen.pid).children(recursive=True)
            self.popen.send_signal(signal.SIGTERM)
            _, left = psutil.wait_procs([psutil.Process(self.popen.pid), *below], 5)
            for one in left:
                with suppress(psutil.NoSuchProcess):
                    one.kill()
        self.popen.wait()

    def _answers(self, example: Mapping[str, Any]) -> bool:
        with suppress(httpx.HTTPError):
            return httpx.post(self.url, json=example, timeout=10).status_code == 200
        return False


def of_the_lock(served: Served) -> list[Peer]:
    """Servers that are installed here anyway: MLflow with one thread and as it is, and nothing."""
    home = served.platform.settings.home
    model = home / "mlflow-model"
    if not model.exists():
        _save_for_mlflow(served, model)
    serve = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(model), "--env-manager"]
    serve += ["local", "--host", "127.0.0.1", "--port", "{port}"]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true"}
    # `mlflow models serve` starts `uvicorn` by name, so it must be found on the path.
    quiet["PATH"] = f"{Path(sys.executable).parent}:{clean_environment().get('PATH', '')}"
    one = quiet | {"OMP_NUM_THREADS": "1"}
    empty = [sys.executable, str(HOSTS / "empty_app.py")]
    return [
        Peer("mlflow, OMP_NUM_THREADS=1", serve, "/invocations", "split", home / "p-mlflow1", one),
        Peer("mlflow, its defaults", serve, "/invocations", "split", home / "p-mlflow", quiet),
        Peer("empty Starlette", empty, "/predict", "oip", home / "p-empty"),
    ]


def _save_for_mlflow(served: Served, path: Path) -> None:
    """Without `pip_requirements` saving takes minutes: it looks for them."""
    import mlflow.sklearn
    from mlflow.models import infer_signature

    from tenure.adapters.skops_artifacts import TRUSTED

    rows = served.rows.head(100)
    mlflow.sklearn.save_model(
        served.estimator,
        str(path),
        signature=infer_signature(rows, served.estimator.predict_proba(rows)),
        pip_requirements=["scikit-learn"],
        pyfunc_predict_fn="predict_proba",
        serialization_format="skops",
        skops_trusted_types=list(TRUSTED),
    )


PACKAGES = {"BentoML": "bentoml", "LitServe": "litserve", "MLServer": "mlserver"}
_BESIDE = {"MLServer": ("uvloop<0.22",)}
"""MLServer 1.7 takes for granted that there is an event loop; newer ones do not make it."""


def installed(package: str, folder: Path, *more: str) -> Path:
    """A virtual environment to throw away, with the peer. Raises RuntimeError when it cannot be."""
    import numpy
    import pandas
    import sklearn

    wanted = [
        package,
        *more,
        "skops",
        f"scikit-learn=={sklearn.__version__}",
        f"pandas=={pandas.__version__}",
        f"numpy=={numpy.__version__}",
    ]
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=shutil.which("uv") is None)
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    install = [uv, "pip", "install", "-q", "-p", str(python)] if uv else [str(python), "-m", "pip"]
    done = subprocess.run(
        [*install, *([] if uv else ["install", "-q"]), *wanted],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"cannot be installed: {done.stderr.strip()[-200:]}")
    return python


def from_outside(served: Served, venvs: Path) -> list[Peer]:
    """BentoML, LitServe (as it is, and batching) and MLServer; prints why one is missing."""
    home = served.platform.settings.home
    made: list[Peer] = []
    env = {"MODEL": str(home / ARTIFACT), "OMP_NUM_THREADS": "1", "BENTOML_DO_NOT_TRACK": "True"}
    for name, package in PACKAGES.items():
        try:
            python = installed(package, venvs / package, *_BESIDE.get(name, ()))
        except RuntimeError as error:
            print(f"{name}: {error}")
            continue
        made += _of(name, python, home / f"p-{package}", env)
    return made


def _of(name: str, python: Path, folder: Path, env: Mapping[str, str]) -> list[Peer]:
    if name == "LitServe":
        script = [str(python), str(HOSTS / "lit_server.py")]
        many = dict(env) | {"BATCH": "64"}
        return [
            Peer("LitServe", script, "/predict", "records", folder, env),
            Peer("LitServe, batching", script, "/predict", "records", folder / "many", many),
        ]
    if name == "BentoML":
        serve = [str(python), "-m", "bentoml", "serve", "bento_service:Scores", "--port", "{port}"]
        serve += ["--host", "127.0.0.1", "--working-dir", str(HOSTS)]
        home = {"BENTOML_HOME": str(folder / "home")}
        return [Peer(name, serve, "/predict", "records", folder, dict(env) | home)]
    folder.mkdir(parents=True, exist_ok=True)
    uri = {"uri": env["MODEL"]}
    model = {"name": "m", "implementation": "mlserver_model.Scores", "parameters": uri}
    (folder / "model-settings.json").write_text(json.dumps(model))
    shutil.copy(HOSTS / "mlserver_model.py", folder)
    start = [str(python.parent / "mlserver"), "start", "."]
    own = {
        "MLSERVER_HTTP_PORT": "{port}",
        "MLSERVER_GRPC_PORT": str(free_port()),
        "MLSERVER_METRICS_PORT": str(free_port()),
        "MLSERVER_HOST": "127.0.0.1",
    }
    command = ["env", *(f"{k}={v}" for k, v in own.items()), *start]
    return [Peer(name, command, "/v2/models/m/infer", "oip-pandas", folder, env)]
