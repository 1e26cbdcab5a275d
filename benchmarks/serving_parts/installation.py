"""An installation of its own: embedded PostgreSQL, local store, one signed model, its gateways."""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tenure.installation import Installation
from tenure.lifecycle.serving import OnnxPolicy
from tenure.settings import REPOSITORY, Settings
from tenure.vocabulary import RunRef, State, VersionRef

sys.path.insert(0, str(REPOSITORY / "tests" / "faults"))
sys.path.insert(0, str(REPOSITORY / "tests" / "builders"))
# The gateways of the fault tests: real processes on a real database.
from served import MODEL, Life, Process, free_port

__all__ = ["MODEL", "Process", "Served", "Variant", "bodies", "free_port", "installation"]
NUMERIC, ROWS, TREES, SEED = 19, 20_000, 100, 7
ARTIFACT = "model.skops"


class Served(Life):
    """HistGradientBoosting of 100 trees with 31 leaves, 19 numbers and one text, 20,000 rows."""

    first: VersionRef
    estimator: Any = None
    rows: Any = None
    """Rows that training never saw."""
    parity: str = ""
    """What training says of ONNX."""
    _estimator: Any = None
    _holdout: Any = None

    def _train(self, seed: int) -> bytes:
        import numpy as np
        import pandas as pd

        from tenure.adapters import sklearn_trainer, skops_artifacts

        source = np.random.default_rng(seed)
        frame = pd.DataFrame({name: source.random(ROWS) for name in self.numeric})
        frame["carrier"] = source.choice(["AA", "UA"], ROWS).astype(object)
        odds = frame["n0"] + frame["n1"] * frame["n2"] + 0.2 * (frame["carrier"] == "AA")
        labels = (odds + source.normal(0, 0.3, ROWS) > 0.8).to_numpy()
        half = ROWS // 2
        unfitted = sklearn_trainer.build(
            "hist_gradient_boosting",
            {"max_iter": TREES},
            numeric=self.numeric,
            categorical=self.categorical,
            seed=seed,
        )
        estimator = sklearn_trainer.fit(unfitted, frame[:half], labels[:half])
        data = skops_artifacts.dump(estimator, name="benchmark")
        self._estimator, self._holdout = estimator, frame[half:]
        if self.estimator is None:
            self.estimator, self.rows = estimator, frame[half:]
            (self.platform.settings.home / ARTIFACT).write_bytes(data)
        return data

    def move(self, ref: VersionRef, dst: State, **columns: Any) -> None:
        """As training does: a version states its ONNX file, which asks for nothing by itself."""
        if dst is State.TRAINED:
            columns["facts"] = self._facts(ref, columns)
        super().move(ref, dst, **columns)

    def _facts(self, ref: VersionRef, columns: Mapping[str, Any]) -> dict[str, Any]:
        from tenure.adapters import sklearn_trainer
        from tenure.adapters.sql import versions
        from tenure.usecases.training import onnx

        with self.platform.database.begin() as connection:
            row = replace(versions.row_by_id(connection, ref.id), **columns)
        made = onnx.attempt(
            OnnxPolicy(),
            self._estimator,
            self._holdout,
            sklearn_trainer.score(self._estimator, self._holdout),
            features=[*self.numeric, *self.categorical],
            threshold=row.facts.threshold,
            subject=ref.name,
        )
        onnx.store(self.platform, made)
        run = RunRef("benchmark", "benchmark", "train")
        facts = onnx.report_parity(self.platform, row, made, run)
        self.parity = self.parity or facts.summary
        return replace(row.facts, onnx=facts).to_json()


@contextmanager
def installation(home: Path) -> Iterator[Served]:
    """An installation whose champion serves; everything is gone with the folder."""
    from tenure.migrations import upgrade
    from tenure.stack import postgres

    home.mkdir()
    shutil.copytree(REPOSITORY / "include", home / "include")
    with postgres.running(home) as server:
        upgrade(server.url("tenure"))
        nowhere = "http://127.0.0.1:9"
        settings = Settings(
            home=home,
            include=home / "include",
            database_url=server.url("tenure"),
            store_url=(home / "store").as_uri(),
            mlflow_url=nowhere,
            gateway_url=nowhere,
            airflow_url=nowhere,
        )
        served = Served(Installation(settings), numeric=NUMERIC)
        served.first = served.champion(SEED)
        yield served
        served.platform.database.dispose()


class Variant(Process):
    """A gateway process.

    Args:
        served: Its installation.
        name: Its id.
        durability: What an answer waits for: `fsync`, `write`, or `none`, which no user can choose:
            the log is cut out of the program.
        onnx: Whether the model's YAML asks for ONNX.
    """

    def __init__(
        self,
        served: Served,
        name: str,
        *,
        durability: str = "fsync",
        onnx: bool = False,
    ) -> None:
        home = served.platform.settings.home
        include = home / f"include-{durability}{'-onnx' * onnx}"
        if not include.exists():
            shutil.copytree(home / "include", include)
            text = (include / "configs" / "models" / f"{MODEL}.yaml").read_text()
            chosen = "write" if durability == "none" else durability
            asks = "onnx: {}, " if onnx else ""
            text = text.replace("durability: fsync", f"{asks}durability: {chosen}")
            (include / "configs" / "models" / f"{MODEL}.yaml").write_text(text)
        super().__init__(
            served.platform,
            env={"TENURE_GATEWAY_ID": name, "TENURE_INCLUDE": str(include)},
        )
        cut = _NO_LOG if durability == "none" else ""
        main = cut + "from tenure.cli import main; main()"
        self.command = [sys.executable, "-c", main, "serve", "--port"]
        self.log = home / f"{name}.log"

    @property
    def pid(self) -> int:
        """Of the gateway itself; its model processes are below it."""
        assert self.popen is not None
        return self.popen.pid


_NO_LOG = """
from tenure.gateway.log.writer import GroupLog
async def append(self, payload, *, sync): pass
GroupLog.append = append
"""


def bodies(served: Served, count: int) -> dict[str, list[dict[str, Any]]]:
    """The same rows, as each protocol wants them."""
    rows = served.rows.head(count).to_dict(orient="records")
    kinds = dict.fromkeys(served.numeric, "FP64") | dict.fromkeys(("carrier",), "BYTES")
    pandas = {"content_type": "pd"}
    text = {"parameters": {"content_type": "str"}}

    def tensors(row: Mapping[str, Any], *, typed: bool) -> list[dict[str, Any]]:
        return [
            {"name": name, "shape": [1], "datatype": kind, "data": [row[name]]}
            | (text if typed and kind == "BYTES" else {})
            for name, kind in kinds.items()
        ]

    return {
        "oip": [
            {"parameters": {"subject": f"s{n}"}, "inputs": tensors(row, typed=False)}
            for n, row in enumerate(rows)
        ],
        "oip-pandas": [{"parameters": pandas, "inputs": tensors(row, typed=True)} for row in rows],
        "split": [
            {"dataframe_split": {"columns": list(row), "data": [list(row.values())]}}
            for row in rows
        ],
        "records": [{"rows": [row]} for row in rows],
    }


def clean_environment() -> dict[str, str]:
    """This environment without what belongs to an installation."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("TENURE_", "OMP_"))}
