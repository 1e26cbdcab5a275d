"""Orders of a shop as the gate judged them: findings by hand, rows and quarantine files real."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from sqlalchemy import insert, select

from tenure.adapters.arrow_tables import write_quarantine
from tenure.adapters.sql import tables as t
from tenure.installation import Installation
from tenure.lifecycle.data.expectations import Expectation, allowed, observed_rows
from tenure.lifecycle.data.quality import Finding, QualityPolicy, judge, report
from tenure.verdicts import Severity
from tenure.vocabulary import RunRef

NASTY = '<script>document.title="owned"</script>'
"""A column's name, a value, a note."""

YAML = f"""\
name: orders
description: Orders of a shop {NASTY}
owner: ada
steward: sam
sensitivity: SENSITIVITY
time_column: at
suite: orders
quality: {{max_quarantined: 0.5, min_rows: 1}}
contract:
  key: [id]
  columns:
    id: {{type: string, nullable: false}}
    at: {{type: timestamp, nullable: false}}
    email: {{type: string, sensitivity: personal}}
    price: {{type: number, description: in euros}}
    '{NASTY}': {{type: string, description: what a stranger called it}}
"""


def suite(limit: float = 0.9) -> dict[str, Any]:
    """The steward's file; `limit` is the share of orders that need a price."""
    rules: list[tuple[str, dict[str, Any], str, str]] = [
        ("expect_table_row_count_to_be_between", {"min_value": 1}, "critical", ""),
        ("expect_column_values_to_not_be_null", {"column": "price", "mostly": limit}, "critical",
         f"Without a price nothing is sold {NASTY}"),
        ("expect_column_values_to_match_regex", {"column": "email", "regex": ".+@.+"}, "warning",
         ""),
        ("expect_column_values_to_be_in_set", {"column": NASTY, "value_set": ["a", NASTY]},
         "warning", ""),
        ("expect_column_mean_to_be_between", {"column": "price", "max_value": 100}, "info", ""),
    ]  # fmt: skip
    return {
        "name": "orders",
        "expectations": [
            {"type": kind, "kwargs": kwargs, "severity": severity}
            | ({"notes": notes} if notes else {})
            for kind, kwargs, severity, notes in rules
        ],
    }


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass
class Shop:
    """Writes validations of the dataset `orders` as the ingestion does."""

    platform: Installation
    folder: Path
    sensitivity: str = "internal"
    limit: float = 0.9

    def batch(
        self,
        name: str,
        *,
        no_price: int = 0,
        bad_email: int = 0,
        strange: int = 0,
        more: Sequence[Finding] = (),
    ) -> str:
        """Judge a batch of 40 rows with so many of each fault; returns its report's digest."""
        rows = 40
        table = pa.table(
            {
                "id": [f"{name}-{i}" for i in range(rows)],
                "email": [
                    "nobody" if i < bad_email else f"ada{i}@example.org" for i in range(rows)
                ],
                "price": [None if i < no_price else 9.5 + i for i in range(rows)],
                NASTY: [f"{NASTY}!" if i < strange else "a" for i in range(rows)],
                "smuggled": ["in no contract"] * rows,
            }
        )
        counts = {"price": no_price, "email": bad_email, NASTY: strange}
        findings = [*self.findings(rows, counts), *more]
        judgement = judge(rows, findings, QualityPolicy(max_quarantined=0.5))
        key = None
        if judgement.reasons:
            key = f"quarantine/orders/{name}/{digest(name)}.parquet"
            write_quarantine(table, judgement.reasons, self.folder / "rows")
            self.platform.store.put_file(key, self.folder / "rows")
        return self._record(name, judgement, key)

    def findings(self, rows: int, counts: dict[str, int]) -> list[Finding]:
        found = []
        for expectation in expectations(suite(self.limit)):
            broken = counts.get(expectation.subject, 0)
            by_row = "column_values" in expectation.type
            holds = not by_row or broken <= (1 - expectation.mostly) * rows
            if by_row:
                example = f"'{NASTY}'" if expectation.subject == NASTY else ""
                observed = observed_rows(expectation, broken=broken, total=rows, example=example)
            else:
                observed = "mean 29" if "mean" in expectation.type else f"{rows} rows"
            found.append(
                Finding(
                    expectation.type,
                    expectation.subject,
                    expectation.severity,
                    holds,
                    observed,
                    allowed(expectation),
                    range(broken) if by_row else (),
                    columns=expectation.columns,
                    value=broken / rows if by_row else 29.0 if "mean" in expectation.type else rows,
                    counts=(broken, rows) if by_row else None,
                )
            )
        return found

    def _record(self, name: str, judgement: Any, key: str | None) -> str:
        yaml = YAML.replace("SENSITIVITY", self.sensitivity)
        body = json.dumps(suite(self.limit))
        facts = {"suite": "orders", "source_key": f"landing/orders/{name}.parquet"}
        evidence = report("orders", name, judgement, facts)
        run = RunRef("orders__ingest_data", f"run-{name}", "ingest", 0)
        self.platform.reports.save(evidence, model=None, dataset="orders", run=run)
        with self.platform.database.begin() as connection:
            if connection.scalar(select(t.dataset).where(t.dataset.c.name == "orders")) is None:
                connection.execute(
                    insert(t.dataset).values(
                        name="orders", owner="ada", steward="sam", sensitivity=self.sensitivity
                    )
                )
            self._remember(connection, t.suite_revision, body, name="orders")
            self._remember(connection, t.config_revision, yaml, name="orders", kind="dataset")
            snapshot = None
            if judgement.verdict == "passed":
                snapshot = connection.scalar(
                    insert(t.snapshot)
                    .values(
                        dataset="orders",
                        batch=name,
                        digest=digest(f"snapshot {name}"),
                        rows=judgement.rows_ok,
                        manifest_digest=digest("manifest"),
                        suite_digest=digest(body),
                    )
                    .returning(t.snapshot.c.id)
                )
            connection.execute(
                insert(t.validation).values(
                    dataset="orders",
                    batch=name,
                    source_key=f"landing/orders/{name}.parquet",
                    source_digest=digest(f"{name}{evidence.digest}"),
                    suite_digest=digest(body),
                    config_digest=digest(yaml),
                    verdict=str(judgement.verdict),
                    rows_in=judgement.rows_in,
                    rows_ok=judgement.rows_ok,
                    rows_quarantined=judgement.rows_quarantined,
                    quarantine_key=key,
                    snapshot_id=snapshot,
                    report_digest=evidence.digest,
                )
            )
        return evidence.digest

    def _remember(self, connection: Any, table: Any, body: str, **values: str) -> None:
        known = connection.scalar(select(table.c.digest).where(table.c.digest == digest(body)))
        if known is None:
            connection.execute(insert(table).values(digest=digest(body), body=body, **values))


def expectations(body: dict[str, Any]) -> list[Expectation]:
    return [
        Expectation(str(n), e["type"], e["kwargs"], Severity(e["severity"]))
        for n, e in enumerate(body["expectations"])
    ]
