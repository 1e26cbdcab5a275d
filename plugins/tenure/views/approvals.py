"""What an approver reads in Airflow's required action: the evidence, as Markdown."""

import html
from collections.abc import Mapping, Sequence
from datetime import datetime

from tenure.config import ModelConfig
from tenure.errors import ReasonMissing
from tenure.installation import Installation
from tenure.layout import approval_link, mlflow_link
from tenure.lifecycle.incidents.failure_card import FAILURE_STAGE, FailureCard
from tenure.lifecycle.model_version import VersionRow
from tenure.lifecycle.promotion.approval import ApprovalQuestion
from tenure.settings import Settings
from tenure.verdicts import Report
from tenure.vocabulary import RunRef

SHOWN = 20
"""Checks of a report that the page lists before it says how many more there are."""


def asked_again(platform: Installation, run: RunRef) -> str:
    """Markdown above a question whose last answer lacked its reason; empty for any other."""
    from tenure.adapters.sql import reports

    with platform.database.begin() as connection:
        rows = reports.of_run(connection, run.dag_id, run.run_id)
    own = [
        FailureCard.from_facts(row.report.facts)
        for row in rows
        if (row.stage, row.task_id, row.map_index) == (FAILURE_STAGE, run.task_id, run.map_index)
    ]
    if not own or own[0].kind != ReasonMissing.__name__:
        return ""
    return f"**Asked again.** {_text(own[0].what)} This time write a text in *Reason*.\n\n"


def page(
    config: ModelConfig,
    row: VersionRow,
    question: ApprovalQuestion,
    shown: Mapping[str, Report | None],
    *,
    first: Sequence[str] = (),
    settings: Settings,
) -> str:
    """Markdown of one seat's window.

    Args:
        config: The model's config.
        row: The version row, with its digests.
        question: What is asked.
        shown: Title to each report, None where it cannot be found.
        first: What is to be read before anything else.
        settings: Where Airflow and MLflow answer people.
    """
    read = approval_link(settings.airflow_url, row.model, row.version)
    head = [
        f"[Read the approval page of {_text(row.name)}]({read}): the champion beside it, what "
        "changed, groups worst first. *Reject* needs a reason, and so does a lowered gate.",
        "",
        *_first(first),
        f"**{_text(config.purpose)}**",
        "",
        f"Risk tier {config.risk_tier}: {question.quorum} distinct approver(s). Trained by "
        f"{_text(question.trained_by)}, who may not answer. An approval holds "
        f"{config.approval.valid_days} days and only for this artifact.",
    ]
    for title, report in shown.items():
        head += ["", *_evidence(title, report)]
    digests = {
        "artifact": row.artifact_digest,
        "data": row.data_digest,
        "suite": row.suite_digest,
        "code": row.code_digest,
        "config": row.config_digest,
        "lock": row.lock_digest,
    }
    head += ["", "| digest of | SHA-256 |", "|---|---|"]
    head += [f"| {name} | `{digest or 'none'}` |" for name, digest in digests.items()]
    onnx = row.facts.onnx_file
    head += [f"| ONNX file | `{onnx.digest}` |"] if onnx else []
    head += [f"| evidence | `{question.evidence}` |"]
    if row.mlflow_run_id:
        link = mlflow_link(settings.mlflow_url, row.mlflow_run_id)
        head += ["", f"[MLflow run]({link})"]
    return "\n".join(head)


def renewal_page(
    config: ModelConfig,
    row: VersionRow,
    question: ApprovalQuestion,
    until: datetime | None,
    approvals: Sequence[tuple[str, datetime]],
    *,
    settings: Settings,
) -> str:
    """Markdown of one seat's window when a version that serves is to be renewed.

    Args:
        config: The model's config.
        row: The version row.
        question: What is asked.
        until: End of the authorization, None when there is none.
        approvals: Each approver with the end that she gave.
        settings: Where Airflow answers people.
    """
    read = approval_link(settings.airflow_url, row.model, row.version)
    ends = f"until {until:%Y-%m-%d %H:%M} UTC" if until else "for nothing that it is now"
    lines = [
        f"[Read the approval page of {_text(row.name)}]({read}). *Reject* needs a reason.",
        "",
        f"**{_text(config.purpose)}**",
        "",
        f"{_text(row.name)} is {row.state} and authorized {ends}. Nothing of it has changed: "
        f"artifact `{question.artifact}`, evidence `{question.evidence}`. On the Tenure page of "
        "the model are its reports, its monitoring results and open incidents: read them first.",
        "",
        f"Risk tier {config.risk_tier}: {question.quorum} distinct approver(s). An approval holds "
        f"{config.approval.valid_days} days. Reject leaves the authorization to its end.",
        "",
    ]
    return "\n".join([*lines, *(f"- {_text(who)} until {end:%Y-%m-%d}" for who, end in approvals)])


def _first(said: Sequence[str]) -> list[str]:
    if not said:
        return []
    return ["**Read this first**", "", *(f"- {_text(one)}." for one in said), ""]


def _evidence(title: str, report: Report | None) -> list[str]:
    if report is None:
        return [f"**{title}**: the report cannot be found; do not approve without it."]
    lines = [f"**{title}: {report.verdict}**. {_text(report.summary)}"]
    checks = report.checks
    if checks:
        lines += ["", "| check | verdict | observed | allowed |", "|---|---|---|---|"]
        lines += [
            f"| {_text(c.name)} {_text(c.subject)} | {c.verdict} | "
            f"{_text(c.observed)} | {_text(c.allowed)} |"
            for c in checks[:SHOWN]
        ]
    if len(checks) > SHOWN:
        lines += ["", f"and {len(checks) - SHOWN} more checks in the report."]
    return lines


def _text(value: object) -> str:
    """A value inside Markdown: no markup, no table cell of its own, no link."""
    text = html.escape(" ".join(str(value).split()))
    return "".join(f"\\{c}" if c in "\\`*_[]()|#!~" else c for c in text)
