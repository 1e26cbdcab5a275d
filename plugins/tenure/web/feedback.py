"""What a person of the pages thinks of a decision: one action, JSON only, for operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Request
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, StringConstraints

from tenure.errors import NotPermitted, StateConflict, TextRefused
from tenure.installation import Installation
from tenure.layout import TRAIN_MODEL, dag_id
from tenure.lifecycle.decisions.feedback import FeedbackVerdict
from tenure.lifecycle.training.classes import LONGEST
from tenure.usecases.decisions import feedback
from tenure.vocabulary import REASON
from tenure.web.reviews import measured, require_json, words_of
from tenure.web.security import GuardDep

Reason = Annotated[str, Body(), AfterValidator(measured(REASON))]
OtherAnswer = Annotated[str, Body(), StringConstraints(max_length=LONGEST)]


def feedback_routes(platform: Callable[[], Installation]) -> APIRouter:
    """`POST /model/{name}/feedback`.

    Args:
        platform: Returns the installation.
    """
    router = APIRouter()

    @router.post("/model/{name}/feedback")
    def give(  # noqa: PLR0917 -- the names of the body
        request: Request,
        guard: GuardDep,
        name: str,
        decision_id: Annotated[UUID, Body()],
        verdict: Annotated[FeedbackVerdict, Body()],
        reason: Reason = "",
        answer: OtherAnswer = "",
    ) -> JSONResponse:
        require_json(request)
        guard.require(dag_id(name, TRAIN_MODEL))
        try:
            piece = feedback.give(
                platform(),
                str(decision_id),
                model=name,
                user=guard.user,
                verdict=verdict,
                reason=reason,
                answer=answer,
            )
        except (NotPermitted, StateConflict, TextRefused) as error:
            codes = {NotPermitted: 403, TextRefused: 422}
            return JSONResponse(words_of(error), codes.get(type(error), 409))
        return JSONResponse({"feedback_id": piece})

    return router
