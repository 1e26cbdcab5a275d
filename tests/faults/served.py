"""A model with real artifacts in a real database, and a real gateway process that serves it."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from version_rows import facts
from waiting import wait_for

from tenure.installation import Installation
from tenure.settings import REPOSITORY
from tenure.vocabulary import State, VersionRef

MODEL = "flight_late"


class Life:
    """A model with real artifacts in a real database, and the plans that serve them."""

    def __init__(self, platform: Installation, *, numeric: int = 2, trees: int = 5) -> None:
        from tenure.adapters.sql import versions

        self.platform = platform
        self.numeric = [f"n{i}" for i in range(numeric)]
        self.categorical = ["carrier"]
        self.trees = trees
        with platform.database.begin() as c:
            versions.register_model(c, name=MODEL, owner="ada", risk_tier="limited", purpose="t")

    def approved(self, seed: int, *, estimator: Any = None) -> VersionRef:
        """Sign, register and approve a version: `estimator`, or what is trained here."""
        from tenure.adapters.sql import approvals, versions
        from tenure.layout import artifact_key
        from tenure.lifecycle.promotion.approval import (
            ApprovalAnswer,
            Choice,
            evidence_digest,
        )
        from tenure.usecases.promotion import authority
        from tenure.vocabulary import digest_bytes

        artifact = self._train(seed) if estimator is None else dumped(estimator)
        digest = digest_bytes(artifact)
        self.platform.store.put(artifact_key(digest), artifact)
        with self.platform.database.begin() as c:
            ref = versions.create_draft(
                c, model_name=MODEL, trained_by="ada", training_key=f"{seed:064}"
            )
            stated = facts(
                features={
                    "numeric": self.numeric,
                    "categorical": self.categorical,
                    "dates": [],
                },
                categories={"carrier": ["AA", "UA"]},
                ranges={name: [0.0, 1.0] for name in self.numeric},
            )
            digests = ("data", "suite", "code", "config", "lock")
            described = {f"{name}_digest": f"{seed:064}" for name in digests}
            described["mlflow_run_id"] = f"run{seed}"
            versions.set_columns(c, ref.id, facts=stated, **described)
        self.train(ref, artifact_digest=digest)
        reports = {"evaluation": "e" * 64, "bias": "b" * 64}
        self.move(ref, State.VALIDATED, **{f"{kind}_report": one for kind, one in reports.items()})
        with self.platform.database.begin() as c:
            by = authority.in_force(self.platform, c, seen_by="t")
            until = datetime.now(tz=UTC) + timedelta(days=1)
            evidence = evidence_digest(artifact=digest, **reports)
            given = ApprovalAnswer("grace", Choice.APPROVE, digest, evidence, until)
            row = approvals.ApprovalRow.of(ref, given, "")
            said = {"row": row.digest, "platform": by.digest}
            self.platform.ledger.note(
                c, subject=row.subject, actor="grace", body=said, op_key=row.digest
            )
            approvals.record(c, row)
        self.move(ref, State.APPROVED)
        return ref

    def train(self, ref: VersionRef, **columns: Any) -> None:
        """Move the draft to trained, with the signature over what it is then."""
        from tenure.adapters.signing import Signer
        from tenure.adapters.sql import versions
        from tenure.lifecycle.training.registry import statement_bytes

        with self.platform.database.begin() as c:
            stored = versions.row_by_id(c, ref.id)
        changed = {"facts_json" if name == "facts" else name: columns[name] for name in columns}
        row = replace(stored, **changed)
        signature = Signer(self.platform.settings.signing_key).sign(statement_bytes(row))
        self.move(ref, State.TRAINED, **columns, signature=signature)

    def large(self, seed: int, ballast: Any) -> VersionRef:
        """A version that carries an array beside what it scores by."""
        estimator = self.fitted(seed)
        estimator.ballast_ = ballast
        return self.approved(seed, estimator=estimator)

    def successor(self, champion: VersionRef, seed: int) -> VersionRef:
        """A new champion in place of this one."""
        ref = self.approved(seed)
        self.publish(champion, ref, share_bp=500, lease_seconds=60, moves=[(ref, State.CANARY)])
        self.publish(ref, moves=[(champion, State.SUPERSEDED), (ref, State.CHAMPION)])
        return ref

    def move(self, ref: VersionRef, dst: State, **columns: Any) -> None:
        with self.platform.database.begin() as c:
            self.move_in(c, ref, dst, **columns)

    def move_in(self, c: Any, ref: VersionRef, dst: State, **columns: Any) -> None:
        from tenure.adapters.sql import versions

        current = versions.get_by_id(c, ref.id)
        key = f"{ref.id} {dst} {current.generation}"
        self.platform.ledger.move(c, current, dst, actor="t", body={}, op_key=key, columns=columns)

    def state(self, version: int) -> str:
        """The state of a version as the database has it now."""
        query = f"SELECT state FROM model_version WHERE version = {version:d}"
        with self.platform.database.begin() as c:
            return str(c.exec_driver_sql(query).scalar_one())

    def publish(
        self,
        champion: VersionRef,
        canary: VersionRef | None = None,
        *,
        share_bp: int = 0,
        lease_seconds: int | None = None,
        authorized: timedelta = timedelta(hours=12),
        moves: Sequence[tuple[VersionRef, State]] = (),
    ) -> None:
        """The next plan, with the moves that belong to it in the same transaction."""
        from tenure.adapters.sql import plans as sql_plans

        with self.platform.database.begin() as c:
            for ref, dst in moves:
                self.move_in(c, ref, dst)
            seen = sql_plans.newest(c, MODEL)
            sql_plans.publish(
                c,
                self.platform.ledger,
                model=MODEL,
                seen=seen,
                fence=seen.fence if seen else 1,
                champion_id=champion.id,
                canary_id=canary.id if canary else None,
                share_bp=share_bp,
                salt="salt",
                lease_seconds=lease_seconds,
                champion_until=datetime.now(tz=UTC) + authorized,
                canary_until=datetime.now(tz=UTC) + authorized if canary else None,
                now=datetime.now(tz=UTC),
                reason="test",
                actor="t",
            )

    def champion(self, seed: int = 1) -> VersionRef:
        """Approve a first version and give it all traffic."""
        ref = self.approved(seed)
        self.publish(ref, moves=[(ref, State.CHAMPION)])
        return ref

    def example(self, number: int) -> dict[str, Any]:
        """Body of a request whose id and subject carry the number."""
        values = {name: ((number * 37 + i * 11) % 100) / 100 for i, name in enumerate(self.numeric)}
        inputs: list[dict[str, Any]] = [
            {"name": name, "shape": [1], "datatype": "FP64", "data": [value]}
            for name, value in values.items()
        ]
        inputs.append(
            {
                "name": "carrier",
                "shape": [1],
                "datatype": "BYTES",
                "data": ["AA", "UA"][number % 2 :][:1],
            }
        )
        return {
            "id": f"r{number}",
            "parameters": {"subject": f"s{number}", "event_time": "2013-07-01T09:00:00Z"},
            "inputs": inputs,
        }

    def fitted(self, seed: int, kind: str = "hist_gradient_boosting") -> Any:
        """What a training of this kind gives."""
        import numpy as np
        import pandas as pd

        from tenure.adapters import sklearn_trainer

        boosting = kind == "hist_gradient_boosting"
        rng = np.random.default_rng(seed)
        frame = pd.DataFrame({name: rng.random(400) for name in self.numeric})
        frame["carrier"] = rng.choice(["AA", "UA"], 400).astype(object)
        labels = frame[self.numeric[0]].to_numpy() + rng.normal(0, 0.3, 400) > 0.5
        estimator = sklearn_trainer.build(
            kind,
            {"max_iter": self.trees, "max_leaf_nodes": 15} if boosting else {},
            numeric=self.numeric,
            categorical=self.categorical,
            seed=seed,
        )
        return sklearn_trainer.fit(estimator, frame, labels)

    def _train(self, seed: int) -> bytes:
        return dumped(self.fitted(seed))


def dumped(estimator: Any) -> bytes:
    """The artifact of a fitted estimator."""
    from tenure.adapters import skops_artifacts

    return skops_artifacts.dump(estimator, name="t")


class Process:
    """A real gateway process."""

    def __init__(self, platform: Installation, *, env: Mapping[str, str] | None = None) -> None:
        settings = platform.settings
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        main = "from tenure.cli import main; main()"
        self.command = [sys.executable, "-c", main, "serve", "--port"]
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith("TENURE_")},
            "PYTHONPATH": str(REPOSITORY / "plugins"),
            "TENURE_HOME": str(settings.home),
            "TENURE_INCLUDE": str(settings.include),
            "TENURE_DATABASE_URL": settings.database_url,
            "TENURE_STORE_URL": settings.store_url,
            **(env or {}),
        }
        self.log = settings.home / "gateway.log"
        self.popen: subprocess.Popen[bytes] | None = None

    def start(self, healthy: str = "/v2/health/ready") -> None:
        """Start and wait until it says that it is healthy."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self.popen = subprocess.Popen(
                [*self.command, str(self.port)],
                env=self.env,
                stdout=output,
                stderr=output,
            )
        wait_for(lambda: self.get(healthy) == 200)

    def command_line(self, *words: str, **env: str) -> "subprocess.CompletedProcess[str]":
        """A `tenure` command that a person gives beside the gateway; no Airflow anywhere."""
        return subprocess.run(
            [*self.command[:3], *words],
            env={k: v for k, v in self.env.items() if not k.startswith("AIRFLOW_")} | env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def get(self, path: str) -> int:
        """Status, or 0 when nobody answers."""
        assert self.popen is not None
        if self.popen.poll() is not None:
            raise AssertionError(f"the gateway ended:\n{self.log.read_text()[-3000:]}")
        try:
            return httpx.get(self.url + path, timeout=2).status_code
        except httpx.HTTPError:
            return 0

    def kill(self) -> None:
        """kill -9."""
        assert self.popen is not None
        self.popen.kill()
        self.popen.wait()

    def stop(self) -> int:
        """Ctrl-C: without the time in which balancers notice; returns the exit code."""
        return self._told(signal.SIGINT)

    def drain(self) -> int:
        """SIGTERM; returns the exit code."""
        return self._told(signal.SIGTERM)

    def _told(self, number: signal.Signals) -> int:
        assert self.popen is not None
        self.popen.send_signal(number)
        return self.popen.wait(120)

    def close(self) -> None:
        if self.popen is not None and self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
