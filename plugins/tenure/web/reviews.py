"""The queue of decisions that wait for a person: one page, and its two actions.

An action takes JSON only, which no form of a foreign page can send, and Airflow's login says who
acts. Who may not see a model may not act on its decisions; of the others the roles decide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body, HTTPException, Request
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, StrictBool, StringConstraints

from tenure.errors import NotPermitted, StateConflict, TenureError, TextRefused
from tenure.installation import Installation
from tenure.layout import TRAIN_MODEL, dag_id
from tenure.lifecycle.training.classes import LONGEST
from tenure.usecases.decisions import replay, reviews
from tenure.vocabulary import NOTE, TextRule
from tenure.web.security import GuardDep

if TYPE_CHECKING:
    from tenure.usecases.decisions.reviews import QueuedDecision


def measured(rule: TextRule) -> Callable[[str], str]:
    """A validator for pydantic; a text that is empty is left to who reads it."""

    def check(text: str) -> str:
        if text and (problem := rule.problem(text)):
            raise ValueError(problem)
        return text

    return check


ClassName = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=LONGEST)]
Note = Annotated[str, Body(), AfterValidator(measured(NOTE))]


@dataclass(frozen=True)
class ReviewCase:
    """A queued decision as the page shows it.

    `features` and `is_sealed` come from the decision log, for who claimed it, who may answer one of
    the `classes`; else None, False and none.
    """

    queued: QueuedDecision
    features: Mapping[str, object] | None = None
    is_sealed: bool = False
    classes: tuple[str, ...] = ()


def visible(platform: Installation, guard: GuardDep) -> tuple[list[QueuedDecision], int]:
    """What waits, of the models that the user may see, mine first; and how many there are."""
    waiting = reviews.counted(platform)
    shown = {m: n for m, n in waiting.items() if guard.allows(dag_id(m, TRAIN_MODEL))}
    return reviews.listed(platform, models=[*shown], holder=guard.user), sum(shown.values())


def with_features(
    platform: Installation, rows: Sequence[QueuedDecision], user: str
) -> list[ReviewCase]:
    """Each decision; those that this person claimed with what the decision log has of them."""
    return [_with_log(platform, row) if row.claimed_by == user else ReviewCase(row) for row in rows]


def _with_log(platform: Installation, row: QueuedDecision) -> ReviewCase:
    found = replay.show(platform, row.decision_id)
    classes = reviews.known_classes(platform, row)
    if found is None:
        return ReviewCase(row, classes=classes)
    return ReviewCase(row, found.features, found.is_sealed, classes)


def actions(platform: Callable[[], Installation]) -> APIRouter:
    """`POST /reviews/{id}/claim` and `/answer`.

    Args:
        platform: Returns the installation.
    """
    router = APIRouter()

    @router.post("/reviews/{decision_id}/claim")
    def claim(
        request: Request,
        guard: GuardDep,
        decision_id: UUID,
        _body: Annotated[dict[str, Any], Body()],
    ) -> JSONResponse:
        require_json(request)
        _require_visible(platform(), guard, decision_id)
        return _done(lambda: reviews.claim(platform(), str(decision_id), user=guard.user))

    @router.post("/reviews/{decision_id}/answer")
    def answer(
        request: Request,
        guard: GuardDep,
        decision_id: UUID,
        decision: Annotated[StrictBool | ClassName, Body()],
        note: Note = "",
    ) -> JSONResponse:
        require_json(request)
        _require_visible(platform(), guard, decision_id)
        return _done(
            lambda: reviews.answer(
                platform(), str(decision_id), user=guard.user, decision=decision, note=note
            )
        )

    return router


def require_json(request: Request) -> None:
    """415 for what a form could send."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "Send JSON.")


def _require_visible(platform: Installation, guard: GuardDep, decision_id: UUID) -> None:
    """As on the page: 403 for decisions of a model that the user may not see."""
    found = reviews.find(platform, str(decision_id))
    if found is not None:
        guard.require(dag_id(found.model, TRAIN_MODEL))


def _done(act: Callable[[], QueuedDecision]) -> JSONResponse:
    try:
        row = act()
    except (NotPermitted, StateConflict, TextRefused) as error:
        codes = {NotPermitted: 403, TextRefused: 422}
        return JSONResponse(words_of(error), codes.get(type(error), 409))
    return JSONResponse({"state": row.state, "decision_id": row.decision_id})


def words_of(error: TenureError) -> dict[str, str]:
    """What an error says, for the script of the page."""
    return {"error": error.what, "still_safe": error.still_safe, "next_step": error.next_step}
