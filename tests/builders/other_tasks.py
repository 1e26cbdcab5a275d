"""Versions of a regression and of a multiclass model; their reports come from the real judges."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import version_rows
from sqlalchemy import insert

from tenure.adapters.sql import tables as t
from tenure.adapters.sql import versions
from tenure.config import ModelConfig, parse_model
from tenure.lifecycle.model_version import VersionRow
from tenure.lifecycle.promotion.approval import evidence_digest
from tenure.lifecycle.training import evaluation as judging
from tenure.lifecycle.training.bias.class_audit import audit_classes
from tenure.lifecycle.training.bias.errors import audit_errors
from tenure.lifecycle.training.evaluation import Appraisal
from tenure.lifecycle.training.evaluation.calibration import reliability
from tenure.lifecycle.training.evaluation.class_comparison import (
    judge_class_champion,
    judge_class_uplift,
)
from tenure.lifecycle.training.evaluation.classes import appraise_classes, class_scores
from tenure.lifecycle.training.evaluation.comparison import without_champion
from tenure.lifecycle.training.evaluation.error_comparison import (
    judge_error_champion,
    judge_error_uplift,
)
from tenure.lifecycle.training.evaluation.measuring import measure_answers
from tenure.lifecycle.training.evaluation.prediction_intervals import Interval, judge_intervals
from tenure.lifecycle.training.evaluation.residuals import appraise_residuals
from tenure.lifecycle.training.evaluation.slices import appraise_slices, cut_texts
from tenure.ports import ErrorSums
from tenure.settings import REPOSITORY
from tenure.verdicts import Report
from tenure.vocabulary import RunRef, State, digest_bytes

NUMBERS, CLASSES = "flight_delay", "flight_outcome"
ROWS = 2_400
OUTCOMES = ("cancelled", "diverted", "late", "on time")
CARRIERS = ("UA", "B6", "EV", "DL", "AA", None)
TODAY = date(2026, 1, 1)


def configs() -> dict[str, str]:
    """The shipped regression with intervals, and a multiclass model of the same flights."""
    shipped = (REPOSITORY / "include/configs/models/flight_delay.yaml").read_text("utf-8")
    numbers = shipped.replace("  min_rows: 500\n", "  min_rows: 500\n  conformal: {}\n")
    changed = {
        "name: flight_delay": "name: flight_outcome",
        "task: regression": "task: multiclass",
        "column: delay_minutes": "column: outcome",
        "loss: absolute_error, ": "",
        "{metric: mae, maximum: 35}": "{metric: balanced_accuracy, minimum: 0.4}",
        "metric: mean_error ": "metric: accuracy ",
        "max_difference: 40": "max_difference: 0.3",
        "fallback_score: -4": "fallback_class: on time",
        "event: absolute_error": "event: wrong_label",
        "metric: mae}": "metric: macro_f1}",
        "how many minutes late their flight will arrive": "what will become of their flight",
    }
    classes = shipped
    for before, now in changed.items():
        assert classes.count(before) == 1, before
        classes = classes.replace(before, now)
    return {NUMBERS: numbers, CLASSES: classes}


class OtherTasks:
    """Of either model a champion and a version that waits for approval."""

    def __init__(self, life: Any) -> None:
        self.life, self.platform = life, life.platform
        self.rng = np.random.default_rng(7)

    def fill(self) -> dict[str, str]:
        """Name and path of their pages."""
        paths: dict[str, str] = {}
        for name, text in configs().items():
            config = parse_model(text)
            self._register(config, text)
            first = self._version(config, text, 1, None)
            self._serve(config, first)
            self._version(config, text, 2, f"{name}@1")
            task, place = str(config.task), f"/model/{name}"
            paths |= {
                f"model-{task}": place,
                f"version-{task}": f"{place}/version/1",
                f"approval-{task}": f"{place}/version/2/approval",
                f"approval-{task}-champion": f"{place}/version/1/approval",
            }
            with self.platform.database.begin() as connection:
                second = versions.row_by_id(connection, versions.get(connection, name, 2).id)
            paths[f"report-evaluation-{task}"] = f"/report/{second.evaluation_report}"
            paths[f"report-bias-{task}"] = f"/report/{second.bias_report}"
        return paths

    def _register(self, config: ModelConfig, text: str) -> None:
        with self.platform.database.begin() as connection:
            versions.register_model(
                connection,
                name=config.name,
                owner=config.owner,
                risk_tier=str(config.risk_tier),
                purpose=config.purpose,
            )
            versions.remember_config(
                connection,
                digest=digest_bytes(text.encode()),
                kind="model",
                name=config.name,
                body=text,
            )

    def _version(self, config: ModelConfig, text: str, number: int, champion: str | None) -> int:
        name = f"{config.name}@{number}"
        judged = _numbers if config.task == "regression" else _classes
        evaluation, bias = judged(self.rng, config, name, champion)
        run = RunRef(f"{config.name}__train_model", f"manual__{number}", "evaluate")
        digests = [
            self.platform.reports.save(one, model=config.name, dataset=None, run=run)
            for one in (evaluation, bias)
        ]
        of_classes = config.task == "multiclass"
        with self.platform.database.begin() as connection:
            ref = versions.create_draft(
                connection,
                model_name=config.name,
                trained_by="ada",
                training_key=_digest(name),
            )
            versions.set_columns(
                connection,
                ref.id,
                artifact_digest=_digest(f"artifact of {name}"),
                signature="signed",
                evaluation_report=digests[0],
                bias_report=digests[1],
                config_digest=digest_bytes(text.encode()),
                facts=version_rows.facts(
                    task=str(config.task),
                    threshold=None,
                    classes=dict.fromkeys(OUTCOMES, 500) if of_classes else {},
                    metrics=evaluation.facts["metrics"],
                ),
            )
        for state in (State.TRAINED, State.VALIDATED):
            self.life.move(ref.id, state, reason="the gates hold")
        return int(ref.id)

    def _serve(self, config: ModelConfig, version: int) -> None:
        with self.platform.database.begin() as connection:
            row: VersionRow = versions.row_by_id(connection, version)
            shown = {
                "artifact": str(row.artifact_digest),
                "evaluation": str(row.evaluation_report),
                "bias": str(row.bias_report),
            }
            connection.execute(
                insert(t.approval).values(
                    model_version_id=version,
                    action="serve",
                    approver="grace",
                    trained_by="ada",
                    answer="approve",
                    artifact_digest=row.artifact_digest,
                    evidence_digest=evidence_digest(**shown),
                    note="The first of its kind.",
                    expires_at=datetime(2099, 1, 1, tzinfo=UTC),
                )
            )
        self.life.move(version, State.APPROVED, reason="approved by grace")
        self.life.champion(version, model=config.name)


def _numbers(
    rng: Any, config: ModelConfig, name: str, champion: str | None
) -> tuple[Report, Report]:
    carriers = rng.choice(len(CARRIERS), ROWS, p=[0.3, 0.25, 0.2, 0.15, 0.08, 0.02])
    came = rng.exponential(30, ROWS) - 20 + 4 * carriers
    said = came * 0.4 + 5 + rng.normal(0, 12, ROWS)
    theirs = came * 0.3 + 6 + rng.normal(0, 14, ROWS)
    median = np.full(ROWS, float(np.median(came)))
    policy = config.evaluation
    assert policy.conformal is not None
    spread = Interval(said - 28.0, said + 40.0)
    names = np.array([CARRIERS[code] or "" for code in carriers], dtype=object)
    findings = [
        judge_error_uplift(policy, came, said, median=float(median[0]), rule_score=-4.0),
        judge_intervals(
            policy.conformal,
            came,
            spread,
            margin=3.0,
            trivial=(-24.0, 71.0),
            protected={"carrier": names},
            min_rows=policy.min_rows,
        ),
        appraise_residuals(came, said, spread),
        appraise_slices(
            {"carrier": cut_texts(names)},
            {"mean_outcome": came, "mean_prediction": said},
            np.abs(said - came),
            loss_name="absolute_error",
            min_rows=100,
        ),
        judge_error_champion(policy, came, said, theirs, name=champion, excluded=0)
        if champion
        else without_champion(config.name),
    ]
    evaluation = _judged(config, name, (said, came, median), findings)
    sums = {}
    for code in range(len(CARRIERS)):
        for n, origin in enumerate(("EWR", "JFK", "LGA")):
            rows = (carriers == code) & (np.arange(ROWS) % 3 == n)
            errors = said[rows] - came[rows]
            sums[CARRIERS[code], origin] = ErrorSums(
                int(rows.sum()),
                *(float(x.sum()) for x in (errors, np.abs(errors), errors**2, errors**4)),
            )
    bias: Any = config.bias
    return evaluation, audit_errors(bias.attributes, sums, bias, subject=name, today=TODAY)


def _classes(
    rng: Any, config: ModelConfig, name: str, champion: str | None
) -> tuple[Report, Report]:
    carriers = rng.choice(len(CARRIERS), ROWS, p=[0.3, 0.25, 0.2, 0.15, 0.08, 0.02])
    came = np.array(OUTCOMES)[rng.choice(len(OUTCOMES), ROWS, p=[0.1, 0.05, 0.3, 0.55])]
    mine, theirs = (_probabilities(rng, came, sure) for sure in (2.0, 1.6))
    counts = Counter(came.tolist())
    shares = np.tile(np.array([counts[one] for one in OUTCOMES]) / ROWS, (ROWS, 1))
    scored, other, constant = (class_scores(OUTCOMES, one, came) for one in (mine, theirs, shares))
    names = np.array([CARRIERS[code] or "" for code in carriers], dtype=object)
    policy = config.evaluation
    findings = [
        judge_class_uplift(policy, scored, {"most frequent class": constant}),
        appraise_classes(scored, dict.fromkeys(OUTCOMES, 500)),
        reliability(scored.confidence, scored.is_right, policy.calibration),
        appraise_slices(
            {"carrier": cut_texts(names)},
            {},
            (~scored.is_right).astype(float),
            loss_name="wrong_label_rate",
            min_rows=100,
        ),
        judge_class_champion(policy, scored, other, name=champion, excluded=0)
        if champion
        else without_champion(config.name),
    ]
    evaluation = _judged(config, name, (mine, came, shares), findings, classes=OUTCOMES)
    answers = np.array(OUTCOMES)[mine.argmax(axis=1)]
    cells: dict[Any, Counter[tuple[str, str]]] = {}
    for row in range(ROWS):
        group = CARRIERS[carriers[row]], ("EWR", "JFK", "LGA")[row % 3]
        cells.setdefault(group, Counter())[str(answers[row]), str(came[row])] += 1
    bias: Any = config.bias.model_copy(update={"metric": "selection_rate", "bootstrap_draws": 100})
    found = audit_classes(bias.attributes, cells, bias, subject=name, seed=7, today=TODAY)
    return evaluation, found


def _probabilities(rng: Any, came: Any, sure: float) -> Any:
    scores = rng.normal(0, 1, (ROWS, len(OUTCOMES)))
    scores[np.arange(ROWS), [OUTCOMES.index(one) for one in came]] += sure
    raised = np.exp(scores)
    return raised / raised.sum(axis=1, keepdims=True)


def _judged(
    config: ModelConfig,
    name: str,
    rows: tuple[Any, Any, Any],
    findings: Sequence[Appraisal],
    classes: Sequence[str] = (),
) -> Report:
    said, came, trivial = rows
    same: Mapping[str, Any] = {"threshold": None, "costs": None, "classes": classes}
    return judging.judge(
        config.evaluation,
        measure_answers(said, came, **same),
        subject=name,
        rows=ROWS,
        threshold=None,
        baseline=measure_answers(trivial, came, **same),
        today=TODAY,
        findings=findings,
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
