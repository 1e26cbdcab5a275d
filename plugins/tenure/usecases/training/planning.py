"""Plans a training run: which request it answers, on which data, as which version.

The plan stands in the ledger under the run's key, so that a cleared or retried task finds it again
and every later task finds its version without XCom.
Import it inside functions: it loads SQLAlchemy.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tenure.adapters.sql import training, versions
from tenure.config import ModelConfig, load_dataset, load_model, parse_model
from tenure.config.references import require_trainable
from tenure.errors import ConfigInvalid, GateInconclusive, SchemaBroken, StateConflict
from tenure.installation import Installation
from tenure.installation.provenance import code_digest
from tenure.lifecycle.model_version import DraftFacts, VersionRecord
from tenure.lifecycle.training import PublishedSnapshot, choose_snapshots, data_digest, suite_digest
from tenure.usecases.data.compatibility import require_readable
from tenure.usecases.data.privacy import require_safe_store
from tenure.verdicts import Report, Verdict
from tenure.vocabulary import REASON, RunRef, State, VersionRef, digest_bytes, op_key

if TYPE_CHECKING:
    from sqlalchemy import Connection

TRAINER = "service:trainer"
"""How the ledger names the service that trains."""


@dataclass(frozen=True)
class TrainingPlan:
    """What a run is going to train: ids only, so that it may travel by XCom."""

    version_id: int
    version: int
    request_id: int


def plan(
    platform: Installation, model: str, run: RunRef, *, by_hand: bool, reason: str = ""
) -> TrainingPlan | None:
    """Take the model's open retrain request and make the draft version that answers it.

    Args:
        platform: The installation.
        model: Name of the model.
        run: The DAG run; the same run gives the same plan again.
        by_hand: Whether a person started the run: then a request is filed when none is open.
        reason: Why, in the person's words.

    Returns:
        None when there is no request: nothing is to be trained.

    Raises:
        TextRefused: The reason cannot be kept.
        GateInconclusive: Too few batches are published; the request stays open.
        SchemaBroken: A column that the model reads changed under it; the request stays open.
        ConfigInvalid: What `tenure check` says of the model's dataset, estimator, horizon or task.
    """
    if reason:
        REASON.require(reason, "reason", still_safe="No version was drafted; no request was filed.")
    planned = _planned_before(platform, model, run) or _plan(
        platform, model, run, (by_hand, reason)
    )
    if planned is not None:
        _log_plan(platform, model, run, planned)
    return planned


def _planned_before(platform: Installation, model: str, run: RunRef) -> TrainingPlan | None:
    with platform.database.begin() as connection:
        known = training.plan_of(connection, _plan_key(model, run))
    return TrainingPlan(known.version_id, known.version, known.request_id) if known else None


def _plan(
    platform: Installation, model: str, run: RunRef, asked: tuple[bool, str]
) -> TrainingPlan | None:
    by_hand, reason = asked
    config, digest = load_model(platform.settings.include, model)
    require_trainable(platform.settings.include, config, platform.clock.now().date())
    try:
        with platform.database.begin() as connection:
            versions.register_model(
                connection,
                name=model,
                owner=config.owner,
                risk_tier=config.risk_tier,
                purpose=config.purpose,
            )
            _remember(connection, platform, config, digest)
            request = training.unfinished_request(connection, model)
            if request is None and not by_hand:
                return None
            if fault := task_fault(connection, config):
                raise _other_task(fault)
            return _answer(platform, connection, config, digest, (request, run, reason))
    except (GateInconclusive, SchemaBroken) as error:
        verdict = Verdict.FAILED if isinstance(error, SchemaBroken) else Verdict.INCONCLUSIVE
        report = Report("training", model, verdict, error.what, enforced=True)
        error.evidence = platform.reports.save(report, model=model, dataset=None, run=run)
        raise


def task_fault(connection: "Connection", config: ModelConfig) -> str | None:
    """Why the model cannot be of this task, or None: its versions decide by another.

    Decisions and outcomes of a model are of one kind, or none could be compared with another.
    """
    trained = [v for v in versions.all_of(connection, config.name) if v.artifact_digest]
    if not trained:
        return None
    before = versions.row_by_id(connection, trained[-1].id).facts_json.get("task")
    if before in (None, config.task):  # whose evidence is damaged says so where it is served
        return None
    return f"{trained[-1].name} is a {before} model, and its YAML says task: {config.task}"


def _other_task(fault: str) -> ConfigInvalid:
    return ConfigInvalid(
        f"{fault}: decisions and outcomes of one model are of one kind.",
        still_safe="No version was drafted; whatever serves now keeps serving.",
        next_step="Give the new task a model of its own, with a YAML and a name of its own.",
    )


def _log_plan(platform: Installation, model: str, run: RunRef, planned: TrainingPlan) -> None:
    """What the task's tab shows."""
    with platform.database.begin() as connection:
        row = versions.row_by_id(connection, planned.version_id)
        chosen = training.snapshots_of(connection, planned.version_id)
        request = training.request_by_id(connection, planned.request_id)
    name, rows = f"{model}@{planned.version}", sum(s.rows for s in chosen)
    summary = (
        f"{name} answers retrain request {request.id} of {request.requested_by} "
        f"({request.reason}): {rows:,} rows of {', '.join(s.batch for s in chosen)}"
    )
    facts = {
        "config_digest": row.config_digest,
        "data_digest": row.data_digest,
        "suite_digest": row.suite_digest,
        "snapshots": [s.digest for s in chosen],
    }
    report = Report("training", name, Verdict.PASSED, summary, facts=facts, enforced=True)
    platform.reports.save(report, model=model, dataset=None, run=run)


def has_plan(platform: Installation, model: str, run: RunRef) -> bool:
    """Whether this DAG run has planned a version of the model."""
    with platform.database.begin() as connection:
        return platform.ledger.has(connection, _plan_key(model, run))


def planned_version(platform: Installation, model: str, run: RunRef) -> VersionRef:
    """The version of this DAG run, as it is now.

    Raises:
        StateConflict: The run has no plan.
    """
    with platform.database.begin() as connection:
        known = training.plan_of(connection, _plan_key(model, run))
        if known is not None:
            return versions.get_by_id(connection, known.version_id)
    raise StateConflict(
        f"Run {run.run_id} of {run.dag_id} has planned no version of {model}.",
        still_safe="Nothing was changed.",
        next_step="Clear its task `plan`, or trigger a new run.",
    )


def pinned_config(platform: Installation, row: VersionRecord) -> ModelConfig:
    """The config that the version was planned with, whatever the YAML says now."""
    with platform.database.begin() as connection:
        return parse_model(training.config_text(connection, str(row.config_digest)))


def _plan_key(model: str, run: RunRef) -> str:
    return op_key("plan", model, {"dag": run.dag_id, "run": run.run_id})


def _remember(
    connection: "Connection", platform: Installation, config: ModelConfig, digest: str
) -> None:
    path = platform.settings.configs / "models" / f"{config.name}.yaml"
    body = path.read_bytes()
    if digest_bytes(body) != digest:
        raise StateConflict(
            f"{path.name} changed while it was read.",
            still_safe="Nothing was planned.",
            next_step="Clear this task.",
        )
    versions.remember_config(
        connection, digest=digest, kind="model", name=config.name, body=body.decode()
    )


def _answer(
    platform: Installation,
    connection: "Connection",
    config: ModelConfig,
    digest: str,
    asked: tuple[training.RetrainRequestRow | None, RunRef, str],
) -> TrainingPlan:
    request, run, reason = asked
    chosen = choose_snapshots(
        training.published(connection, config.dataset),
        dataset=config.dataset,
        window_batches=config.training.window_batches,
    )
    dataset, _ = load_dataset(platform.settings.include, config.dataset)
    require_safe_store(platform.store, dataset)
    require_readable(connection, platform, config, dataset, chosen)
    request = request or training.file_request(
        connection,
        model=config.name,
        reason_code="manual",
        reason=reason or "started by hand",
        requested_by=run.user or config.owner,
    )
    version = _draft(connection, config, digest, chosen, (request, run))
    _give_up_older(platform, connection, request, version)
    training.start_request(connection, request.id, version.id)
    body = {"version_id": version.id, "version": version.version, "request_id": request.id}
    platform.ledger.note(
        connection,
        subject=f"training:{config.name}",
        actor=run.user or TRAINER,
        body={**body, "reason": reason or request.reason, "run_id": run.run_id},
        op_key=_plan_key(config.name, run),
    )
    return TrainingPlan(version.id, version.version, request.id)


def _draft(
    connection: "Connection",
    config: ModelConfig,
    digest: str,
    chosen: tuple[PublishedSnapshot, ...],
    asked: tuple[training.RetrainRequestRow, RunRef],
) -> VersionRef:
    request, run = asked
    intent = {
        "snapshots": [s.digest for s in chosen],
        "config": digest,
        "code": code_digest(),
        "seed": config.training.seed,
        "request": request.id,
    }
    version = versions.create_draft(
        connection,
        model_name=config.name,
        trained_by=run.user or config.owner,
        training_key=op_key("train", config.name, intent),
    )
    if version.state is State.DRAFT:
        training.link_snapshots(connection, version.id, chosen)
        versions.set_columns(
            connection,
            version.id,
            config_digest=digest,
            data_digest=data_digest(chosen),
            suite_digest=suite_digest(chosen),
            facts=DraftFacts(request_id=request.id, reason=request.reason).to_json(),
        )
    return version


def _give_up_older(
    platform: Installation,
    connection: "Connection",
    request: training.RetrainRequestRow,
    version: VersionRef,
) -> None:
    """A request that an ended run left behind: its unfinished version is not trained further."""
    if request.model_version_id in (None, version.id):
        return
    older = versions.get_by_id(connection, request.model_version_id)
    if older.state in (State.DRAFT, State.TRAINED):
        platform.ledger.move(
            connection,
            older,
            State.REJECTED,
            actor=TRAINER,
            body={"reason": f"left unfinished; {version.name} is trained for the same request"},
            op_key=op_key("give_up", f"mv:{older.id}", {"for": version.id}),
        )
