"""What a person may do about quarantined rows on the workbench of their dataset.

As on the rest of it: JSON only, Airflow's login says who acts, and who may not see the dataset
reaches nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from fastapi import APIRouter, Body, Request
from fastapi import Path as InPath
from fastapi.responses import JSONResponse, Response
from pydantic import AfterValidator

from tenure.installation import Installation
from tenure.web.security import GuardDep
from tenure.web.workbench import Number, Seen, Why, in_a_sentence, suite_to_act_on, suite_to_read

Cause = Annotated[str, InPath(pattern="^[0-9a-f]{16}$")]
Act = Literal["release", "discard"]
Note = Annotated[str, Body(max_length=500), AfterValidator(str.strip)]
_ROWS = "/dataset/{name}/workbench/quarantine/{judgement}/{cause}"


def quarantine_routes(platform: Callable[[], Installation]) -> APIRouter:
    """Rows of a cause: a file to take along, a dry run, a deed; and the answer to a release.

    Args:
        platform: Returns the installation.
    """
    router = APIRouter()

    @router.get(_ROWS + "/rows.csv")
    def rows(guard: GuardDep, name: str, judgement: Number, cause: Cause) -> Response:
        from tenure.usecases.data import quarantine

        suite_to_read(platform(), guard, name)

        def taken() -> Response:
            ask = quarantine.QuarantineAsk(name, judgement, cause, guard.user)
            file, body = quarantine.rows_as_csv(platform(), ask)
            disposition = f'attachment; filename="{file}"'
            headers = {"Content-Disposition": disposition, "Cache-Control": "no-store"}
            return Response(body, media_type="text/csv; charset=utf-8", headers=headers)

        return in_a_sentence(taken)

    @router.post(_ROWS + "/plan/{act}")
    def plan(  # noqa: PLR0917 -- the names of the request
        request: Request,
        guard: GuardDep,
        name: str,
        judgement: Number,
        cause: Cause,
        act: Act,
        _body: Annotated[dict[str, str], Body()],
    ) -> Response:
        from tenure.usecases.data import quarantine

        suite_to_act_on(request, platform(), guard, name)

        def planned() -> Response:
            ask = quarantine.QuarantineAsk(name, judgement, cause, guard.user)
            found = quarantine.plan(platform(), ask, act)
            said = {"sentence": found.sentence, "changes": found.rows > 0, "seen": found.seen}
            return JSONResponse(said)

        return in_a_sentence(planned)

    @router.post(_ROWS + "/do/{act}")
    def do(  # noqa: PLR0917 -- the names of the request
        request: Request,
        guard: GuardDep,
        name: str,
        judgement: Number,
        cause: Cause,
        act: Act,
        note: Note,
        seen: Seen,
    ) -> Response:
        from tenure.usecases.data import quarantine

        suite_to_act_on(request, platform(), guard, name)

        def done() -> Response:
            ask = quarantine.QuarantineAsk(name, judgement, cause, guard.user)
            made = quarantine.decide(platform(), ask, act, reason=note, seen=seen)
            return JSONResponse({"decision": made})

        return in_a_sentence(done)

    _add_answer(router, platform)
    return router


def _add_answer(router: APIRouter, platform: Callable[[], Installation]) -> None:
    """What a second person does with a proposed release."""

    @router.post("/dataset/{name}/workbench/release/{number}/{act}")
    def answer(  # noqa: PLR0917 -- the names of the request
        request: Request,
        guard: GuardDep,
        name: str,
        number: Number,
        act: Literal["accept", "decline"],
        reason: Why,
    ) -> Response:
        from tenure.usecases.data import quarantine

        suite_to_act_on(request, platform(), guard, name)

        def answered() -> Response:
            done = quarantine.answer(
                platform(),
                number,
                of=name,
                accept=act == "accept",
                user=guard.user,
                reason=reason,
            )
            return JSONResponse({"decision": done.id, "answer": done.answer})

        return in_a_sentence(answered)
