"""An installation with something to see on every page: for pictures, axe-core and clicks."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import shop
import version_rows
from judged_windows import JudgedWindows
from other_tasks import NUMBERS, OtherTasks
from sqlalchemy import insert
from watched_streams import WatchedStreams

from tenure.adapters.decision_tables import DECISION_FIELDS, decisions_to_parquet
from tenure.adapters.sql import reviews, versions
from tenure.adapters.sql import tables as t
from tenure.config.suite_limits import LimitChange
from tenure.errors import GateFailed
from tenure.installation import Installation
from tenure.installation.suite_in_force import suite_in_force
from tenure.layout import drawn_key
from tenure.lifecycle.decisions.decision_log import micros, partition
from tenure.lifecycle.incidents.failure_card import describe
from tenure.lifecycle.monitoring.feedback import SegmentObjections, judge_feedback
from tenure.lifecycle.monitoring.policy import FeedbackPolicy
from tenure.lifecycle.promotion.approval import begin_key, evidence_digest
from tenure.usecases.audit.ledger import check_chain, put_anchor
from tenure.usecases.data.notes import subscribe, write_note
from tenure.usecases.data.quarantine import QuarantineAsk, decide, rows_as_csv
from tenure.usecases.incidents import failure_cards
from tenure.usecases.incidents.alerts import deliver_alerts
from tenure.usecases.incidents.close_incident import close_incident
from tenure.usecases.incidents.open_incident import open_incident
from tenure.usecases.incidents.remediation import finish, remediate
from tenure.usecases.suites.suite_proposals import LimitEdit, answer, propose
from tenure.verdicts import Check, Report, Verdict
from tenure.views.approval_page import OpenWindow
from tenure.views.quarantine import quarantine_of
from tenure.views.tasks import TaskStatus
from tenure.vocabulary import RunRef, State, digest_bytes

if TYPE_CHECKING:
    from sqlalchemy import Connection

MODEL = "flight_late"
ASKED_BY = "manual__2013-07-01T08:00:00+00:00"
"""The run whose window waits for an approver."""
WAITING = ("01a201ae-88a8-7176-9ed4-1de6ea785a39", "01a201ae-3b41-7b1a-b779-53745e492b64")
LOGGED = "01a201ae-3b41-7b1a-b779-53745e492b65"
"""A decision that is in the log."""
LOWERED = ("max_difference: 0.25", "max_difference: 0.3")
DESK = ("; the passenger sees what the desk says", "")
"""What the procedure of later versions says, and earlier ones did not."""
NUMERIC = ["hour", "minute", "day_of_week", "distance", "temp", "dewp", "humid", "wind_speed"]
BATCHES = {"2013-01": 27_004, "2013-02": 24_951, "2013-03": 28_834, "2013-04": 28_330}


def window(now: datetime) -> OpenWindow:
    """As Airflow says of the review task that waits."""
    asked, until = now - timedelta(hours=2), now + timedelta(hours=70)
    return OpenWindow(ASKED_BY, "review", 0, asked, until)


def evaluation_facts(champion: str | None) -> dict[str, Any]:
    """Facts of an evaluation with every picture in it."""
    bins = [
        {
            "low": n / 10,
            "high": (n + 1) / 10,
            "mean_score": n / 10 + 0.05,
            "positive_share": min(1.0, n / 10 + 0.03 + 0.01 * n),
            "rows": 900 - 80 * n,
            "interval": [max(0.0, n / 10), min(1.0, n / 10 + 0.12)],
        }
        for n in range(10)
    ]
    differences = [
        {"metric": "roc_auc", "value": 0.7124, "other": 0.7011, "better_by": 0.0113,
         "interval": [0.0041, 0.0185]},
        {"metric": "brier", "value": 0.1811, "other": 0.1808, "better_by": -0.0003,
         "interval": [-0.0021, 0.0016]},
    ]  # fmt: skip
    without = {"name": None, "rows": 0, "why": "no version of flight_late serves"}
    compared = {"name": champion, "rows": 8_214, "differences": differences, "margin": 0.01}
    return {
        "rows": 20_321,
        "threshold": 0.5,
        "metrics": {"roc_auc": 0.7124, "brier": 0.1811, "log_loss": 0.5412, "accuracy": 0.7413},
        "intervals": {"roc_auc": [0.7021, 0.7218], "brier": [0.1788, 0.1835]},
        "baseline": {"brier": 0.2377, "log_loss": 0.6689, "accuracy": 0.6102, "roc_auc": 0.5},
        "champion": compared if champion else without,
        "reliability": {"bins": bins},
        "costs": {
            "curve": [[n / 20, 260 + 900 * (n / 20 - 0.4) ** 2] for n in range(21)],
            "chosen": {"cost": 269.0},
            "always_yes": {"cost": 404.0},
            "always_no": {"cost": 584.0},
            "per_decisions": 1000,
        },
        "importance": {
            "features": [
                {"feature": name, "better_by": 0.05 / (n + 1), "metric": "roc_auc",
                 "interval": [0.04 / (n + 1), 0.06 / (n + 1)]}
                for n, name in enumerate(NUMERIC)
            ]
        },
        "slices": {
            "by_column": {
                "carrier": [
                    {"value": name, "loss": 0.4 + 0.03 * n, "rows": 900 - 50 * n}
                    for n, name in enumerate(("UA", "B6", "EV", "DL", "AA"))
                ]
            }
        },
        "mlflow_run_id": "b" * 32,
    }  # fmt: skip


def bias_facts() -> dict[str, Any]:
    """Facts of a bias audit: two attributes and their crossing, one group too small."""
    groups = []
    for by, names in (("carrier", ("UA", "B6", "EV", "DL", "HA")), ("origin", ("EWR", "JFK"))):
        for n, name in enumerate(names):
            rate = 0.08 + 0.035 * n
            groups.append(
                {
                    "by": [by],
                    "value": [name],
                    "n": 31 if name == "HA" else 2_400 - 300 * n,
                    "fpr": rate,
                    "ci": {"fpr": [rate - 0.02, rate + 0.025]},
                    "sufficient": name != "HA",
                }
            )
    return {"metric": "false_positive_rate", "rows": 20_321, "groups": groups}


class FilledSite:
    """Writes rows beside those of `Life`, which writes the rest."""

    def __init__(self, life: Any, shop: Any) -> None:
        self.life = life
        self.shop = shop
        self.platform: Installation = life.platform
        self.paths: dict[str, str] = {}

    def fill(self) -> dict[str, str]:
        """Every kind of page: its name, and its path below `/tenure`."""
        with self.platform.database.begin() as connection:
            versions.register_model(
                connection,
                name=MODEL,
                owner="ada",
                risk_tier="limited",
                purpose="Warn passengers of a probable late arrival before departure.",
            )
        self.life.dataset()
        snapshots = [self._snapshot(name, rows) for name, rows in BATCHES.items()]
        first = self._version(1, snapshots[:2], None, approve=True)
        self.life.champion(first)
        second = self._version(2, snapshots[:3], f"{MODEL}@1", approve=True)
        self.life.champion(second, after=first)
        third = self._version(3, snapshots[:3], f"{MODEL}@2", approve=False)
        self._reject(third)
        fourth = self._version(4, snapshots[1:], f"{MODEL}@2", approve=True, lowered=True)
        self.life.canary(fourth, champion=second)
        fifth = self._version(5, snapshots[1:], f"{MODEL}@2", approve=False, lowered=True, like=3)
        self._ask(fifth)
        self.life.decommission(first)
        self.life.monitoring(second)
        self._feedback(second)
        WatchedStreams(self.platform, self.life.now).fill(second)
        self.life.incident()
        self.life.gateways()
        self._orders()
        self._queue()
        self._stages()
        self._failures()
        self._verify_ledger()
        return self.paths | {
            "overview": "/",
            "runbook": "/runbook",
            "model": f"/model/{MODEL}",
            "canary": f"/model/{MODEL}/canary",
            "decisions": f"/model/{MODEL}/decisions",
            "feedback": f"/model/{MODEL}/feedback",
            "version-champion": f"/model/{MODEL}/version/2",
            "version-retired": f"/model/{MODEL}/version/1",
            "approval": f"/model/{MODEL}/version/5/approval",
            "approval-champion": f"/model/{MODEL}/version/2/approval",
            "approval-first": f"/model/{MODEL}/version/1/approval",
            "lineage-version": f"/model/{MODEL}/version/2/lineage",
            "lineage-snapshot": f"/dataset/flights/snapshot/{_digest('2013-03')}",
            "dataset-flights": "/dataset/flights",
            "dataset-orders": "/dataset/orders",
            "workbench-flights": "/dataset/flights/workbench",
            "workbench-orders": "/dataset/orders/workbench",
            "promise": f"/promise?model={MODEL}",
            "reviews": "/reviews",
            "absent": "/model/unknown",
        }

    def fill_more(self) -> dict[str, str]:
        """Models of other tasks; one was monitored for 38 days."""
        paths = OtherTasks(self.life).fill()
        with self.platform.database.begin() as connection:
            champion = versions.get(connection, NUMBERS, 1)
        assert champion is not None
        last = JudgedWindows(self.platform, self.life.now, NUMBERS).history(champion.id)
        page = f"/model/{NUMBERS}/monitoring"
        return paths | {
            "canary-none": f"/model/{NUMBERS}/canary",
            "monitoring": page,
            "monitoring-window": f"{page}?window={last}",
            "monitoring-numbers": f"{page}?numbers=drift-temp",
            "monitoring-weeks": f"/model/{MODEL}/monitoring",
        }

    def tasks(self, _session: object, dag: str, run: str, task: str, index: int) -> TaskStatus:
        """What Airflow says of a task, by its name."""
        states = {"review": "awaiting_input", "canary": "running", "killed": "failed"}
        return TaskStatus(states.get(task, "failed"), 1)

    def _snapshot(self, batch: str, rows: int) -> int:
        begin = datetime.fromisoformat(f"{batch}-01").replace(tzinfo=UTC)
        judged = self._save("quality", f"flights {batch}", Verdict.PASSED, "all 14 checks hold")
        same = {"dataset": "flights", "batch": batch, "suite_digest": _digest("suite")}
        with self.platform.database.begin() as connection:
            number = connection.scalar(
                insert(t.snapshot)
                .values(
                    **same,
                    digest=_digest(batch),
                    rows=rows,
                    manifest_digest=_digest(f"manifest {batch}"),
                    time_min=begin,
                    time_max=begin + timedelta(days=27, hours=23),
                )
                .returning(t.snapshot.c.id)
            )
            connection.execute(
                insert(t.validation).values(
                    **same,
                    source_key=f"landing/flights/{batch}.parquet",
                    source_digest=_digest(f"file {batch}"),
                    config_digest=_digest("config"),
                    verdict="passed",
                    rows_in=rows,
                    rows_ok=rows,
                    rows_quarantined=0,
                    snapshot_id=number,
                    report_digest=judged,
                )
            )
        return int(number or 0)

    def _version(
        self,
        number: int,
        snapshots: list[int],
        champion: str | None,
        *,
        approve: bool,
        lowered: bool = False,
        like: int = 0,
    ) -> int:
        name = f"{MODEL}@{number}"
        evaluation = self._save(
            "evaluation",
            name,
            Verdict.PASSED,
            f"roc_auc of version {number} is 0.7124 [0.7021, 0.7218], at least 0.65",
            evaluation_facts(champion),
            _evaluation_checks(champion),
        )
        gap = Check(
            "false_positive_rate difference", Verdict.PASSED, "0.14 between EV and UA",
            "at most 0.3", "carrier", value=0.14, limit=0.3, interval=(0.11, 0.17),
        )  # fmt: skip
        said = f"version {number}: worst gap 0.14 by carrier, allowed 0.3"
        bias = self._save("bias", name, Verdict.PASSED, said, bias_facts(), (gap,))
        artifact = _digest(f"artifact {like or number}")
        with self.platform.database.begin() as connection:
            ref = versions.create_draft(
                connection, model_name=MODEL, trained_by="ada", training_key=_digest(name)
            )
            versions.set_columns(
                connection,
                ref.id,
                artifact_digest=artifact,
                signature="signed",
                evaluation_report=evaluation,
                bias_report=bias,
                config_digest=self._config(connection, lowered=lowered),
                code_digest=_digest("code"),
                lock_digest=_digest("lock"),
                suite_digest=_digest("suite"),
                data_digest=_digest(f"data {number}"),
                facts=version_rows.facts(
                    features={
                        "numeric": [*NUMERIC, *(["precip", "visib"] if number > 2 else ["gust"])],
                        "categorical": ["carrier", "origin", "dest"],
                        "dates": [],
                    }
                ),
            )
            for snapshot in snapshots:
                connection.execute(
                    insert(t.training_snapshot).values(
                        model_version_id=ref.id, snapshot_id=snapshot
                    )
                )
        for state in (State.TRAINED, State.VALIDATED):
            self.life.move(ref.id, state, reason="the gates hold")
        if approve:
            self._answer(ref.id, "approve", artifact, (evaluation, bias), "better in June")
            self.life.move(ref.id, State.APPROVED, reason="approved by grace")
        return int(ref.id)

    def _config(self, connection: Connection, *, lowered: bool) -> str:
        body = (self.platform.settings.configs / "models" / f"{MODEL}.yaml").read_text()
        assert LOWERED[0] in body
        body = body.replace(*LOWERED) if lowered else body.replace(*DESK)
        digest = digest_bytes(body.encode())
        versions.remember_config(connection, digest=digest, kind="model", name=MODEL, body=body)
        return digest

    def _answer(
        self, version: int, answer: str, artifact: str, reports: tuple[str, str], note: str
    ) -> None:
        evidence = evidence_digest(artifact=artifact, evaluation=reports[0], bias=reports[1])
        with self.platform.database.begin() as connection:
            connection.execute(
                insert(t.approval).values(
                    model_version_id=version,
                    action="serve",
                    approver="grace",
                    trained_by="ada",
                    answer=answer,
                    artifact_digest=artifact,
                    evidence_digest=evidence,
                    note=note,
                    expires_at=self.life.now + timedelta(days=30),
                )
            )

    def _reject(self, version: int) -> None:
        with self.platform.database.begin() as connection:
            row = versions.row_by_id(connection, version)
        reports = (str(row.evaluation_report), str(row.bias_report))
        said = "It calls on-time flights of EV late twice as often."
        self._answer(version, "reject", str(row.artifact_digest), reports, said)
        self.life.move(version, State.REJECTED, reason="rejected by grace")

    def _ask(self, version: int) -> None:
        with self.platform.database.begin() as connection:
            number = versions.get_by_id(connection, version).version
            self.platform.ledger.note(
                connection,
                subject=f"promotion:{MODEL}",
                actor=f"{MODEL}__promote_model",
                body={"version": number, "run_id": ASKED_BY, "renews": False},
                op_key=begin_key(MODEL, ASKED_BY),
            )
        self.paths["card-waiting"] = _card("promote_model", ASKED_BY, "review") + "&map_index=0"

    def _orders(self) -> None:
        for number in range(1, 20):
            self.shop.batch(f"b{number:02d}", no_price=number % 7, bad_email=number % 2)
        bad = self.shop.batch("b20", no_price=9, bad_email=2, strange=3)
        self.paths["validation"] = f"/report/{bad}"
        self.platform.store.put(drawn_key(bad), b"<p>drawn</p>")
        self._propose()
        self._set_aside()

    def _set_aside(self) -> None:
        """Rows in quarantine: taken along once, some discarded, some to be released."""
        with self.platform.database.begin() as connection:
            batches = quarantine_of(connection, "orders").batches
        published = [one for one in batches if one.row.is_published]
        for batch, act in zip(published, ("release", "discard"), strict=False):
            asked = QuarantineAsk("orders", batch.row.id, batch.causes[0].reason.id, "sam")
            rows_as_csv(self.platform, asked)
            decide(self.platform, asked, act, reason=f"The source confirmed it {shop.NASTY}")

        write_note(self.platform, "orders", "Prices come late in July.", user="vera")
        subscribe(self.platform, "orders", user="sam", is_on=True)

    def _propose(self) -> None:
        """The files of the shop, one change that was declined, and one that waits."""
        include = self.platform.settings.include
        yaml = shop.YAML.replace("SENSITIVITY", self.shop.sensitivity)
        (include / "configs/datasets/orders.yaml").write_text(yaml)
        rules = shop.suite(self.shop.limit)
        for rule in rules["expectations"]:
            rule.pop("notes", None)  # a suite's file may hold no HTML
        (include / "expectations/orders.json").write_text(json.dumps(rules, indent=2))
        seen = suite_in_force(self.platform, "orders", []).suite.digest
        for percent in (40, 15):
            edit = LimitEdit([LimitChange(1, "mostly", percent)], seen)
            why = f"The price list came late {shop.NASTY}"
            made = propose(self.platform, "orders", edit, user="sam", reason=why)
            if percent == 40:
                why = "Too many orders would have no price."
                answer(self.platform, made.id, of="orders", accept=False, user="grace", reason=why)

    def _queue(self) -> None:
        now = self.life.now
        same = {"model": MODEL, "version": 2, "subject": "f" * 32, "decision": True}
        same |= {"received_at": now, "expires_at": now + timedelta(hours=40)}
        unsure = {"score": 0.512, "confidence": 0.512, "fallback_level": "model"}
        unanswered = {"score": 0.0, "confidence": 0.0, "fallback_level": "review"}
        rows = [
            same | unsure | {"decision_id": WAITING[0], "reason": "low confidence"},
            same | unanswered | {"decision_id": WAITING[1], "reason": "champion: circuit open"},
        ]
        with self.platform.database.begin() as connection:
            reviews.add(connection, rows)

    def _feedback(self, version: int) -> None:
        """People object to flights of EV, a few to others; one client sends ids of its own."""
        now = self.life.now
        ids = [f"01a201ae-0000-7000-8000-{n:012d}" for n in range(46)]
        reasons = ("The crew was on board.", "the crew was on board", "Strike was announced.")
        same = {"model": MODEL, "given_by": "key:passenger_app", "received_at": now}
        rows: list[dict[str, Any]] = [
            same
            | {
                "feedback_id": one,
                "decision_id": one,
                "verdict": "accept" if n > 40 else ("override", "wrong")[n % 5 == 0],
                "reason": "" if n > 40 else reasons[n % 3],
                "answer": None if n > 40 else False,
                "answered": True,
                "state": "joined",
                "version": 2,
                "version_id": version,
                "subject": "f" * 32,
                "decided_at": now - timedelta(hours=n),
            }
            for n, one in enumerate(ids)
        ]
        lost = {"feedback_id": "lost", "request_id": "4711", "verdict": "accept"}
        lost |= {"state": "unmatched", "why": "the decision log has no request 4711 of this caller"}
        report = judge_feedback(
            [
                SegmentObjections("carrier", "EV", 420, tuple(ids[:32])),
                SegmentObjections("carrier", "UA", 880, tuple(ids[32:38])),
                SegmentObjections("carrier", "B6", 1_045, tuple(ids[38:41])),
                SegmentObjections("decision", "true", 640, tuple(ids[:41])),
                SegmentObjections("decision", "false", 1_705, ()),
                SegmentObjections("fallback_level", "model", 2_345, tuple(ids[:41])),
            ],
            FeedbackPolicy(),
            of=(2_345, 41),
            confidence=0.95,
            subject=f"{MODEL}@2",
            facts={"kind": "feedback", "remarks": "", "decisions": 2_345, "accepted": 5},
        )
        run = RunRef(f"{MODEL}__monitor_model", "scheduled__2", "monitor")
        digest = self.platform.reports.save(report, model=MODEL, dataset=None, run=run)
        with self.platform.database.begin() as connection:
            for row in [*rows, same | lost]:
                connection.execute(insert(t.feedback).values(**row))
            connection.execute(
                insert(t.monitoring_result).values(
                    model=MODEL,
                    model_version_id=version,
                    window_start=now - timedelta(days=30),
                    window_end=now,
                    kind="feedback",
                    verdict=str(report.verdict),
                    decisions=2_345,
                    selection=_digest("feedback"),
                    facts={"summary": report.summary, "remarks": ""},
                    report_digest=digest,
                )
            )
        self.paths["report-feedback"] = f"/report/{digest}"
        columns: dict[str, Any] = {name: [None] for name in DECISION_FIELDS}
        columns |= {"decision_id": [LOGGED], "request_id": ["r"], "model": [MODEL]}
        columns |= {"version": [2], "version_id": [version], "subject": ["f" * 32]}
        columns |= {"decision": [True], "received_at": [micros(now)], "event_time": [micros(now)]}
        key = f"{partition('decisions', MODEL, micros(now))}/gw-1.parquet"
        self.platform.store.put(key, decisions_to_parquet(columns, numeric=[], categorical=[]))

    def _stages(self) -> None:
        """A report of every stage that has no page of its own yet."""
        name = f"{MODEL}@2"
        stages = {
            "training": {"rows": {"train": 60_123, "gap": 801, "holdout": 20_321}, "metrics": {}},
            "canary": {"share_bp": 5000, "subjects": 2_400, "e_harm": 0.7, "e_safe": 21.4},
            "retraining": {"reasons": ["performance"], "obstacles": [], "cooldown_hours": 0.01},
            "approval": {"approvers": ["grace"], "rejected_by": [], "quorum": 1},
            "reconcile": {"repaired": 0, "looked_at": 41},
        }
        for stage, facts in stages.items():
            digest = self._save(stage, name, Verdict.PASSED, f"{stage} of version 2", facts)
            self.paths[f"report-{stage}"] = f"/report/{digest}"
        drift = self._save(
            "monitoring",
            name,
            Verdict.FAILED,
            "3 of 14 features drifted: temp PSI 2.1",
            {
                "kind": "drift",
                "sum": {"logged": 4_800, "judged_before": 2_000, "judged_here": 2_345,
                        "waiting": 455, "late": 12, "missing": 0},
                "features": [
                    {"feature": one, "psi": 0.31 / (n + 1), "limit": 0.25}
                    for n, one in enumerate(NUMERIC)
                ],
            },
            (Check("psi", Verdict.FAILED, "2.1", "at most 0.25", "temp", value=2.1, limit=0.25),),
        )  # fmt: skip
        self.platform.store.put(drawn_key(drift), b"<p>drawn</p>")
        self.paths["report-monitoring"] = f"/report/{drift}"
        with self.platform.database.begin() as connection:
            row = versions.get(connection, MODEL, 5)
            found = versions.row_by_id(connection, row.id) if row else None
        assert found is not None
        self.paths["report-evaluation"] = f"/report/{found.evaluation_report}"
        self.paths["report-bias"] = f"/report/{found.bias_report}"

    def _failures(self) -> None:
        error = GateFailed(
            "flights batch 2013-03: 2 of 14 expectations failed; temp has 3,121 of 28,834 nulls "
            "(limit 2%).",
            still_safe="Training keeps the snapshot of 2013-02; the gateway is not affected.",
            next_step="Open the report. If the source is wrong, ask its owner and clear the task; "
            "if the rule is wrong, run `tenure suite preview flights`.",
        )
        for number in range(7):
            run = RunRef(f"{MODEL}__train_model", f"manual__{number}", "evaluate")
            failure_cards.save(self.platform, describe(error, model=MODEL, owner="ada"), run)
        bug = RunRef(f"{MODEL}__train_model", "manual__9", "train")
        card = describe(KeyError("temp"), model=MODEL, owner="ada")
        failure_cards.save(self.platform, card, bug)
        self._restored()
        deliver_alerts(self.platform, None)
        self.paths["card-failed"] = _card("train_model", "manual__0", "evaluate")
        self.paths["card-bug"] = _card("train_model", "manual__9", "train")
        self.paths["card-killed"] = _card("train_model", "manual__8", "killed")
        self.paths["card-running"] = _card("promote_model", "manual__7", "canary")
        with self.platform.database.begin() as connection:
            rows = connection.execute(
                t.incident.select().where(t.incident.c.state != "closed").order_by(t.incident.c.id)
            ).all()
        for row in rows:
            self.paths[f"incident-{row.kind}"] = f"/incident/{row.id}"

    def _restored(self) -> None:
        """A grave one whose service is right again, with one remediation done and one to come."""
        key = f"monitoring:{MODEL}:fairness"
        said = "selection rate 0.31 of EV against 0.52 of UA, allowed is 0.1 less"
        one = open_incident(self.platform, key, "fairness_failed", f"{MODEL}@1", said)
        close_incident(self.platform, key)
        due = self.platform.clock.now().date() + timedelta(days=7)
        actions = ("Train without the carrier.", "Ask the carrier why its times are late.")
        written = {"user": "olga", "owner": "ada", "due": due}
        first, _ = [remediate(self.platform, one, action=each, **written) for each in actions]
        done = "Version 3 has no carrier."
        finish(self.platform, one, user="ada", note=done, remediation=first.remediation)

    def _verify_ledger(self) -> None:
        head = check_chain(self.platform).chain.head
        put_anchor(self.platform, head)
        facts = {"seq": head.seq, "hash": head.hash}
        run = RunRef("maintain_platform", "scheduled__1", "maintain")
        said = Report("ledger", "ledger", Verdict.PASSED, "it holds", facts=facts, enforced=False)
        digest = self.platform.reports.save(said, model=None, dataset=None, run=run)
        self.paths["report-ledger"] = f"/report/{digest}"

    def _save(  # noqa: PLR0917 -- in the order of a report
        self,
        stage: str,
        subject: str,
        verdict: Verdict,
        summary: str,
        facts: dict[str, Any] | None = None,
        checks: tuple[Check, ...] = (),
    ) -> str:
        enforced = stage != "monitoring"
        report = Report(stage, subject, verdict, summary, checks, facts or {}, enforced=enforced)
        of_data = stage == "quality"
        dag = "flights__ingest_data" if of_data else f"{MODEL}__train_model"
        return self.platform.reports.save(
            report,
            model=None if of_data else MODEL,
            dataset="flights" if of_data else None,
            run=RunRef(dag, f"run of {subject}", stage),
        )


def _evaluation_checks(champion: str | None) -> tuple[Check, ...]:
    passed = Verdict.PASSED
    checks = [
        Check("kpi:roc_auc", passed, "0.7124", "at least 0.65", value=0.7124, limit=0.65,
              interval=(0.7021, 0.7218)),
        Check("kpi:brier", passed, "0.1811", "at most 0.22", value=0.1811, limit=0.22,
              interval=(0.1788, 0.1835)),
        Check("uplift", passed, "brier better by 0.0566 than the base rate",
              "measurably more than 0", "base rate", value=0.0566, limit=0.0,
              interval=(0.0541, 0.0592)),
    ]  # fmt: skip
    if champion:
        checks.append(
            Check("champion", passed, f"roc_auc 0.7124 and 0.7011 of {champion}",
                  "surely no worse by 0.01", champion, value=0.0113, limit=-0.01,
                  interval=(0.0041, 0.0185))
        )  # fmt: skip
    return tuple(checks)


def _card(stage: str, run: str, task: str) -> str:
    from urllib.parse import quote

    return f"/card?dag={MODEL}__{stage}&run={quote(run)}&task={task}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
