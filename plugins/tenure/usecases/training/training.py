"""Trains what a run planned: model, scored holdout, MLflow run, signature, `trained`.

Every step finds what an earlier try did: the MLflow run carries the training key, objects lie
under their digests, and the version moves once.
Import it inside functions: it loads SQLAlchemy.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from tenure.adapters.sql import training, versions
from tenure.config import ModelConfig, load_dataset
from tenure.errors import StateConflict
from tenure.installation import Installation
from tenure.installation.provenance import code_digest, environment, lock_digest
from tenure.layout import model_link
from tenure.lifecycle.model_version import (
    DraftFacts,
    FitFacts,
    OnnxFacts,
    VersionFacts,
    VersionRow,
)
from tenure.lifecycle.training import PublishedSnapshot
from tenure.usecases.training import search
from tenure.usecases.training.planning import TRAINER, pinned_config, planned_version
from tenure.verdicts import Report, Verdict
from tenure.vocabulary import RunRef, State, VersionRef, op_key

if TYPE_CHECKING:
    from tenure.adapters.mlflow_registry import MlflowRegistry
    from tenure.usecases.training.fitting import StoredFit


def train(
    platform: Installation, model: str, run: RunRef, mlflow: "MlflowRegistry | None" = None
) -> dict[str, object]:
    """Fit, score the holdout, store, sign, and move the draft to `trained`.

    Order: objects by digest, then the MLflow run found by key, then one transaction; killed
    anywhere, the next try ends with the same version, the same run and the same bytes.

    Returns:
        Ids and digests.
    """
    from tenure.usecases.training import fitting, onnx

    version = planned_version(platform, model, run)
    if version.state is not State.DRAFT:
        return _trained(version)
    with platform.database.begin() as connection:
        row = versions.row_by_id(connection, version.id)
        chosen = training.snapshots_of(connection, version.id)
    config = pinned_config(platform, row)
    dataset, _ = load_dataset(platform.settings.include, config.dataset)
    fitted = fitting.fit(
        platform,
        config,
        dataset,
        chosen,
        name=version.name,
        run=run,
        training_key=row.training_key,
    )
    stored = fitting.store(platform, version, fitted)
    row = replace(
        row,
        artifact_digest=stored.artifact_digest,
        code_digest=code_digest(),
        lock_digest=lock_digest(),
    )
    service = mlflow or platform.mlflow
    run_id = service.ensure_run(
        model, training_key=row.training_key, name=version.name, tags=_tags(platform, version, row)
    )
    service.log(
        run_id,
        params=_params(config, chosen, fitted.facts),
        metrics=fitted.facts.metrics,
        files={"model/model.skops": fitted.artifact} | onnx.store(platform, fitted.onnx),
    )
    if fitted.facts.search is not None:
        service.log_trials(model, run_id, fitted.facts.search.trials)
    row = replace(row, mlflow_run_id=run_id)
    parity = onnx.report_parity(platform, row, fitted.onnx, run) if fitted.onnx else None
    facts = _facts(fitted.facts, row.draft_facts, chosen, stored, parity)
    row = replace(row, facts_json=facts.to_json())
    row = replace(row, signature=fitting.sign(platform, row))
    _save_report(platform, row, facts, fitted.classes, run)
    _commit(platform, version, row, facts, run)
    return _trained(planned_version(platform, model, run))


def _facts(
    fit: FitFacts,
    draft: DraftFacts,
    snapshots: Sequence[PublishedSnapshot],
    stored: "StoredFit",
    onnx: OnnxFacts | None,
) -> VersionFacts:
    return VersionFacts(
        **vars(fit),
        **vars(draft),
        snapshots=tuple(s.digest for s in snapshots),
        batches=tuple(s.batch for s in snapshots),
        artifact_key=stored.artifact_key,
        holdout_key=stored.holdout_key,
        holdout_digest=stored.holdout_digest,
        environment=environment(),
        onnx=onnx,
    )


def _save_report(
    platform: Installation,
    row: VersionRow,
    facts: VersionFacts,
    classes: Mapping[str, tuple[bool | str, int]],
    run: RunRef,
) -> None:
    """What the task's tab shows."""
    newer = "rows" if facts.time_column is None else "newer rows"
    summary = (
        f"{row.name} trained on {facts.rows.train:,} rows of {', '.join(facts.batches)}, "
        f"{facts.rows.holdout:,} {newer} held out; artifact {str(row.artifact_digest)[:12]}"
    )
    shown = {
        "rows": asdict(facts.rows),
        "task": facts.task,
        "labels": {v: {"means": meaning, "rows": rows} for v, (meaning, rows) in classes.items()},
        "trivial_answer": facts.trivial_answer,
        "metrics": facts.metrics,
        "threshold": facts.threshold,
        "seed": facts.seed,
        "environment": asdict(facts.environment),
        "artifact_digest": row.artifact_digest,
        "code_digest": row.code_digest,
        "lock_digest": row.lock_digest,
        "mlflow_run_id": row.mlflow_run_id,
    }
    shown |= {"search": search.as_json(facts.search)} if facts.search else {}
    shown |= {"onnx": facts.onnx.summary} if facts.onnx else {}
    report = Report("training", row.name, Verdict.PASSED, summary, facts=shown, enforced=True)
    platform.reports.save(report, model=row.model, dataset=None, run=run)


def _commit(
    platform: Installation, version: VersionRef, row: VersionRow, facts: VersionFacts, run: RunRef
) -> None:
    with platform.database.begin() as connection:
        platform.ledger.move(
            connection,
            version,
            State.TRAINED,
            actor=TRAINER,
            body={"artifact_digest": row.artifact_digest, "run_id": run.run_id},
            op_key=op_key("train", f"mv:{version.id}", {"artifact": row.artifact_digest}),
            columns={
                "artifact_digest": row.artifact_digest,
                "code_digest": row.code_digest,
                "lock_digest": row.lock_digest,
                "mlflow_run_id": row.mlflow_run_id,
                "signature": row.signature,
                "facts": facts.to_json(),
            },
        )


def _trained(version: VersionRef) -> dict[str, object]:
    if version.artifact_digest is None:
        raise StateConflict(
            f"{version.name} was given up before it was trained.",
            still_safe="Another run trains for the same request.",
            next_step="Look at the newest run of this DAG; this one needs nothing more.",
        )
    return {
        "version_id": version.id,
        "version": version.version,
        "artifact_digest": version.artifact_digest,
    }


def _tags(platform: Installation, version: VersionRef, row: VersionRow) -> dict[str, str]:
    page = model_link(platform.settings.airflow_url, version.model)
    return {
        "mlflow.note.content": f"[{version.name} in Tenure]({page}): its reports and its fate",
        "tenure.artifact_digest": str(row.artifact_digest),
        "tenure.data_digest": str(row.data_digest),
        "tenure.suite_digest": str(row.suite_digest),
        "tenure.code_digest": str(row.code_digest),
        "tenure.config_digest": str(row.config_digest),
        "tenure.lock_digest": str(row.lock_digest),
        "tenure.version": str(row.version),
        "tenure.trained_by": row.trained_by,
    }


def _params(
    config: ModelConfig, snapshots: Sequence[PublishedSnapshot], facts: FitFacts
) -> dict[str, object]:
    """Only what the plan fixed: MLflow refuses to change a parameter on a later try."""
    policy = config.training
    fixed: dict[str, object] = {
        f"parameters.{name}": value for name, value in policy.parameters.items()
    }
    return fixed | {
        "estimator": policy.estimator,
        "seed": policy.seed,
        "batches": ",".join(s.batch for s in snapshots),
        "rows.train": facts.rows.train,
        "rows.holdout": facts.rows.holdout,
        "split": policy.split,
        "task": config.task,
        **({} if facts.threshold is None else {"threshold": facts.threshold}),
    }
