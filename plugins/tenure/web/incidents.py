"""The page of an incident, and what a person may do about it there.

An action takes JSON only, which no form of a foreign page can send, and Airflow's login says who
acts. Who may not see a model or a dataset may not see or touch its incidents.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import date, timedelta
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Body, HTTPException, Request
from fastapi import Path as InPath
from fastapi.responses import JSONResponse
from pydantic import AfterValidator

from tenure.errors import NotPermitted, StateConflict, TenureError, TextRefused
from tenure.installation import Installation
from tenure.layout import INGEST_DATA, TRAIN_MODEL, dag_id
from tenure.lifecycle.incidents.actions import IncidentAction
from tenure.usecases.incidents import close_incident, remediation, respond
from tenure.usecases.operations import incident_actions
from tenure.views.incidents import IncidentPage, incident_page
from tenure.vocabulary import REASON
from tenure.web.reviews import measured, require_json, words_of
from tenure.web.security import Guard, GuardDep, token_of

_LARGEST = 2**63 - 1
Number = Annotated[int, InPath(ge=0, le=_LARGEST)]
Hours = Annotated[int, Body(embed=True, ge=1, le=168, strict=True)]
Reason = Annotated[
    str, Body(embed=True, min_length=1), AfterValidator(str.strip), AfterValidator(measured(REASON))
]


Note = Annotated[str, Body(embed=True), AfterValidator(str.strip), AfterValidator(measured(REASON))]
logger = logging.getLogger(__name__)


class IncidentState(Protocol):
    """What an action answers with."""

    @property
    def id(self) -> int:
        """Its number."""
        ...

    @property
    def state(self) -> str:
        """`open` or `closed`."""
        ...


def shown(platform: Installation, guard: GuardDep, number: int) -> IncidentPage | None:
    """The incident; None when there is none; 403 when it is about what the user may not see."""
    found = incident_page(platform, number)
    if found is not None:
        for name in found.models:
            guard.require(dag_id(name, TRAIN_MODEL))
        for name in found.datasets:
            guard.require(dag_id(name, INGEST_DATA))
    return found


def action_routes(platform: Callable[[], Installation]) -> APIRouter:
    """`POST /incident/{number}/acknowledge`, `/snooze`, `/close`, `/remediate` and the like.

    Args:
        platform: Returns the installation.
    """
    router = APIRouter()

    @router.post("/incident/{number}/acknowledge")
    def acknowledge(
        request: Request, guard: GuardDep, number: Number, _body: Annotated[dict[str, Any], Body()]
    ) -> JSONResponse:
        _require_visible(request, platform(), guard, number)
        return _done(lambda: respond.acknowledge(platform(), number, user=guard.user))

    @router.post("/incident/{number}/snooze")
    def snooze(request: Request, guard: GuardDep, number: Number, hours: Hours) -> JSONResponse:
        _require_visible(request, platform(), guard, number)
        until = platform().clock.now() + timedelta(hours=hours)
        return _done(lambda: respond.snooze(platform(), number, user=guard.user, until=until))

    @router.post("/incident/{number}/close")
    def close(request: Request, guard: GuardDep, number: Number, reason: Reason) -> JSONResponse:
        _require_visible(request, platform(), guard, number)
        if not reason:
            raise HTTPException(422, "Say why.")
        return _done(
            lambda: close_incident.close_by_person(
                platform(), number, user=guard.user, reason=reason
            )
        )

    _add_remediations(router, platform)
    _add_deeds(router, platform)
    return router


def _add_remediations(router: APIRouter, platform: Callable[[], Installation]) -> None:
    """What is done about the cause, then that it is done."""

    @router.post("/incident/{number}/remediate")
    def remediate(  # noqa: PLR0917 -- the names of the request
        request: Request,
        guard: GuardDep,
        number: Number,
        action: Reason,
        owner: Reason,
        due: Annotated[date, Body()],
    ) -> JSONResponse:
        _require_visible(request, platform(), guard, number)
        return _done(
            lambda: remediation.remediate(
                platform(), number, user=guard.user, action=action, owner=owner, due=due
            )
        )

    @router.post("/incident/{number}/remediated/{entry}")
    def remediated(
        request: Request, guard: GuardDep, number: Number, entry: Number, note: Reason
    ) -> JSONResponse:
        _require_visible(request, platform(), guard, number)
        return _done(
            lambda: remediation.finish(
                platform(), number, user=guard.user, note=note, remediation=entry
            )
        )


def _add_deeds(router: APIRouter, platform: Callable[[], Installation]) -> None:
    """What an incident offers: the dry run, then the deed."""

    @router.post("/incident/{number}/plan/{action}")
    def dry_run(
        request: Request, guard: GuardDep, number: Number, action: IncidentAction, note: Note = ""
    ) -> JSONResponse:
        _require_visible(request, platform(), guard, number)

        def looked() -> JSONResponse:
            found = incident_actions.plan(
                platform(),
                number,
                action,
                user=guard.user,
                airflow=_airflow(request, platform(), guard),
                note=note,
            )
            said = {"sentence": found.sentence, "changes": found.changes, "seen": found.seen}
            return JSONResponse(said)

        return refused(looked)

    @router.post("/incident/{number}/do/{action}")
    def do(  # noqa: PLR0917 -- the names of the request
        request: Request,
        guard: GuardDep,
        number: Number,
        action: IncidentAction,
        seen: Annotated[str, Body(max_length=64)],
        note: Note = "",
    ) -> JSONResponse:
        _require_visible(request, platform(), guard, number)

        def done() -> JSONResponse:
            said = incident_actions.act(
                platform(),
                number,
                action,
                user=guard.user,
                airflow=_airflow(request, platform(), guard),
                seen=seen,
                note=note,
            )
            send_alerts(platform())
            return JSONResponse({"done": said})

        return refused(done)


def _airflow(
    request: Request, platform: Installation, guard: Guard
) -> incident_actions.AirflowHands:
    return incident_actions.airflow_as(platform.settings.airflow_url, guard.user, token_of(request))


def send_alerts(platform: Installation) -> None:
    """Send what an action promised at once; what is not taken now, maintenance sends."""
    from tenure.notifications.alerts import deliver

    try:
        deliver(platform, only_new=True)
    except Exception as error:  # the action is done, and the message is in the outbox
        logger.warning("alert=waits reason=%s", type(error).__name__)


def refused(answer: Callable[[], JSONResponse]) -> JSONResponse:
    """The answer, or in one sentence why there is none: 403, 409, 503."""
    try:
        return answer()
    except NotPermitted as error:
        return JSONResponse(words_of(error), 403)
    except (StateConflict, TextRefused) as error:
        return JSONResponse(words_of(error), 409)
    except TenureError as error:
        return JSONResponse(words_of(error), 503)


def _require_visible(
    request: Request, platform: Installation, guard: GuardDep, number: int
) -> None:
    require_json(request)
    shown(platform, guard, number)


def _done(act: Callable[[], IncidentState]) -> JSONResponse:
    try:
        found = act()
    except (NotPermitted, StateConflict, TextRefused) as error:
        return JSONResponse(words_of(error), 403 if isinstance(error, NotPermitted) else 409)
    return JSONResponse({"state": found.state, "incident": found.id})
