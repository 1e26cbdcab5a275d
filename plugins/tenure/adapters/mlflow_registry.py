"""MLflow as a follower: runs, model versions and aliases that mirror the lifecycle database.

Only the tracking client is used: no flavor, no autologging, and nothing is ever loaded from MLflow.
Everything is found again by tag, so that a retry continues what a killed try began.
"""

import logging
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from tenure.errors import ServiceUnreachable
from tenure.lifecycle.model_version import SearchTrial

TRAINING_KEY = "tenure.training_key"
TRIAL = "tenure.trial"
PARENT = "mlflow.parentRunId"
"""How MLflow finds runs that belong below another one."""
VERSION = "tenure.version"
DELETED = "tenure.deleted"
COPY_SUFFIXES = (".skops", ".onnx")

_DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # Airflow tries again; the default blocks for minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_UNREACHABLE = {"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "ABORTED"}


class MlflowRegistry:
    """One experiment a model, one run a training, one registered version a validated version.

    Args:
        url: Tracking server.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def ensure_run(
        self, model: str, *, training_key: str, name: str, tags: Mapping[str, str]
    ) -> str:
        """The run of this training: found by its key, else created. Returns the run id."""
        with self._reached():
            experiment = self._experiment(model)
            found = self._client.search_runs(
                [experiment], filter_string=f"tags.`{TRAINING_KEY}` = '{training_key}'"
            )
            if not found:
                marks = {**tags, TRAINING_KEY: training_key}
                run = self._client.create_run(experiment, run_name=name, tags=marks)
                return str(run.info.run_id)
            run = min(found, key=lambda r: (r.info.start_time, r.info.run_id))
            for key, value in tags.items():
                self._client.set_tag(run.info.run_id, key, value)
            return str(run.info.run_id)

    def log(
        self,
        run_id: str,
        *,
        params: Mapping[str, object],
        metrics: Mapping[str, float],
        files: Mapping[str, bytes],
    ) -> None:
        """Log and mark the run finished; logging the same again changes nothing.

        Args:
            run_id: From `ensure_run`.
            params: Must be the same on every try, as MLflow never changes one.
            metrics: Values of the holdout.
            files: Artifact path in the run to content.
        """
        with self._reached():
            from mlflow.entities import Metric, Param

            start = self._client.get_run(run_id).info.start_time
            self._client.log_batch(
                run_id,
                params=[Param(key, str(value)) for key, value in params.items()],
                metrics=[Metric(key, value, start, 0) for key, value in metrics.items()],
            )
            self._log_files(run_id, files)
            self._client.set_terminated(run_id, "FINISHED")

    def log_trials(self, model: str, run_id: str, trials: Sequence[SearchTrial]) -> None:
        """A run below the training's for each candidate; those that are there stay as they are.

        Args:
            model: Whose experiment it is.
            run_id: From `ensure_run`.
            trials: In the order in which they were done.
        """
        with self._reached():
            experiment = self._experiment(model)
            found = self._client.search_runs(
                [experiment], filter_string=f"tags.`{PARENT}` = '{run_id}'", max_results=5000
            )
            known = {run.data.tags.get(TRIAL) for run in found if run.info.status == "FINISHED"}
            for number, trial in enumerate(trials, start=1):
                if str(number) not in known:
                    tags = {PARENT: run_id, TRIAL: str(number)}
                    self._log_trial(experiment, f"trial {number}", tags, trial)

    def _log_trial(
        self, experiment: str, name: str, tags: Mapping[str, str], trial: SearchTrial
    ) -> None:
        child = self._client.create_run(experiment, run_name=name, tags=dict(tags)).info.run_id
        for parameter, value in trial.parameters.items():
            self._client.log_param(child, parameter, value)
        numbers = {"log_loss": trial.loss, "rows": float(trial.rows), "round": float(trial.round)}
        for metric, number in numbers.items():
            self._client.log_metric(child, metric, number)
        self._client.set_terminated(child, "FINISHED")

    def ensure_version(
        self,
        model: str,
        *,
        version: int,
        run_id: str,
        folder: str,
        tags: Mapping[str, str],
        files: Mapping[str, bytes],
    ) -> str:
        """The registered version that mirrors `model@version`; returns MLflow's own number.

        Args:
            model: Registered model, made when absent.
            version: Tenure's number, kept as a tag: MLflow counts only what was registered.
            run_id: Run whose artifact folder is the source.
            folder: Artifact folder of the run.
            tags: Digests and the like.
            files: Further evidence to log into the run (reports).
        """
        with self._reached():
            self._log_files(run_id, files)
            known = self._version(model, version)
            if known is not None:
                return str(known.version)
            self._ensure_model(model)
            created = self._client.create_model_version(
                model,
                source=f"runs:/{run_id}/{folder}",
                run_id=run_id,
                tags={**tags, VERSION: str(version)},
            )
            return str(created.version)

    def set_alias(self, model: str, alias: str, version: int | None) -> bool:
        """Point an alias to the version that mirrors `model@version`, or remove it with None.

        Returns:
            False when MLflow knows no such version: then nothing is changed.
        """
        with self._reached():
            if version is None:
                if alias in self._aliases(model):
                    self._client.delete_registered_model_alias(model, alias)
                return True
            known = self._version(model, version)
            if known is None:
                return False
            self._client.set_registered_model_alias(model, alias, str(known.version))
            return True

    def get_aliases(self, model: str) -> dict[str, int]:
        """Alias to Tenure's version number; aliases on versions that are not ours are left out."""
        with self._reached():
            aliases = {}
            for alias, number in self._aliases(model).items():
                found = self._client.get_model_version(model, str(number))
                if found.tags.get(VERSION):
                    aliases[alias] = int(found.tags[VERSION])
            return aliases

    def tombstone(self, model: str, version: int, *, run_id: str | None, reason: str) -> list[str]:
        """Delete the mirrored version and every artifact copy in its run; the run itself stays.

        Its parameters, metrics and tags remain as evidence, with the tag `tenure.deleted`.

        Returns:
            What was deleted by this call: paths in the run, then the version's name.
        """
        with self._reached():
            gone = self._delete_copies(run_id) if run_id else []
            known = self._version(model, version)
            if known is not None:
                self._client.delete_model_version(model, str(known.version))
                gone.append(f"models:/{model}/{known.version}")
            if run_id:
                self._client.set_tag(run_id, DELETED, reason[:500])
            return gone

    @cached_property
    def _client(self) -> Any:
        for name, value in _DEFAULTS.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        return MlflowClient(tracking_uri=self._url, registry_uri=self._url)

    def _experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(name)
        if found is not None:
            if found.lifecycle_stage == "deleted":
                self._client.restore_experiment(found.experiment_id)
            return str(found.experiment_id)
        try:
            return str(self._client.create_experiment(name))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            return str(self._client.get_experiment_by_name(name).experiment_id)

    def _ensure_model(self, name: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _aliases(self, model: str) -> dict[str, str]:
        found = self._client.search_registered_models(f"name = '{model}'")
        return dict(found[0].aliases) if found else {}

    def _version(self, model: str, version: int) -> Any:
        query = f"name = '{model}' and tags.`{VERSION}` = '{version}'"
        found = self._client.search_model_versions(query)
        return min(found, key=lambda v: int(v.version)) if found else None

    def _delete_copies(self, run_id: str) -> list[str]:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        uri = self._client.get_run(run_id).info.artifact_uri
        repository = get_artifact_repository(uri, tracking_uri=self._url)
        paths, folders = [], [""]
        while folders:
            for found in repository.list_artifacts(folders.pop() or None) or ():
                if found.is_dir:
                    folders.append(found.path)
                elif found.path.endswith(COPY_SUFFIXES):
                    paths.append(found.path)
        for path in paths:
            repository.delete_artifacts(path)
        return [f"runs:/{run_id}/{path}" for path in sorted(paths)]

    def _log_files(self, run_id: str, files: Mapping[str, bytes]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for place, content in files.items():
                path = Path(folder) / Path(place).name
                path.write_bytes(content)
                self._client.log_artifact(run_id, str(path), str(Path(place).parent))

    @contextmanager
    def _reached(self) -> Iterator[None]:
        from mlflow.exceptions import MlflowException
        from requests.exceptions import RequestException

        try:
            yield
        except (MlflowException, RequestException) as error:
            if getattr(error, "error_code", "INTERNAL_ERROR") not in _UNREACHABLE:
                raise
            raise ServiceUnreachable(
                f"MLflow does not answer: {str(error).splitlines()[0][:200]}",
                still_safe="The lifecycle database is the authority; gateways do not use MLflow.",
                next_step="The task tries again by itself and finds what it made. If it lasts, "
                "run `tenure status` and look at the MLflow server's log.",
            ) from error
