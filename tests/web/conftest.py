"""A lifecycle database with a life in it: three versions, a canary, a decommission, incidents."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import version_rows
from flight_configs import flight_configs
from page_reader import CHROMIUM, FakeGuard, with_airflow
from sqlalchemy import insert

from tenure.adapters.sql import plans, versions
from tenure.adapters.sql import tables as t
from tenure.config import load_model
from tenure.installation import Installation
from tenure.lifecycle.promotion.approval import evidence_digest
from tenure.lifecycle.promotion.canary import ArmDecisions, judge
from tenure.lifecycle.promotion.canary_groups import GroupCounts, GroupsCounted
from tenure.lifecycle.promotion.canary_sentence import verdict_sentence
from tenure.lifecycle.promotion.event_rates import ShareCounts
from tenure.usecases.promotion.canary import CanaryFindings, analysis_facts
from tenure.verdicts import Check, Report, Verdict
from tenure.vocabulary import RunRef, State

if TYPE_CHECKING:
    from fastapi import FastAPI
    from fastapi.testclient import TestClient
    from playwright.sync_api import Browser, Page

NASTY = '<script>document.title="owned"</script>'
"""Stands where data of strangers stands: column names, values, reasons."""


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class Life:
    """Writes rows through the same functions as the stages do."""

    def __init__(self, platform: Installation) -> None:
        self.platform = platform
        self.now = datetime.now(tz=UTC)
        self._keys = count()

    def whole(self) -> Life:
        with self.platform.database.begin() as connection:
            versions.register_model(
                connection,
                name="flight_late",
                owner="ada",
                risk_tier="limited",
                purpose="Warn passengers of a probable late arrival before departure.",
            )
        self.dataset()
        first, second, third = (self.version(n) for n in (1, 2, 3))
        self.champion(first)
        self.champion(second, after=first)
        self.canary(third, champion=second)
        self.decommission(first)
        self.monitoring(second)
        self.incident()
        self.gateways()
        return self

    def report(self, stage: str, verdict: Verdict, summary: str, **more: object) -> str:
        facts: dict[str, object] = {
            "rows": 20_321,
            "seed": 7,
            NASTY: NASTY,
            "mlflow_run_id": "b" * 32,
        }
        facts |= {"kind": more["kind"]} if "kind" in more else {}
        report = Report(
            stage=stage,
            subject=str(more.get("subject", "flight_late@2")),
            verdict=verdict,
            summary=summary,
            checks=(
                Check("roc_auc", Verdict.PASSED, "0.712", "at least 0.60", interval=(0.702, 0.721)),
                Check(f"psi {NASTY}", verdict, "0.31", "at most 0.25", subject=NASTY),
            ),
            facts=facts,
            enforced=stage != "monitoring",
        )
        run = RunRef(f"flight_late__{stage}", f"run-{next(self._keys)}", stage)
        return self.platform.reports.save(report, model="flight_late", dataset=None, run=run)

    def dataset(self) -> None:
        with self.platform.database.begin() as connection:
            connection.execute(
                insert(t.dataset).values(
                    name="flights", owner="ada", steward="sam", sensitivity="public"
                )
            )
            connection.execute(
                insert(t.validation).values(
                    dataset="flights",
                    batch="2013-03",
                    source_key="landing/flights/2013-03.parquet",
                    source_digest=digest("file"),
                    suite_digest=digest("suite"),
                    config_digest=digest("config"),
                    verdict="failed",
                    rows_in=28_834,
                    rows_ok=25_713,
                    rows_quarantined=3_121,
                    report_digest=self.report("quality", Verdict.FAILED, "2 of 14 failed"),
                )
            )

    def version(self, number: int) -> int:
        evaluation = self.report(
            "evaluation", Verdict.PASSED, f"AUC of version {number} is 0.712 [0.702, 0.721]"
        )
        bias = self.report(
            "bias", Verdict.PASSED, f"version {number}: worst gap 0.21, allowed 0.35"
        )
        with self.platform.database.begin() as connection:
            ref = versions.create_draft(
                connection,
                model_name="flight_late",
                trained_by="ada",
                training_key=digest(f"training {number}"),
            )
            versions.set_columns(
                connection,
                ref.id,
                artifact_digest=digest(f"artifact {number}"),
                signature="signed",
                evaluation_report=evaluation,
                bias_report=bias,
                facts=version_rows.facts(metrics={"roc_auc": 0.712, "brier": 0.151}),
            )
        for state in (State.TRAINED, State.VALIDATED):
            self.move(ref.id, state, reason=f"gates {NASTY}")
        with self.platform.database.begin() as connection:
            connection.execute(
                insert(t.approval).values(
                    model_version_id=ref.id,
                    action="serve",
                    approver="grace",
                    trained_by="ada",
                    answer="approve",
                    artifact_digest=digest(f"artifact {number}"),
                    evidence_digest=evidence_digest(
                        artifact=digest(f"artifact {number}"), evaluation=evaluation, bias=bias
                    ),
                    note=f"better in June {NASTY}",
                    expires_at=self.now + timedelta(days=30),
                )
            )
        self.move(ref.id, State.APPROVED, reason="approved by grace")
        return ref.id

    def move(self, version_id: int, state: State, reason: str = "demo") -> None:
        with self.platform.database.begin() as connection:
            self._move(connection, version_id, state, reason)

    def _move(
        self, connection: object, version_id: int, state: State, reason: str = "demo"
    ) -> None:
        self.platform.ledger.move(
            connection,
            versions.get_by_id(connection, version_id),
            state,
            actor="flight_late__promote_model",
            body={"reason": reason},
            op_key=digest(f"{version_id} {state} {next(self._keys)}"),
        )

    def plan(
        self,
        connection: object,
        champion: int,
        canary: int | None,
        share_bp: int,
        model: str = "flight_late",
        *,
        at: datetime | None = None,
    ) -> None:
        seen = plans.newest(connection, model)
        plans.publish(
            connection,
            self.platform.ledger,
            model=model,
            seen=seen,
            fence=seen.fence if seen else 1,
            champion_id=champion,
            canary_id=canary,
            share_bp=share_bp,
            salt="salt",
            lease_seconds=20 if canary else None,
            champion_until=self.now + timedelta(days=30),
            canary_until=self.now + timedelta(days=30) if canary else None,
            lease_until=self.now + timedelta(seconds=20) if canary else None,
            now=at or self.now,
            reason="analysis" if canary else "promoted",
            actor=f"{model}__promote_model",
        )

    def champion(
        self, version_id: int, after: int | None = None, *, model: str = "flight_late"
    ) -> None:
        if after:
            self.move(version_id, State.CANARY)
        with self.platform.database.begin() as connection:
            if after:
                self._move(connection, after, State.SUPERSEDED, "replaced")
            self._move(connection, version_id, State.CHAMPION, "safe on wrong labels")
            self.plan(connection, version_id, None, 0, model)

    def canary(self, version_id: int, champion: int) -> None:
        """Eight analyses at 5%, then sixteen at 50%, every four seconds until now."""
        policy = load_model(self.platform.settings.include, "flight_late")[0].canary
        with self.platform.database.begin() as connection:
            self._move(connection, version_id, State.CANARY, "probation begins")
            for share_bp, ago in ((500, 100), (5000, 66)):
                at = self.now - timedelta(seconds=ago)
                self.plan(connection, champion, version_id, share_bp, at=at)
        for number in range(1, 25):
            found = CanaryFindings(_counted(number), [], _decisions(number), _groups(number))
            share_bp = 500 if number < 9 else 5000
            judgement = judge(
                policy, found.counts, share_bp=share_bp, analyses=number, groups=found.groups
            )
            said = {"sentence": verdict_sentence(judgement, analyses=number), "analyses": number}
            with self.platform.database.begin() as connection:
                connection.execute(
                    insert(t.canary_analysis).values(
                        model_version_id=version_id,
                        number=number,
                        generation=number + 3,
                        share_bp=share_bp,
                        verdict=str(judgement.verdict),
                        action=str(judgement.action),
                        facts=analysis_facts(judgement, found) | said | {"report": ""},
                        created_at=self.now - timedelta(seconds=4 * (24 - number) + 2),
                    )
                )

    def decommission(self, version_id: int) -> None:
        record = self.report("decommission", Verdict.PASSED, "flight_late@1 decommissioned")
        with self.platform.database.begin() as connection:
            row = connection.execute(
                insert(t.decommission)
                .values(
                    model_version_id=version_id,
                    step="deleted",
                    reason=f"superseded by version 2 {NASTY}",
                    successor="flight_late@2",
                    requested_by="dora",
                    second_person="grace",
                    archive_digest=digest("archive"),
                    retain_until=self.now,
                    notified_at=self.now,
                    revoked_at=self.now,
                    verified_at=self.now,
                    deleted_at=self.now,
                    record_digest=record,
                )
                .returning(t.decommission.c.id)
            ).scalar_one()
            connection.execute(
                insert(t.archive_item).values(
                    decommission_id=row,
                    key="artifacts/x.skops",
                    archive_key="archive/flight_late/1/x.skops",
                    size=123_456,
                    sha256=digest("x"),
                    verified_at=self.now,
                    deleted_at=self.now,
                )
            )
        for state in (State.RETIRING, State.ARCHIVED, State.DELETED):
            self.move(version_id, state, "two people agreed")

    def monitoring(self, version_id: int) -> None:
        weeks = [
            (week, kind, Verdict.FAILED if kind == "drift" and week > 9 else Verdict.PASSED)
            for week in range(12)
            for kind in ("drift", "performance", "fairness", "quality")
        ]
        digests = [
            self.report("monitoring", verdict, f"{kind} of week {week}", kind=kind)
            for week, kind, verdict in weeks
        ]
        with self.platform.database.begin() as connection:
            for (week, kind, verdict), stored in zip(weeks, digests, strict=True):
                connection.execute(
                    insert(t.monitoring_result).values(
                        model="flight_late",
                        model_version_id=version_id,
                        window_start=self.now - timedelta(days=7 * (13 - week)),
                        window_end=self.now - timedelta(days=7 * (12 - week)),
                        kind=kind,
                        verdict=str(verdict),
                        decisions=2_345,
                        selection=digest(f"{week}"),
                        report_digest=stored,
                    )
                )
            connection.execute(
                insert(t.retrain_request).values(
                    model="flight_late",
                    reason_code="performance",
                    reason="wrong labels 31.2% against 26.0% on the holdout (10% worse allowed)",
                    requested_by="retrain_models",
                    state="done",
                )
            )
        self.report("retraining", Verdict.PASSED, "no retraining: the last one was 2 h ago")
        self.report(
            "monitoring", Verdict.FAILED, "3 of 14 features drifted: temp PSI 2.1", kind="drift"
        )
        self.report("monitoring", Verdict.PASSED, "as on the holdout", kind="performance")

    def incident(self) -> None:
        with self.platform.database.begin() as connection:
            connection.execute(
                insert(t.incident).values(
                    dedupe_key="drift:flight_late",
                    kind="drift",
                    subject="flight_late@2",
                    severity="sev3",
                    summary=f"temp has PSI 2.1 (at most 0.25) {NASTY}",
                    seen=3,
                )
            )

    def gateways(self) -> None:
        """At the newest plan, behind it, and silent; the last has a stranger's name."""
        rows = {"gw-a": (4, 0), "gw-b": (3, 5), "gw-c": (4, 3600), NASTY: (4, 90_000)}
        with self.platform.database.begin() as connection:
            connection.execute(
                insert(t.gateway_ack),
                [
                    {
                        "gateway_id": name,
                        "model": "flight_late",
                        "generation": generation,
                        "seen_at": self.now - timedelta(days=2),
                        "alive_at": self.now - timedelta(seconds=age),
                    }
                    for name, (generation, age) in rows.items()
                ],
            )


def _counted(number: int) -> list[ShareCounts]:
    """A little better at every analysis; labels of a part."""
    small, large = min(number, 8), max(0, number - 8)
    found = []
    for share_bp, n, champions in ((500, small, 19), (5000, large, 1)):
        subjects = 20 * n
        if n:
            found += [
                ShareCounts("error", share_bp, subjects, 0, champions * subjects, n // 8),
                ShareCounts(
                    "wrong_label", share_bp, 15 * n, 4 * n, 15 * n * champions, 5 * n * champions
                ),
            ]
    return found


def _groups(number: int) -> GroupsCounted:
    """Two of three subjects fly with UA, the others with EV, and no attribute holds the strange."""
    at = datetime(2013, 7, 1, tzinfo=UTC)
    ua, ev = [], []
    for row in (one for one in _counted(number) if one.event == "wrong_label"):
        names = ("canary_subjects", "canary_events", "champion_subjects", "champion_events")
        sizes = [getattr(row, name) for name in names]
        larger = [2 * size // 3 for size in sizes]
        ua.append(replace(row, **dict(zip(names, larger, strict=True))))
        rest = [size - part for size, part in zip(sizes, larger, strict=True)]
        ev.append(replace(row, **dict(zip(names, rest, strict=True))))
    small = ShareCounts("wrong_label", 5000, 3, 1, 2, 1)
    groups = (
        GroupCounts("carrier", "UA", at, tuple(ua)),
        GroupCounts("carrier", "EV", at, tuple(ev)),
        GroupCounts("carrier", None, at, (small,)),
        GroupCounts("carrier", NASTY, at, (small,)),
    )
    return GroupsCounted(groups, {"race": "features are sealed in the decision log"})


def _decisions(number: int) -> ArmDecisions:
    counted, labelled = 440 * number, 320 * number
    return ArmDecisions(
        read=counted + 1_211,
        counted=counted,
        of_earlier_plans=1_200,
        without_share=9,
        copies=2,
        with_final_label=labelled,
        without_final_label=counted - labelled,
        answered_by_another=number // 8,
    )


@pytest.fixture
def flight_include(tmp_path: Path) -> Path:
    """Configs that a test of pages may add to."""
    return flight_configs(tmp_path / "include")


@pytest.fixture
def life(platform: Installation) -> Life:
    """An empty database and the hand that fills it."""
    return Life(platform)


@pytest.fixture(scope="session")
def make_life() -> Callable[[Installation], Life]:
    """For stacks that have a database of their own."""
    return Life


@pytest.fixture(scope="session")
def built() -> FastAPI:
    """The application, built once: FastAPI takes half a second for its routes."""
    from tenure.web import app

    def of_the_test_that_asks() -> Installation:
        return app.platform()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "platform", of_the_test_that_asks)
        return app.build()


@pytest.fixture
def pages(
    built: FastAPI, platform: Installation, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FastAPI]:
    """The pages for a reader who is signed in; login is tested apart, and in the browser."""
    from airflow.api_fastapi.common.db.common import _get_session
    from airflow.api_fastapi.core_api.security import get_user

    from tenure.web import app, security

    monkeypatch.setattr(app, "platform", lambda: platform)
    with_airflow(monkeypatch)
    built.dependency_overrides = {
        get_user: lambda: "reader",
        security.Guard: FakeGuard,
        _get_session: lambda: None,
    }
    yield built
    built.dependency_overrides = {}


@pytest.fixture
def client(pages: FastAPI) -> Iterator[TestClient]:
    from fastapi.testclient import TestClient

    with TestClient(pages, root_path="/tenure") as http:
        yield http


@pytest.fixture
def chromium() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    with sync_playwright() as play:
        found = play.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield found
        found.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """A page of some width; a refused script or style fails the test."""
    refused: list[str] = []

    def open_page(width: int = 1280, scheme: str = "light") -> Page:
        size = {"width": width, "height": 900}
        found = chromium.new_context(viewport=size, color_scheme=scheme).new_page()
        found.on("console", lambda m: refused.append(m.text) if "Refused to" in m.text else None)
        return found

    yield open_page
    assert refused == []
