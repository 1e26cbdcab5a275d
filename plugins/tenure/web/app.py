"""The pages, mounted at `/tenure` in Airflow's API server. All but the reviews only read."""

from __future__ import annotations

import re
from functools import cache
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import AfterValidator

from tenure.airflow_settings import settings_from_airflow
from tenure.errors import TenureError
from tenure.installation import Installation
from tenure.layout import INGEST_DATA, TRAIN_MODEL, dag_id
from tenure.lifecycle.incidents.failure_card import describe
from tenure.views import models, tasks
from tenure.views.datasets import dataset_page
from tenure.views.validations import validation_page
from tenure.vocabulary import NAME, RunRef, is_id
from tenure.web.rendering import HERE, render
from tenure.web.reviews import actions, measured, visible, with_features
from tenure.web.security import GuardDep, SessionDep, signed_in, task_status

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
Named = Annotated[str, AfterValidator(measured(NAME))]
_HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}


@cache
def platform() -> Installation:
    """One for the process: it holds the pool of database connections."""
    return Installation(settings_from_airflow())


def build() -> FastAPI:
    """The application; `signed_in` guards every route that it has or will have."""
    app = FastAPI(
        title="Tenure", dependencies=[signed_in], openapi_url=None, docs_url=None, redoc_url=None
    )
    app.get("/", response_class=HTMLResponse)(index)
    app.get("/card", response_class=HTMLResponse)(card)
    app.get("/model/{name}", response_class=HTMLResponse)(model)
    app.get("/dataset/{name}", response_class=HTMLResponse)(dataset)
    app.get("/report/{digest}", response_class=HTMLResponse)(report)
    app.get("/report/{digest}/drawn")(drawn)
    app.get("/reviews", response_class=HTMLResponse)(review_queue)
    app.include_router(actions(platform))
    app.get("/static/{name}")(static)
    app.add_exception_handler(TenureError, _explain)
    app.add_exception_handler(RequestValidationError, _refuse)
    return app


def index(request: Request, guard: GuardDep) -> HTMLResponse:
    """Models, datasets and open incidents that the user may see."""
    guard.require(None)
    seen = models.overview(platform())
    hidden = {m.name for m in seen.models if not guard.allows(dag_id(m.name, TRAIN_MODEL))}
    return _page(
        request,
        "index.html",
        models=[m for m in seen.models if m.name not in hidden],
        datasets=[d for d in seen.datasets if guard.allows(dag_id(d.name, INGEST_DATA))],
        incidents=[i for i in seen.incidents if not any(i.concerns(name) for name in hidden)],
        waiting=visible(platform(), guard)[1],
        partly_usable=seen.partly_usable,
    )


def model(request: Request, guard: GuardDep, name: str) -> HTMLResponse:
    """One model in full."""
    if not is_id(name):
        return _absent(request, "model", name)
    guard.require(dag_id(name, TRAIN_MODEL))
    found = models.model_page(platform(), name)
    if found is None:
        return _absent(request, "model", name)
    return _page(request, "model.html", page=found, model=found.overview)


def review_queue(request: Request, guard: GuardDep) -> HTMLResponse:
    """Decisions that wait for a person."""
    guard.require(None)
    rows, waiting = visible(platform(), guard)
    cases = with_features(platform(), rows, guard.user)
    return _page(request, "reviews.html", cases=cases, waiting=waiting, user=guard.user)


def dataset(request: Request, guard: GuardDep, name: str) -> HTMLResponse:
    """One dataset: contract, people, batches, readers."""
    if not is_id(name):
        return _absent(request, "dataset", name)
    guard.require(dag_id(name, INGEST_DATA))
    found = dataset_page(platform(), name)
    if found is None:
        return _absent(request, "dataset", name)
    return _page(request, "dataset.html", page=found)


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
    return _page(request, "card.html", page=tasks.task_page(platform(), ref, seen))


def report(request: Request, guard: GuardDep, digest: str) -> HTMLResponse:
    """The evidence of one judgement, drawn by our own escaping template."""
    page = tasks.report_page(platform(), digest) if _DIGEST.fullmatch(digest) else None
    if page is None:
        return _absent(request, "report", digest)
    guard.require(page.row.dag_id)
    found = validation_page(platform(), page) if page.row.stage == "quality" else None
    if found is not None:
        return _page(request, "validation.html", report=page.row, page=found)
    return _page(request, "report.html", report=page.row, drawn=page.drawn)


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
    root = request.scope.get("root_path", "").rstrip("/")
    html = render(
        template,
        root=root,
        airflow=root.removesuffix("/tenure"),
        now=platform().clock.now(),
        **values,
    )
    headers = _HEADERS | {"Content-Security-Policy": PAGE_POLICY, "Cache-Control": "no-store"}
    return HTMLResponse(html, status_code=status, headers=headers)


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
    return _page(request, "trouble.html", 503, card=describe(error))
