"""Decides for every model, files what it decides, and names the models whose training to wake."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from tenure.config import ModelConfig, load_all
from tenure.errors import StateConflict
from tenure.installation import Installation
from tenure.lifecycle.monitoring.retraining import (
    RetrainAction,
    RetrainDecision,
    RetrainRequest,
    Situation,
    decide,
    report,
)
from tenure.usecases.incidents.one_by_one import one_by_one
from tenure.vocabulary import RunRef

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tenure.adapters.sql.retraining import FiledRequest

CONTROLLER = "service:retraining"
"""How the ledger names the controller."""
PICKUP = timedelta(seconds=60)
"""A request that is open for longer was not picked up: its event is emitted again."""

_log = logging.getLogger("tenure.retraining")


@dataclass(frozen=True)
class ChosenModel:
    """A model whose training is to be woken."""

    model: str
    request_id: int
    reason_code: str
    reason: str


@dataclass(frozen=True)
class RetrainRound:
    """All decisions of a run, and the models to wake: chosen now, or asked for in vain before."""

    decisions: dict[str, RetrainDecision]
    chosen: list[ChosenModel]


def decide_all(platform: Installation, run: RunRef) -> RetrainRound:
    """Look at every model that has a valid YAML.

    Tried again it files nothing twice, and wakes again what this run has filed.
    """
    found = load_all(platform.settings.include)
    for problem in found.problems:
        _log.warning("config=broken problem=%s", str(problem)[:200])
    now = platform.clock.now()
    decisions: dict[str, RetrainDecision] = {}

    def look(config: ModelConfig) -> None:
        decisions[config.name] = decision = _decide(platform, config, run, now)
        _log.info("model=%s action=%s %s", config.name, *_summary_of(decision))

    models = found.models.values()
    one_by_one(platform, "retrain", models, name=lambda config: config.name, do=look)
    return RetrainRound(decisions, _to_wake(platform, tuple(found.models), run, now))


def _summary_of(decision: RetrainDecision) -> tuple[str, str]:
    return str(decision.action), decision.sentence


def _decide(
    platform: Installation, config: ModelConfig, run: RunRef, now: datetime
) -> RetrainDecision:
    from tenure.adapters.sql import retraining

    with platform.database.begin() as connection:
        seen = _situation(connection, config, now)
        told_before = retraining.newest_report(connection, config.name)
    decision = decide(config.retraining, seen)
    evidence = report(seen, decision)
    if evidence.digest != told_before:  # woken hourly: only what changed is evidence
        platform.reports.save(evidence, model=config.name, dataset=None, run=run)
    if decision.action is RetrainAction.RETRAIN:
        return _file(platform, config, decision, evidence.digest, run)
    return decision


def _situation(connection: "Connection", config: ModelConfig, now: datetime) -> Situation:
    from tenure.adapters.sql import retraining, training

    newest = retraining.newest_request(connection, config.name)
    return Situation(
        model=config.name,
        now=now,
        versions=retraining.versions(connection, config.name),
        results=retraining.champion_results(connection, config.name),
        published=training.published(connection, config.dataset),
        window_batches=config.training.window_batches,
        asked=_asked(newest),
    )


def _asked(newest: "FiledRequest | None") -> RetrainRequest | None:
    if newest is None:
        return None
    return RetrainRequest(newest.id, newest.state in {"open", "running"}, newest.created_at)


def _file(
    platform: Installation,
    config: ModelConfig,
    decision: RetrainDecision,
    evidence: str,
    run: RunRef,
) -> RetrainDecision:
    """One request and its ledger event; a request that somebody else filed first holds it back."""
    from tenure.adapters.sql import retraining, training, versions

    try:
        with platform.database.begin() as connection:
            versions.register_model(
                connection,
                name=config.name,
                owner=config.owner,
                risk_tier=config.risk_tier,
                purpose=config.purpose,
            )
            request = training.file_request(
                connection,
                model=config.name,
                reason_code=decision.code,
                reason=decision.sentence,
                requested_by=run.user or CONTROLLER,
            )
            platform.ledger.note(
                connection,
                subject=f"model:{config.name}",
                actor=run.user or CONTROLLER,
                body={
                    "event": "retrain_requested",
                    "model": config.name,
                    "request_id": request.id,
                    "reason_code": decision.code,
                    "reason": decision.sentence,
                    "report": evidence,
                    "run_id": run.run_id,
                },
                op_key=retraining.filing_key(request.id),
            )
    except StateConflict as conflict:
        told = f"{decision.sentence} Held back: {conflict.what}"
        return RetrainDecision(RetrainAction.HOLD, decision.code, told)
    return decision


def _to_wake(
    platform: Installation, models: Sequence[str], run: RunRef, now: datetime
) -> list[ChosenModel]:
    from tenure.adapters.sql import retraining

    with platform.database.begin() as connection:
        waiting = retraining.waiting_requests(connection)
    return [
        ChosenModel(one.model, one.id, one.reason_code, one.reason)
        for one in waiting
        if one.model in models and (one.run_id == run.run_id or now - one.created_at >= PICKUP)
    ]
