"""The one button of the page of a canary: roll it back, with a reason; first the dry run.

As for incidents: JSON only, and Airflow's login says who acts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Body, HTTPException, Request
from fastapi.responses import JSONResponse

from tenure.installation import Installation
from tenure.layout import TRAIN_MODEL, dag_id
from tenure.usecases.operations import canary_actions
from tenure.vocabulary import is_id
from tenure.web.incidents import Note, Number, refused
from tenure.web.reviews import require_json
from tenure.web.security import Guard, GuardDep


def canary_routes(platform: Callable[[], Installation]) -> APIRouter:
    """`POST /model/{name}/canary/{number}/plan/roll_back` and `…/do/roll_back`.

    Args:
        platform: Returns the installation.
    """
    router = APIRouter()

    @router.post("/model/{name}/canary/{number}/plan/roll_back")
    def dry_run(
        request: Request, guard: GuardDep, name: str, number: Number, note: Note = ""
    ) -> JSONResponse:
        _require_visible(request, guard, name)

        def looked() -> JSONResponse:
            found = canary_actions.plan(platform(), name, number, user=guard.user, reason=note)
            said = {"sentence": found.sentence, "changes": found.changes, "seen": found.seen}
            return JSONResponse(said)

        return refused(looked)

    @router.post("/model/{name}/canary/{number}/do/roll_back")
    def do(  # noqa: PLR0917 -- the names of the request
        request: Request,
        guard: GuardDep,
        name: str,
        number: Number,
        seen: Annotated[str, Body(max_length=64)],
        note: Note = "",
    ) -> JSONResponse:
        _require_visible(request, guard, name)

        def done() -> JSONResponse:
            said = canary_actions.roll_back_canary(
                platform(), name, number, user=guard.user, reason=note, seen=seen
            )
            return JSONResponse({"done": said})

        return refused(done)

    return router


def _require_visible(request: Request, guard: Guard, name: str) -> None:
    require_json(request)
    if not is_id(name):
        raise HTTPException(404)
    guard.require(dag_id(name, TRAIN_MODEL))
