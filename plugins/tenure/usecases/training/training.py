"""Trains what a run planned: model, scored holdout, MLflow run, signature, `trained`.

Every step finds what an earlier try did: the MLflow run carries the training key, objects lie
under their digests, and the version moves once.
Import it inside functions: it loads SQLAlchemy.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tenure.adapters.sql import training, versions
from tenure.config import ModelConfig, load_dataset
from tenure.errors import StateConflict
from tenure.installation import Installation
from tenure.installation.provenance import code_digest, lock_digest
from tenure.usecases.training.planning import TRAINER, pinned_config, planned_version
from tenure.verdicts import Report, Verdict
from tenure.vocabulary import RunRef, State, VersionRef, digest_bytes, op_key

if TYPE_CHECKING:
    from tenure.adapters.mlflow_registry import MlflowRegistry


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
    fitted = fitting.fit(platform, config, dataset, chosen, name=version.name, run=run)
    facts = fitted.facts | {"request_id": row["facts"]["request_id"]}
    facts |= {"reason": row["facts"]["reason"], "snapshots": [s.digest for s in chosen]}
    facts |= {"batches": [s.batch for s in chosen]}
    facts |= fitting.store(platform, version, fitted)
    columns = {"artifact_digest": digest_bytes(fitted.artifact)}
    columns |= {"code_digest": code_digest(), "lock_digest": lock_digest()}
    service = mlflow or platform.mlflow
    columns["mlflow_run_id"] = service.ensure_run(
        model,
        training_key=row["training_key"],
        name=version.name,
        tags=_tags(row | columns),
    )
    service.log(
        columns["mlflow_run_id"],
        params=_params(config, facts),
        metrics=facts["metrics"],
        files={"model/model.skops": fitted.artifact} | onnx.store(platform, fitted.onnx),
    )
    columns["signature"] = fitting.sign(platform, row | columns)
    if fitted.onnx is not None:
        facts["onnx"] = onnx.report_parity(platform, version, row | columns, fitted.onnx, run)
    _save_report(platform, version, columns, facts, run)
    _commit(platform, version, columns | {"facts": facts}, run)
    return _trained(planned_version(platform, model, run))


def _save_report(
    platform: Installation,
    version: VersionRef,
    columns: Mapping[str, Any],
    facts: Mapping[str, Any],
    run: RunRef,
) -> None:
    """What the task's tab shows."""
    rows = facts["rows"]
    summary = (
        f"{version.name} trained on {rows['train']:,} rows of {', '.join(facts['batches'])}, "
        f"{rows['holdout']:,} newer rows held out; artifact {columns['artifact_digest'][:12]}"
    )
    told = {"rows": rows, "metrics": facts["metrics"], "seed": facts["seed"]}
    names = ("artifact_digest", "code_digest", "lock_digest", "mlflow_run_id")
    told |= {name: columns[name] for name in names}
    told |= {"onnx": facts["onnx"]["summary"]} if "onnx" in facts else {}
    report = Report("training", version.name, Verdict.PASSED, summary, facts=told, enforced=True)
    platform.reports.save(report, model=version.model, dataset=None, run=run)


def _commit(
    platform: Installation, version: VersionRef, columns: dict[str, Any], run: RunRef
) -> None:
    with platform.database.begin() as connection:
        platform.ledger.move(
            connection,
            version,
            State.TRAINED,
            actor=TRAINER,
            body={"artifact_digest": columns["artifact_digest"], "run_id": run.run_id},
            op_key=op_key("train", f"mv:{version.id}", {"artifact": columns["artifact_digest"]}),
            columns=columns,
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


def _tags(row: Mapping[str, Any]) -> dict[str, str]:
    digests = ("artifact", "data", "suite", "code", "config", "lock")
    tags = {f"tenure.{name}_digest": str(row[f"{name}_digest"]) for name in digests}
    return tags | {"tenure.version": str(row["version"]), "tenure.trained_by": row["trained_by"]}


def _params(config: ModelConfig, facts: Mapping[str, Any]) -> dict[str, object]:
    """Only what the plan fixed: MLflow refuses to change a parameter on a later try."""
    policy = config.training
    fixed = {f"parameters.{name}": value for name, value in policy.parameters.items()}
    return fixed | {
        "estimator": policy.estimator,
        "seed": policy.seed,
        "batches": ",".join(facts["batches"]),
        "rows.train": facts["rows"]["train"],
        "rows.holdout": facts["rows"]["holdout"],
        "threshold": config.evaluation.threshold,
    }
