"""Versions at any point of their life, and traffic for them, on a real PostgreSQL and store."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from flight_configs import flight_configs
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from version_rows import facts, record

from tenure.adapters import skops_artifacts
from tenure.adapters.model_process import Nursery
from tenure.adapters.signing import Signer
from tenure.adapters.sql import plans, versions
from tenure.installation import Installation
from tenure.layout import artifact_key
from tenure.lifecycle.promotion.approval import Choice
from tenure.lifecycle.training.registry import statement_bytes
from tenure.settings import Settings
from tenure.usecases.promotion import approval, traffic
from tenure.usecases.serving import loading
from tenure.usecases.serving.log_files import RecordedFiles
from tenure.verdicts import Check, Report, Verdict
from tenure.vocabulary import RunRef, State, VersionRef, digest_bytes, digest_json

MODEL = "flight_late"
MOMENT = pa.timestamp("us", tz="UTC")


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """One warm process, as a gateway has it, which imports scikit-learn once for all tests."""
    nursery = Nursery(loading.CHILD, tmp_path_factory.mktemp("warm") / "models")
    yield nursery
    nursery.close()


@pytest.fixture(autouse=True)
def _every_loader_forks_it(warm: Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading.VerifiedLoader, "nursery", warm)


@dataclass
class World:
    """One installation with a model, and short ways through its life."""

    platform: Installation
    tier: str = "limited"
    numbers: itertools.count = field(default_factory=lambda: itertools.count(1))  # type: ignore[type-arg]
    stated: dict[str, object] = field(default_factory=dict)
    """Facts of its versions that are not those of a small binary model."""

    def run(self, task: str = "canary", run_id: str = "run-1") -> RunRef:
        return RunRef(f"{MODEL}__promote_model", run_id, task)

    def remembered(self, old: str = "", new: str = "") -> str:
        """Digest of a config that differs from the one in force by this text; planned with."""
        path = self.platform.settings.include / "configs" / "models" / f"{MODEL}.yaml"
        assert old in path.read_text()
        body = path.read_text().replace(old, new, 1) if old else path.read_text()
        digest = digest_bytes(body.encode())
        with self.platform.database.begin() as c:
            versions.remember_config(c, digest=digest, kind="model", name=MODEL, body=body)
        return digest

    def excused(self, days: int) -> VersionRef:
        """A version that failed its bias audit under an excuse of so many days from today."""
        expires = datetime.now(tz=UTC).date() + timedelta(days=days)
        excuse = f"\nbias:\n  mode: report_only\n  reason: small\n  expires: {expires}\n"
        return self.validated(config=self.remembered("\nbias:\n", excuse), bias=Verdict.FAILED)

    def validated(
        self,
        trained_by: str = "ada",
        *,
        config: str = "",
        bias: Verdict = Verdict.PASSED,
        same_bytes_as: int | None = None,
    ) -> VersionRef:
        n = next(self.numbers)
        verdicts = {"evaluation": Verdict.PASSED, "bias": bias}
        reports = {
            stage: self.platform.reports.save(
                Report(
                    stage,
                    f"{MODEL} training {n}",
                    verdict,
                    f"{stage} of training {n}",
                    (Check("roc_auc", Verdict.PASSED, "0.71 | [x](y)", "at least 0.60"),),
                    enforced=verdict is Verdict.PASSED,
                ),
                model=MODEL,
                dataset=None,
                run=RunRef(f"{MODEL}__train_model", f"t{n}", stage),
            )
            for stage, verdict in verdicts.items()
        }
        with self.platform.database.begin() as connection:
            versions.register_model(
                connection, name=MODEL, owner="ada", risk_tier=self.tier, purpose="tests"
            )
            draft = versions.create_draft(
                connection, model_name=MODEL, trained_by=trained_by, training_key=f"key-{n}"
            )
            self.platform.ledger.move(
                connection,
                draft,
                State.TRAINED,
                actor="trainer",
                body={},
                op_key=digest_json(["train", n]),
                columns=self._signed(draft, same_bytes_as or n, config, run=n),
            )
            self.platform.ledger.move(
                connection,
                versions.get_by_id(connection, draft.id),
                State.VALIDATED,
                actor="validator",
                body={},
                op_key=digest_json(["validate", n]),
                columns={f"{stage}_report": digest for stage, digest in reports.items()},
            )
        return self.now(draft)

    def _signed(self, draft: VersionRef, n: int, config: str, run: int) -> dict[str, object]:
        """A real artifact under the trainer's real signature."""
        data = artifact(n, draft.name)
        digest = digest_bytes(data)
        self.platform.store.put(artifact_key(digest), data)
        names = ("artifact", "data", "suite", "code", "config", "lock")
        columns = {f"{name}_digest": digest for name in names} | {"mlflow_run_id": f"run-{run}"}
        columns |= {"config_digest": config} if config else {}
        stated = facts(ranges={"a": [0, 3]}, **self.stated)
        who = {"model": draft.model, "version": draft.version, "trained_by": draft.trained_by}
        row = record(stated, **who, **columns)
        signer = Signer(self.platform.settings.signing_key)
        return columns | {"signature": signer.sign(statement_bytes(row)), "facts": stated}

    def approved(self) -> VersionRef:
        version = self.validated()
        self.answer(version, "grace")
        return self.now(version)

    def champion(self) -> VersionRef:
        version = self.approved()
        traffic.promote_first(self.platform, version.id, actor="test")
        return self.now(version)

    def promoted(self) -> VersionRef:
        """A new version that replaces the champion."""
        version = self.approved()
        policy = approval.load_model(self.platform.settings.include, MODEL)[0].canary
        plan = traffic.start_canary(self.platform, version.id, policy, actor="test")
        with traffic.turn(self.platform, version.id, actor="test") as mine:
            traffic.promote(mine, plan, evidence="e" * 64)
        return self.now(version)

    def answer(
        self,
        version: VersionRef,
        user: str,
        choice: Choice = Choice.APPROVE,
        note: str = "as a test wants it",
    ) -> State:
        asked = approval.ask(self.platform, version)
        assert asked is not None
        approval.answer(
            self.platform,
            (version.id, asked.artifact, asked.evidence),
            user=user,
            choice=choice,
            run=self.run("review"),
            note=note,
        )
        return self.now(version).state

    def now(self, version: VersionRef) -> VersionRef:
        with self.platform.database.begin() as connection:
            return versions.get_by_id(connection, version.id)

    def plan(self) -> plans.PlanRow:
        with self.platform.database.begin() as connection:
            plan = plans.newest(connection, MODEL)
        assert plan is not None
        return plan

    def events(self, version: VersionRef) -> list[str]:
        """States that the ledger says the version entered, in order."""
        query = "SELECT dst FROM ledger_event WHERE subject = %s ORDER BY seq"
        with self.platform.database.begin() as connection:
            rows = connection.exec_driver_sql(query, (f"mv:{version.id}",))
            return [row.dst for row in rows]

    def count(self, table: str) -> int:
        with self.platform.database.begin() as connection:
            return int(connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())

    def traffic(
        self,
        *,
        share_bp: int,
        canary: tuple[int, int],
        champion: tuple[int, int],
        generation: int,
        ahead: timedelta = timedelta(),
        **features: str | None,
    ) -> None:
        """Ship decisions and outcomes: (wrong labels, subjects) of each arm, all mature.

        The gateway's clock is `ahead` of the database's.
        """
        now = datetime.now(tz=UTC) + ahead
        part = next(self.numbers)
        rows = [
            {
                "decision_id": f"{part}-{arm}-{n}",
                "request_id": f"{part}-{arm}-{n}",
                "subject": f"{part}-{arm}-{n}",
                "arm_assigned": arm,
                "generation": generation,
                "share_bp": share_bp,
                "received_at": now,
                "event_time": now - timedelta(days=9),
                "fallback_level": "model",
                "decision": n < wrong,
            }
            | {f"f_{name}": value for name, value in features.items()}
            for arm, (wrong, subjects) in (("canary", canary), ("champion", champion))
            for n in range(subjects)
        ]
        outcomes = [
            {
                "outcome_id": f"o-{row['decision_id']}",
                "decision_id": row["decision_id"],
                "request_id": None,
                "label": False,
                "received_at": now,
            }
            for row in rows
        ]
        self._ship("decisions", rows, now, part)
        self._ship("outcomes", outcomes, now, part)
        with self.platform.database.begin() as connection:
            connection.exec_driver_sql("UPDATE model SET watermark = %s", (now,))

    def _ship(self, kind: str, rows: list[dict[str, object]], at: datetime, part: int) -> None:
        table = pa.Table.from_pylist(rows)
        for name in ("received_at", "event_time", "request_id"):
            if name in table.column_names:
                target = pa.string() if name == "request_id" else MOMENT
                place = table.column_names.index(name)
                table = table.set_column(place, name, table[name].cast(target))
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink)
        key = f"{kind}/model={MODEL}/{at:date=%Y-%m-%d/hour=%H}/g-{part}.parquet"
        RecordedFiles(self.platform, "g").put(key, sink.getvalue().to_pybytes())


@cache
def artifact(n: int, name: str) -> bytes:
    """The bytes of `fitted(n)`; many lives begin with the same ones."""
    return skops_artifacts.dump(fitted(n), name=name)


def fitted(n: int) -> Pipeline:
    """An estimator whose bytes differ for each number."""
    model = make_pipeline(SimpleImputer(), LogisticRegression(C=float(n)))
    return model.fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])


def configured(settings: Settings, folder: Path, *, high_risk: bool = False) -> Settings:
    """The same installation with configs of its own: a quick canary, approvers, an operator."""
    include = folder / "include"
    flight_configs(include)
    people = include / "configs" / "platform.yaml"
    people.write_text(
        "roles:\n  approver: [grace, heidi, ada]\n  operator: [olga]\n  decommissioner: [dora]\n"
    )
    path = include / "configs" / "models" / f"{MODEL}.yaml"
    lines = path.read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("canary:"))
    end = next(i for i in range(start + 1, len(lines)) if not lines[i].startswith("  "))
    canary = [
        "canary:",
        "  shares_bp: [500, 5000, 10000]",
        "  analysis_seconds: 1",
        "  lease_seconds: 20",
        "  min_step_subjects: 100",
        "  max_analyses: 3",
        "  metrics:",
        "    - {event: error, margin: 1.5, required: false}",
        "    - {event: wrong_label, margin: 1.1, min_subjects: 100}",
    ]
    text = "\n".join([*lines[:start], *canary, *lines[end:]]) + "\n"
    if high_risk:
        text = text.replace("risk_tier: limited", "risk_tier: high")
    path.write_text(text)
    return replace(settings, include=include)


@pytest.fixture
def world(settings: Settings, tmp_path: Path) -> "Callable[..., World]":
    """Builds the installation of one test."""
    opened: list[Installation] = []

    def build(*, high_risk: bool = False) -> World:
        platform = Installation(configured(settings, tmp_path, high_risk=high_risk))
        opened.append(platform)
        return World(platform, tier="high" if high_risk else "limited")

    yield build
    for platform in opened:
        platform.database.dispose()
