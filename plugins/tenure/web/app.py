"""The pages, mounted at `/tenure` in Airflow's API server: they read, other files act."""

from __future__ import annotations

import gc
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from pydantic import AfterValidator
from sqlalchemy.exc import SQLAlchemyError

from tenure.airflow_settings import settings_from_airflow
from tenure.errors import ServiceUnreachable, TenureError
from tenure.installation import Installation
from tenure.layout import INGEST_DATA, PROMOTE_MODEL, TRAIN_MODEL, dag_id, parse_dag_id
from tenure.lifecycle.incidents.failure_card import describe
from tenure.usecases.promotion.approval_question import cautions
from tenure.views import health, lineage, models, serving, tasks, versions
from tenure.views.approval_page import approval_page, version_of_run
from tenure.views.canary import canary_page
from tenure.views.datasets import dataset_page
from tenure.views.decision_map import decision_map
from tenure.views.feedback import feedback_page
from tenure.views.incidents import allowed, may_act
from tenure.views.monitoring import glances, monitoring_page
from tenure.views.promise import promise_page
from tenure.views.quarantine import open_releases
from tenure.views.validations import validation_page
from tenure.views.workbench import unanswered, workbench_page
from tenure.vocabulary import NAME, Role, RunRef, is_id
from tenure.web.canary import canary_routes
from tenure.web.feedback import feedback_routes
from tenure.web.incidents import Number, action_routes, shown
from tenure.web.quarantine import quarantine_routes
from tenure.web.rendering import HERE, render
from tenure.web.reviews import actions, measured, visible, with_features
from tenure.web.runbook import runbook
from tenure.web.security import (
    Guard,
    GuardDep,
    SessionDep,
    airflow_signs,
    is_running,
    open_windows,
    signed_in,
    task_status,
)
from tenure.web.workbench import workbench_routes

logger = logging.getLogger(__name__)

PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; frame-src 'self'; frame-ancestors 'self'; base-uri 'none'; "
    "form-action 'none'"
)
DRAWN_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data:; font-src data:"
)
"""A drawn report may run its own plots and reach nothing: no cookie, no parent, no network."""
DOCS_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'"
"""Data Docs need no script, so theirs may not even run."""
STATIC = {
    "tenure.css": "text/css",
    "tenure.js": "text/javascript",
    "icon.svg": "image/svg+xml",
    "icon-dark.svg": "image/svg+xml",
}
_DIGEST = re.compile(r"[0-9a-f]{12,64}")
"""A digest, or enough of its beginning to be the only one."""
_UNFINISHED = frozenset({"retrying", "waiting", "running"})
"""Moods of a task of which more will be said without anybody doing anything on this page."""
_NUMBER = re.compile(r"[1-9]\d{0,8}")
Named = Annotated[str, AfterValidator(measured(NAME))]
_HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}


@cache
def platform() -> Installation:
    """One for the process: it holds the pool of database connections.

    What the process has loaded by now stays loaded. To walk all of it again and again held up one
    page in fifteen by a third of a second (benchmarks/pages.py), so the collector leaves it alone.
    """
    gc.collect()
    gc.freeze()
    return Installation(settings_from_airflow())


def build() -> FastAPI:
    """The application; `signed_in` guards every route that it has or will have."""
    app = FastAPI(
        title="Tenure", dependencies=[signed_in], openapi_url=None, docs_url=None, redoc_url=None
    )
    app.get("/", response_class=HTMLResponse)(index)
    app.get("/card", response_class=HTMLResponse)(card)
    app.get("/model/{name}", response_class=HTMLResponse)(model)
    app.get("/model/{name}/monitoring", response_class=HTMLResponse)(monitoring)
    app.get("/model/{name}/canary", response_class=HTMLResponse)(canary)
    app.get("/model/{name}/decisions", response_class=HTMLResponse)(decisions)
    app.get("/model/{name}/feedback", response_class=HTMLResponse)(feedback)
    app.get("/model/{name}/version/{number}", response_class=HTMLResponse)(version)
    app.get("/model/{name}/version/{number}/approval", response_class=HTMLResponse)(approval)
    app.get("/model/{name}/version/{number}/evidence.json")(version_evidence)
    app.get("/model/{name}/version/{number}/lineage", response_class=HTMLResponse)(version_lineage)
    app.get("/dataset/{name}", response_class=HTMLResponse)(dataset)
    app.get("/dataset/{name}/snapshot/{digest}", response_class=HTMLResponse)(snapshot_lineage)
    app.get("/dataset/{name}/workbench", response_class=HTMLResponse)(workbench)
    app.get("/report/{digest}", response_class=HTMLResponse)(report)
    app.get("/report/{digest}/drawn")(drawn)
    app.get("/promise", response_class=HTMLResponse)(promise)
    app.get("/reviews", response_class=HTMLResponse)(review_queue)
    app.get("/incident/{number}", response_class=HTMLResponse)(incident)
    app.get("/runbook", response_class=HTMLResponse)(runbook_page)
    app.include_router(actions(platform))
    app.include_router(action_routes(platform))
    app.include_router(canary_routes(platform))
    app.include_router(feedback_routes(platform))
    app.include_router(workbench_routes(platform))
    app.include_router(quarantine_routes(platform))
    app.get("/static/{name}")(static)
    app.add_exception_handler(TenureError, _explain)
    app.add_exception_handler(SQLAlchemyError, _explain_airflow)
    app.add_exception_handler(Exception, _explain_bug)
    app.add_exception_handler(RequestValidationError, _refuse)
    return app


def index(request: Request, guard: GuardDep, session: SessionDep) -> HTMLResponse:
    """What needs a person, what is silent, then models and datasets that the user may see."""
    guard.require(None)
    seen = models.overview(platform())
    hidden = {m.name for m in seen.models if not guard.allows(dag_id(m.name, TRAIN_MODEL))}
    shown = [m for m in seen.models if m.name not in hidden]
    incidents = [i for i in seen.incidents if not any(i.concerns(name) for name in hidden)]
    waiting = visible(platform(), guard)[1]
    signs = health.life_signs(platform(), airflow_signs(session))
    proposals = _of_datasets(guard, unanswered(platform()))
    releases = _of_datasets(guard, open_releases(platform()))
    now = platform().clock.now()
    waiting_for = [i for i in incidents if i.needs_person(now)]
    of_data = sum(proposals.values()) + sum(releases.values())
    asked = waiting + of_data + sum(m.asks_for_approval for m in shown)
    persons = len(waiting_for) + asked
    return _page(
        request,
        "index.html",
        models=shown,
        datasets=[d for d in seen.datasets if guard.allows(dag_id(d.name, INGEST_DATA))],
        incidents=incidents,
        waiting=waiting,
        proposals=proposals,
        releases=releases,
        partly_usable=seen.partly_usable,
        glances=glances(platform()),
        signs=signs,
        verdict=health.verdict(signs, now=now, persons=persons),
        live=is_running(session) or any(sign.state(now) == "failed" for sign in signs),
    )


def model(request: Request, guard: GuardDep, session: SessionDep, name: str) -> HTMLResponse:
    """One model in full."""
    if not is_id(name):
        return _absent(request, "model", name)
    guard.require(dag_id(name, TRAIN_MODEL))
    found = models.model_page(platform(), name)
    if found is None:
        return _absent(request, "model", name)
    live = is_running(session, name)
    return _page(request, "model.html", page=found, model=found.overview, live=live)


def monitoring(  # noqa: PLR0917 -- the query's names
    request: Request,
    guard: GuardDep,
    session: SessionDep,
    name: str,
    window: Named = "",
    numbers: Named = "",
) -> HTMLResponse:
    """What monitoring found of a model, on one time axis.

    With `window` that one in full, with `numbers` a plot's as a table: all at once are too much.
    """
    if not is_id(name):
        return _absent(request, "model", name)
    guard.require(dag_id(name, TRAIN_MODEL))
    number = int(window) if _NUMBER.fullmatch(window) else None
    found = monitoring_page(platform(), name, number)
    if found is None:
        return _absent(request, "model", name)
    live = is_running(session, name)
    return _page(
        request, "monitoring.html", page=found, asked=window, listed_key=numbers, live=live
    )


def promise(request: Request, guard: GuardDep, model: Named = "") -> HTMLResponse:
    """The budget of pages, how many were sent, and what is promised of the streams of a model."""
    guard.require(None)

    def may_see(name: str) -> bool:
        return guard.allows(dag_id(name, TRAIN_MODEL))

    return _page(request, "promise.html", page=promise_page(platform(), model, may_see))


def canary(request: Request, guard: GuardDep, name: str, version: Named = "") -> HTMLResponse:
    """A canary, by default the newest of the model; fetched again and again while it runs."""
    if not is_id(name):
        return _absent(request, "model", name)
    guard.require(dag_id(name, TRAIN_MODEL))
    number = int(version) if _NUMBER.fullmatch(version) else None
    found = canary_page(platform(), name, number)
    if found is None and (version or models.model_page(platform(), name) is None):
        return _absent(request, "canary" if version else "model", f"{name} {version}".strip())
    return _page(
        request,
        "canary.html",
        model=name,
        page=found,
        may_act=allowed(platform(), guard.user, [Role.OPERATOR]),
        user=guard.user,
        live=found is not None and found.is_running,
    )


def decisions(request: Request, guard: GuardDep, name: str) -> HTMLResponse:
    """The decision map of a model: who decides what, where people come in, and by which SOP."""
    if not is_id(name):
        return _absent(request, "model", name)
    guard.require(dag_id(name, TRAIN_MODEL))
    found = decision_map(platform(), name)
    if found is None:
        return _absent(request, "model", name)
    return _page(request, "decisions.html", page=found)


def feedback(
    request: Request, guard: GuardDep, session: SessionDep, name: str, decision: Named = ""
) -> HTMLResponse:
    """What people think of a model's decisions; with `decision`, the form names that one."""
    if not is_id(name):
        return _absent(request, "model", name)
    guard.require(dag_id(name, TRAIN_MODEL))
    found = feedback_page(platform(), name)
    if found is None:
        return _absent(request, "model", name)
    may_give = allowed(platform(), guard.user, [Role.OPERATOR])
    live = is_running(session, name)
    return _page(request, "feedback.html", page=found, asked=decision, may_give=may_give, live=live)


def version(request: Request, guard: GuardDep, name: str, number: str) -> HTMLResponse:
    """One version: who answered for it, its evidence, its part of the ledger."""
    found = _version(guard, name, number)
    if found is None:
        return _absent(request, "version", f"{name}@{number}")
    return _page(request, "version.html", page=found)


def approval(
    request: Request, guard: GuardDep, session: SessionDep, name: str, number: str
) -> HTMLResponse:
    """What an approver reads before answering; the answer itself is given in Airflow."""
    if not is_id(name) or not _NUMBER.fullmatch(number):
        return _absent(request, "version", f"{name}@{number}")
    guard.require(dag_id(name, TRAIN_MODEL))
    windows = open_windows(session, dag_id(name, PROMOTE_MODEL))
    found = approval_page(platform(), name, int(number), windows)
    if found is None:
        return _absent(request, "version", f"{name}@{number}")
    first, trouble = cautions(platform(), found.version.row)
    return _page(request, "approval.html", page=found, cautions=first, trouble=trouble)


def version_evidence(request: Request, guard: GuardDep, name: str, number: str) -> Response:
    """The page of a version with every report in full, to take along."""
    found = _version(guard, name, number)
    if found is None:
        return _absent(request, "version", f"{name}@{number}")
    body = json.dumps(versions.dossier(platform(), found), indent=2, ensure_ascii=False)
    disposition = f'attachment; filename="{name}-{found.row.version}-evidence.json"'
    headers = _HEADERS | {"Content-Disposition": disposition, "Cache-Control": "no-store"}
    return Response(body, media_type="application/json", headers=headers)


def version_lineage(request: Request, guard: GuardDep, name: str, number: str) -> HTMLResponse:
    """From a version back to its landed files, and to the traffic that it had."""
    if not is_id(name) or not _NUMBER.fullmatch(number):
        return _absent(request, "version", f"{name}@{number}")
    guard.require(dag_id(name, TRAIN_MODEL))
    found = lineage.of_version(platform(), name, int(number))
    if found is None:
        return _absent(request, "version", f"{name}@{number}")
    shown = replace(found, sources=[_readable(guard, one) for one in found.sources])
    return _page(request, "lineage.html", back=shown, title=found.row.name)


def snapshot_lineage(request: Request, guard: GuardDep, name: str, digest: str) -> HTMLResponse:
    """From a snapshot forward to what learned from it; models not to be seen are counted only."""
    if not is_id(name):
        return _absent(request, "dataset", name)
    guard.require(dag_id(name, INGEST_DATA))
    found = lineage.of_published(platform(), name, digest)
    if found is None:
        return _absent(request, "snapshot", f"{name} {digest}")

    def seen(model: str) -> bool:
        return guard.allows(dag_id(model, TRAIN_MODEL))

    shown = replace(
        found,
        source=_readable(guard, found.source),
        reached=[one for one in found.reached if seen(one.learner.model)],
        scored=[one for one in found.scored if seen(one.model)],
    )
    hidden = len(found.reached) + len(found.scored) - len(shown.reached) - len(shown.scored)
    title = f"{name} {found.source.origin.batch}"
    return _page(request, "lineage.html", back=None, forward=shown, hidden=hidden, title=title)


def _readable(guard: Guard, source: lineage.SourceLineage) -> lineage.SourceLineage:
    """Without the readers of a dataset, and those for models, that the user may not see."""
    mine = guard.allows(dag_id(source.origin.dataset, INGEST_DATA))
    shown = [
        one
        for one in source.readers
        if mine and (one.model is None or guard.allows(dag_id(one.model, TRAIN_MODEL)))
    ]
    return replace(source, readers=shown, hidden=len(source.readers) - len(shown))


def _version(guard: Guard, name: str, number: str) -> versions.VersionPage | None:
    if not is_id(name) or not _NUMBER.fullmatch(number):
        return None
    guard.require(dag_id(name, TRAIN_MODEL))
    return versions.version_page(platform(), name, int(number))


def review_queue(request: Request, guard: GuardDep) -> HTMLResponse:
    """Decisions that wait for a person."""
    guard.require(None)
    rows, waiting = visible(platform(), guard)
    cases = with_features(platform(), rows, guard.user)
    return _page(request, "reviews.html", cases=cases, waiting=waiting, user=guard.user)


def incident(request: Request, guard: GuardDep, number: Number) -> HTMLResponse:
    """One incident: what happened, what is safe, what to do, who does it."""
    guard.require(None)
    found = shown(platform(), guard, number)
    if found is None:
        return _absent(request, "incident", str(number))
    return _page(
        request,
        "incident.html",
        page=found,
        may_act=may_act(platform(), guard.user, found.incident),
        allows=lambda roles: allowed(platform(), guard.user, roles),
        user=guard.user,
        live=found.is_under_way(platform().clock.now()),
    )


def runbook_page(request: Request, guard: GuardDep) -> HTMLResponse:
    """What to do when something is red, by kind."""
    guard.require(None)
    return _page(request, "runbook.html", html=runbook().html)


def dataset(request: Request, guard: GuardDep, session: SessionDep, name: str) -> HTMLResponse:
    """One dataset: contract, people, batches, readers."""
    if not is_id(name):
        return _absent(request, "dataset", name)
    guard.require(dag_id(name, INGEST_DATA))
    found = dataset_page(platform(), name)
    if found is None:
        return _absent(request, "dataset", name)
    return _page(request, "dataset.html", page=found, live=is_running(session, name))


def workbench(request: Request, guard: GuardDep, session: SessionDep, name: str) -> HTMLResponse:
    """Where a steward sees what limits would have done, and proposes others."""
    if not is_id(name):
        return _absent(request, "dataset", name)
    guard.require(dag_id(name, INGEST_DATA))
    found = workbench_page(platform(), name, guard.user)
    if found is None:
        return _absent(request, "dataset", name)
    live = is_running(session, name)
    shown = found.without_hidden(guard.allows)
    return _page(request, "workbench.html", page=shown, user=guard.user, live=live)


def _of_datasets(guard: Guard, numbers: Mapping[str, int]) -> dict[str, int]:
    """Of the datasets that the user may see."""
    return {name: n for name, n in numbers.items() if guard.allows(dag_id(name, INGEST_DATA))}


def card(  # noqa: PLR0917 -- the query's names
    request: Request,
    guard: GuardDep,
    session: SessionDep,
    dag: Named,
    run: Named,
    task: Named,
    map_index: Named = "-1",
) -> HTMLResponse:
    """The tab of a task: its failure card, its verdict, or what it waits for."""
    guard.require(dag)
    index = int(map_index) if re.fullmatch(r"-?\d{1,9}", map_index) else -1
    seen = task_status(session, dag, run, task, index)
    ref = RunRef(dag_id=dag, run_id=run, task_id=task, map_index=index)
    found = tasks.task_page(platform(), ref, seen)
    asked = _asked_version(ref) if found.mood == "waiting" else None
    return _page(request, "card.html", page=found, asked=asked, live=found.mood in _UNFINISHED)


def _asked_version(run: RunRef) -> tuple[str, int] | None:
    """Model and number of the version that a waiting window of `promote_model` is about."""
    parts = parse_dag_id(run.dag_id)
    if parts.stage != PROMOTE_MODEL or not parts.owner:
        return None
    number = version_of_run(platform(), parts.owner, run.run_id)
    return None if number is None else (parts.owner, number)


def report(request: Request, guard: GuardDep, digest: str) -> Response:
    """The evidence of one judgement, drawn by our own escaping template."""
    page = tasks.report_page(platform(), digest) if _DIGEST.fullmatch(digest) else None
    if page is None:
        return _of_evidence(request, guard, digest)
    guard.require(page.row.dag_id)
    found = validation_page(platform(), page) if page.row.stage == "quality" else None
    if found is not None:
        return _page(request, "validation.html", report=page.row, page=found)
    return _page(request, "report.html", report=page.row, drawn=page.drawn)


def _of_evidence(request: Request, guard: Guard, digest: str) -> Response:
    """What approvals are bound to is no report: its parts stand on the page of the version."""
    named = versions.version_of_evidence(platform(), digest) if _DIGEST.fullmatch(digest) else None
    if named is None:
        return _absent(request, "report", digest)
    model, number = named
    guard.require(dag_id(model, TRAIN_MODEL))
    return RedirectResponse(f"{_root(request)}/model/{model}/version/{number}#evidence", 307)


def drawn(request: Request, guard: GuardDep, digest: str) -> Response:
    """The picture of a report: foreign HTML, so it gets an origin of its own."""
    page = tasks.report_page(platform(), digest) if _DIGEST.fullmatch(digest) else None
    guard.require(page.row.dag_id if page else None)
    html = tasks.drawing(platform(), page.row.digest) if page else None
    if page is None or html is None:
        return _absent(request, "drawn report", digest)
    policy = DOCS_POLICY if page.row.stage == "quality" else DRAWN_POLICY
    headers = _HEADERS | {"Content-Security-Policy": policy}
    return Response(html, media_type="text/html; charset=utf-8", headers=headers)


def static(name: str) -> Response:
    """Style sheet, script and icons."""
    if name not in STATIC:
        raise HTTPException(404)
    headers = _HEADERS | {"Cache-Control": "private, max-age=300"}
    return Response((HERE / "static" / name).read_bytes(), media_type=STATIC[name], headers=headers)


def _page(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    root = _root(request)
    html = render(
        template,
        root=root,
        airflow=root.removesuffix("/tenure"),
        now=platform().clock.now(),
        **{"live": False} | values,
    )
    headers = _HEADERS | {"Content-Security-Policy": PAGE_POLICY, "Cache-Control": "no-store"}
    return HTMLResponse(html, status_code=status, headers=headers)


def _root(request: Request) -> str:
    return str(request.scope.get("root_path", "")).rstrip("/")


def _absent(request: Request, kind: str, name: str) -> HTMLResponse:
    return _page(request, "absent.html", 404, kind=kind, name=name)


def _refuse(_request: Request, error: Exception) -> Response:
    """Names the field; what was sent is not repeated, since it may have no UTF-8."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"][1:]) or "body"
    said = {"error": f"{field}: {first['msg']}.", "field": field}
    safe = {key: text[:400].encode(errors="replace").decode() for key, text in said.items()}
    return JSONResponse(safe, 422)


def _explain(request: Request, error: Exception) -> Response:
    """A page that cannot read the lifecycle database says so like any other card."""
    lost = isinstance(error, ServiceUnreachable)
    serves = serving.what_serves(platform()) if lost else None
    return _page(request, "trouble.html", 503, card=describe(error), serves=serves, live=lost)


def _explain_airflow(request: Request, error: Exception) -> Response:
    """Airflow's own database, which is asked for tasks and heartbeats."""
    logger.warning("airflow_database=unreachable cause=%s", type(error).__name__)
    return _explain(request, serving.airflow_lost())


def _explain_bug(request: Request, error: Exception) -> Response:
    """A bug is a card too: what broke is in the log of the API server, never on the page."""
    logger.error("page=failed path=%s", request.url.path, exc_info=error)
    return _page(request, "trouble.html", 500, card=describe(error), serves=None)
