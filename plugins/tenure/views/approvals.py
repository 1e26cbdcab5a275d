"""What an approver reads in Airflow's required action: the evidence, as Markdown."""

import html
from collections.abc import Mapping
from typing import Any

from tenure.config import ModelConfig
from tenure.layout import mlflow_link
from tenure.lifecycle.promotion.approval import ApprovalQuestion
from tenure.lifecycle.training.registry import onnx_facts
from tenure.verdicts import Report

SHOWN = 20
"""Checks of a report that the page lists before it says how many more there are."""


def page(
    config: ModelConfig,
    row: Mapping[str, Any],
    question: ApprovalQuestion,
    shown: Mapping[str, Mapping[str, Any] | None],
    *,
    mlflow_url: str,
) -> str:
    """Markdown of one seat's window.

    Args:
        config: The model's config.
        row: The version row, with its digests.
        question: What is asked.
        shown: Title to body of each report, None where it cannot be found.
        mlflow_url: Where MLflow answers people.
    """
    head = [
        f"**{_text(config.purpose)}**",
        "",
        f"Risk tier {config.risk_tier}: {question.quorum} distinct approver(s). Trained by "
        f"`{_text(question.trained_by)}`, who may not answer. An approval holds "
        f"{config.approval.valid_days} days and only for this artifact.",
    ]
    for title, body in shown.items():
        head += ["", *_evidence(title, body)]
    digests = ("artifact", "data", "suite", "code", "config", "lock")
    head += ["", "| digest of | SHA-256 |", "|---|---|"]
    head += [f"| {name} | `{row[f'{name}_digest'] or 'none'}` |" for name in digests]
    onnx = onnx_facts(row)
    head += [f"| ONNX file | `{_text(onnx['digest'])}` |"] if onnx else []
    head += [f"| evidence | `{question.evidence}` |"]
    if row["mlflow_run_id"]:
        link = mlflow_link(mlflow_url, row["mlflow_run_id"])
        head += ["", f"[MLflow run]({link})"]
    return "\n".join(head)


def _evidence(title: str, body: Mapping[str, Any] | None) -> list[str]:
    if body is None:
        return [f"**{title}**: the report cannot be found; do not approve without it."]
    report = Report.from_dict(body)
    checks = report.checks
    lines = [f"**{title}: {report.verdict}**. {_text(report.summary)}"]
    if checks:
        lines += ["", "| check | verdict | observed | allowed |", "|---|---|---|---|"]
        lines += [
            f"| {_text(c.name)} {_text(c.subject)} | {c.verdict} | {_text(c.observed)} | "
            f"{_text(c.allowed)} |"
            for c in checks[:SHOWN]
        ]
    if len(checks) > SHOWN:
        lines += ["", f"and {len(checks) - SHOWN} more checks in the report."]
    return lines


def _text(value: object) -> str:
    """A value inside Markdown: no markup, no table cell of its own, no link."""
    text = html.escape(" ".join(str(value).split()))
    return "".join(f"\\{c}" if c in "\\`*_[]()|#!~" else c for c in text)
