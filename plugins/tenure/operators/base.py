"""What every Tenure task does around its work: settings, a failure card, words in the log."""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, ParamsDict
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSkipException,
    AirflowTaskTerminated,
    AirflowTaskTimeout,
    DagRunTriggerException,
    DownstreamTasksSkipped,
)

from tenure.airflow_settings import settings_from_airflow
from tenure.errors import TenureError
from tenure.installation import SystemClock
from tenure.links.evidence import MlflowRunLink, ReportLink
from tenure.vocabulary import RunRef

if TYPE_CHECKING:
    from airflow.sdk import BaseOperatorLink, Context

    from tenure.installation import Installation
    from tenure.lifecycle.incidents.failure_card import FailureCard

LOG_WIDTH = 100
"""The log view cuts longer lines at the window's edge."""

_log = logging.getLogger("tenure.task")
_SIGNALS = (
    AirflowSkipException,
    AirflowRescheduleException,
    DagRunTriggerException,
    DownstreamTasksSkipped,
)
"""Airflow's own ways of saying something that is no failure."""


class TaskFailed(AirflowFailException):
    """A TenureError that trying again cannot heal; its card is stored."""

    def __init__(self, message: str, card: FailureCard) -> None:
        super().__init__(message)
        self.card = card


class TaskMayRetry(AirflowException):
    """A TenureError that may heal by itself; its card is stored."""

    def __init__(self, message: str, card: FailureCard) -> None:
        super().__init__(message)
        self.card = card


class TenureOperator(BaseOperator):
    """Base of all operators; a subclass implements `work` and nothing of what goes wrong.

    Args:
        model: The model that the task is about, if any.
        dataset: The dataset that the task is about, if any.
    """

    operator_extra_links: tuple[BaseOperatorLink, ...] = (ReportLink(), MlflowRunLink())
    connected: tuple[Installation, RunRef] | None = None
    """Set while the task runs, for its links."""
    member: str = ""
    """What this copy of the task is at; a green run of it repairs red ones of earlier runs."""

    def __init__(self, *, model: str | None = None, dataset: str | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        # The form is the DAG's; Airflow would validate a copy in every task whenever it parses.
        self.params: ParamsDict = ParamsDict.filter_params_by_source(self.params, source="task")
        self.model = model
        self.dataset = dataset

    def work(self, platform: Installation, run: RunRef, context: Context) -> object:
        """Do the work and return ids and digests for XCom, or raise a TenureError."""
        raise NotImplementedError

    def execute(self, context: Context) -> object:
        """Connect, work, and explain what goes wrong."""
        with explained(context, model=self.model, dataset=self.dataset):
            platform, run = open_platform(), run_ref(context)
            self.connected = (platform, run)
            return self.work(platform, run, context)


def open_platform() -> Installation:
    """The installation that Airflow's connections name."""
    from tenure.installation import Installation

    return Installation(settings_from_airflow())


def run_ref(context: Context) -> RunRef:
    """The running task; `user` is who triggered the run, None for schedules and assets."""
    ti = context["ti"]
    return RunRef(
        dag_id=ti.dag_id,
        run_id=ti.run_id,
        task_id=ti.task_id,
        map_index=-1 if ti.map_index is None else ti.map_index,
        user=getattr(context.get("dag_run"), "triggering_user_name", None),
    )


@contextmanager
def explained(
    context: Context, *, model: str | None = None, dataset: str | None = None
) -> Iterator[None]:
    """Turn whatever is raised inside into a failure card, short ERROR lines and a failed task.

    For `execute` of operators that cannot subclass TenureOperator, and for `execute_complete`.
    Deferral, waiting for a person and skipping pass untouched. A retryable TenureError lets Airflow
    try again; any other fails at once. An unexpected error keeps its traceback and its retries.
    """
    try:
        yield
    except (*_SIGNALS, TaskFailed, TaskMayRetry):
        raise
    except TenureError as error:
        card = _report(error, context, model, dataset)
        outcome = TaskMayRetry if error.retryable else TaskFailed
        raise outcome(_short(f"{card.kind}: {card.what}"), card) from None
    except (Exception, AirflowTaskTimeout, AirflowTaskTerminated) as error:
        error.card = _report(error, context, model, dataset)  # type: ignore[union-attr]
        raise


def log_lines(text: str, width: int = LOG_WIDTH) -> list[str]:
    """The text as lines of at most `width` characters; its own line breaks are kept.

    >>> log_lines("a b", width=2)
    ['a', 'b']
    """
    return [
        line
        for paragraph in text.splitlines()
        for line in textwrap.wrap(paragraph, width, break_on_hyphens=False)
    ]


def _report(
    error: BaseException, context: Context, model: str | None, dataset: str | None
) -> FailureCard:
    """Words into the log first: they need nothing but this process."""
    from tenure.lifecycle.incidents.failure_card import describe

    ti, task = context["ti"], context["ti"].task
    card = describe(
        error,
        model=model or getattr(task, "model", None),
        dataset=dataset or getattr(task, "dataset", None),
        owner=str(getattr(task, "owner", "") or ""),
        log_url=str(getattr(ti, "log_url", "") or ""),
        try_number=int(getattr(ti, "try_number", 1) or 1),
        tries=int(getattr(ti, "max_tries", 0) or 0) + 1,
        next_try_at=_next_try(error, ti, task),
        host=str(getattr(ti, "hostname", "") or ""),
        at=SystemClock().now(),
    )
    for paragraph in card.lines():
        for line in log_lines(paragraph):
            _log.error(line)
    _store(card, context)
    return card


def _next_try(error: BaseException, ti: Any, task: Any) -> datetime | None:
    """When Airflow has tried again at the latest, by itself; None when it does not.

    Source: `TaskInstance.next_retry_datetime` of Airflow 3: with a multiplier between once and
    twice `retry_delay * multiplier^(try - 1)`, at most `max_retry_delay`.
    """
    may_heal = error.retryable if isinstance(error, TenureError) else True
    server = getattr(ti, "_ti_context_from_server", None)
    tries_left = int(getattr(ti, "try_number", 1) or 1) <= int(getattr(ti, "max_tries", 0) or 0)
    if not may_heal or not bool(getattr(server, "should_retry", tries_left)):
        return None
    if isinstance(error, AirflowTaskTerminated | AirflowFailException):
        return None
    delay: timedelta = getattr(task, "retry_delay", timedelta(minutes=5))
    multiplier = float(getattr(task, "retry_exponential_backoff", 0) or 0)
    if multiplier not in {0.0, 1.0}:
        delay = min(delay * 2 * multiplier ** (ti.try_number - 1), timedelta(days=1))
        delay = min(delay, getattr(task, "max_retry_delay", None) or delay)
    return SystemClock().now() + delay


def _store(card: FailureCard, context: Context) -> None:
    from tenure.usecases.incidents.failure_cards import save

    try:
        platform = open_platform()  # a connection of its own: the task's may be what broke
        try:
            item = str(getattr(context["ti"].task, "member", "") or "")
            save(platform, card, run_ref(context), item=item)
        finally:
            platform.database.dispose()
    except Exception as error:  # the cause must stay the task's own, not that of its card
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        _log.warning(_short(f"The failure card was not stored: {reason}"))


def _short(text: str) -> str:
    return textwrap.shorten(" ".join(text.split()), LOG_WIDTH, placeholder=" …")
