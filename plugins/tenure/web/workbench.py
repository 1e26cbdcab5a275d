"""What a person may do on the steward's workbench.

An action takes JSON only, which no form of a foreign page can send, and Airflow's login says who
acts. Who may not see a dataset may not touch its suite.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Body, HTTPException, Request
from fastapi import Path as InPath
from fastapi.responses import JSONResponse, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from tenure.config.suite_limits import LimitChange
from tenure.errors import ConfigInvalid, NotPermitted, StateConflict, TenureError, TextRefused
from tenure.installation import Installation
from tenure.layout import INGEST_DATA, dag_id
from tenure.usecases.suites import suite_preview
from tenure.views.workbench import suite_of
from tenure.vocabulary import REASON, is_id
from tenure.web.reviews import measured, require_json, words_of
from tenure.web.security import Guard, GuardDep

if TYPE_CHECKING:
    from tenure.usecases.suites.suite_proposals import LimitEdit

_MOST_CHANGES = 100
Number = Annotated[int, InPath(ge=1, le=2**63 - 1)]
Why = Annotated[
    str, Body(embed=True, min_length=1), AfterValidator(str.strip), AfterValidator(measured(REASON))
]


class ChangedLimit(BaseModel):
    """One number as the page sends it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    rule: int = Field(ge=0, le=100_000)
    argument: Literal["mostly", "min_value", "max_value"]
    value: float


Changes = Annotated[list[ChangedLimit], Body(min_length=1, max_length=_MOST_CHANGES)]
Seen = Annotated[str, Body(min_length=1, max_length=64)]


def workbench_routes(platform: Callable[[], Installation]) -> APIRouter:
    """`POST /dataset/{name}/workbench/preview`, `/propose`, and `/proposal/{number}/…`.

    Args:
        platform: Returns the installation.
    """
    router = APIRouter()

    @router.post("/dataset/{name}/workbench/preview")
    def preview(
        request: Request, guard: GuardDep, name: str, changes: Changes, seen: Seen
    ) -> Response:
        suite = suite_to_act_on(request, platform(), guard, name)

        def looked() -> Response:
            from tenure.usecases.suites import suite_proposals

            edited = suite_proposals.edited(platform(), suite, _edit(changes, seen))
            return _previewed(suite_preview.preview_apart(platform(), edited, user=guard.user))

        return in_a_sentence(looked)

    @router.post("/dataset/{name}/workbench/propose")
    def propose(  # noqa: PLR0917 -- the names of the request
        request: Request, guard: GuardDep, name: str, changes: Changes, seen: Seen, reason: Why
    ) -> Response:
        suite = suite_to_act_on(request, platform(), guard, name)

        def proposed() -> Response:
            from tenure.usecases.suites import suite_proposals

            made = suite_proposals.propose(
                platform(), suite, _edit(changes, seen), user=guard.user, reason=reason
            )
            return JSONResponse({"proposal": made.id, "changes": list(made.changes)})

        return in_a_sentence(proposed)

    _add_answers(router, platform)
    _add_notes(router, platform)
    return router


def _add_notes(router: APIRouter, platform: Callable[[], Installation]) -> None:
    """What a person says about the dataset, and whether its alerts name her."""

    @router.post("/dataset/{name}/workbench/note")
    def note(request: Request, guard: GuardDep, name: str, text: Why) -> Response:
        suite_to_act_on(request, platform(), guard, name)

        def written() -> Response:
            from tenure.usecases.data import notes

            notes.write_note(platform(), name, text, user=guard.user)
            return JSONResponse({"written": True})

        return in_a_sentence(written)

    @router.post("/dataset/{name}/workbench/{act}")
    def subscribe(
        request: Request,
        guard: GuardDep,
        name: str,
        act: Literal["subscribe", "unsubscribe"],
        _body: Annotated[dict[str, str], Body()],
    ) -> Response:
        suite_to_act_on(request, platform(), guard, name)

        def done() -> Response:
            from tenure.usecases.data import notes

            is_new = notes.subscribe(platform(), name, user=guard.user, is_on=act == "subscribe")
            return JSONResponse({"changed": is_new})

        return in_a_sentence(done)


def _add_answers(router: APIRouter, platform: Callable[[], Installation]) -> None:
    """What a second person does with a proposal."""

    @router.post("/dataset/{name}/workbench/proposal/{number}/preview")
    def preview(
        request: Request,
        guard: GuardDep,
        name: str,
        number: Number,
        _body: Annotated[dict[str, str], Body()],
    ) -> Response:
        suite = suite_to_act_on(request, platform(), guard, name)

        def looked() -> Response:
            from tenure.usecases.suites import suite_proposals

            edited = suite_proposals.proposed(platform(), number, of=suite)
            return _previewed(suite_preview.preview_apart(platform(), edited, user=guard.user))

        return in_a_sentence(looked)

    @router.post("/dataset/{name}/workbench/proposal/{number}/{act}")
    def answer(  # noqa: PLR0917 -- the names of the request
        request: Request,
        guard: GuardDep,
        name: str,
        number: Number,
        act: Literal["accept", "decline"],
        reason: Why,
    ) -> Response:
        suite = suite_to_act_on(request, platform(), guard, name)

        def answered() -> Response:
            from tenure.usecases.suites import suite_proposals

            done = suite_proposals.answer(
                platform(),
                number,
                of=suite,
                accept=act == "accept",
                user=guard.user,
                reason=reason,
            )
            return JSONResponse({"proposal": done.id, "answer": done.answer})

        return in_a_sentence(answered)


def suite_to_act_on(request: Request, platform: Installation, guard: Guard, name: str) -> str:
    """The suite of a dataset that the user may see: 403, or 404 where there is none."""
    require_json(request)
    return suite_to_read(platform, guard, name)


def suite_to_read(platform: Installation, guard: Guard, name: str) -> str:
    """The same of a request that changes nothing."""
    if not is_id(name):
        raise HTTPException(404, "No such dataset.")
    guard.require(dag_id(name, INGEST_DATA))
    suite = suite_of(platform, name)
    if suite is None:
        raise HTTPException(404, "No such dataset.")
    return suite


def _edit(changes: Sequence[ChangedLimit], seen: str) -> LimitEdit:
    from tenure.usecases.suites.suite_proposals import LimitEdit

    return LimitEdit([LimitChange(c.rule, c.argument, c.value) for c in changes], seen)


def _previewed(found: suite_preview.SuitePreview) -> JSONResponse:
    return JSONResponse({"sentence": found.sentence, "lines": list(found.lines)})


def in_a_sentence(answer: Callable[[], Response]) -> Response:
    """The answer, or in one sentence why there is none: 403, 409, 422, 503."""
    try:
        return answer()
    except NotPermitted as error:
        return JSONResponse(words_of(error), 403)
    except (StateConflict, ConfigInvalid) as error:
        return JSONResponse(words_of(error), 409)
    except TextRefused as error:
        return JSONResponse(words_of(error), 422)
    except TenureError as error:
        return JSONResponse(words_of(error), 503)
