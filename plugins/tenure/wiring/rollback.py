"""Taking a version out of traffic by hand: needs the lifecycle database and the store, no Airflow.

Import it inside functions: it loads SQLAlchemy.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tenure.adapters.sql import versions
from tenure.adapters.sql.plans import PlanRow
from tenure.errors import ArtifactRefused, StateConflict
from tenure.vocabulary import State, VersionRef
from tenure.wiring import promotion
from tenure.wiring.base import Platform

if TYPE_CHECKING:
    from sqlalchemy import Connection

LIVE = (State.CANARY, State.CHAMPION)


@dataclass(frozen=True)
class Intent:
    """What a rollback would do, for a person to confirm.

    `remove` loses its traffic to `successor`; `cancels` is a canary that ends with its champion;
    `refused` are newer versions that were passed over, with the reason.
    """

    remove: VersionRef
    successor: VersionRef
    cancels: VersionRef | None = None
    refused: tuple[tuple[str, str], ...] = ()
    done: bool = False

    def describe(self) -> str:
        """One sentence for the terminal."""
        if self.done:
            return f"{self.remove.name} is rolled back already; {self.successor.name} serves 100%."
        also = f" The canary {self.cancels.name} ends too." if self.cancels else ""
        return (
            f"{self.remove.name} ({self.remove.state}) loses all traffic; "
            f"{self.successor.name} serves 100%.{also}"
        )


def intend(platform: Platform, model: str, version: int | None = None) -> Intent:
    """Find what to take out of traffic and what loads in its place.

    Args:
        platform: The installation.
        model: Name of the model.
        version: The version to take out; None takes the canary, else the champion.

    Raises:
        StateConflict: Nothing is live, the version is not, or nothing can take its place.
    """
    with platform.database.begin() as connection:
        live = versions.in_state(connection, model, LIVE)
        champion = next((v for v in live if v.state is State.CHAMPION), None)
        canary = next((v for v in live if v.state is State.CANARY), None)
        wanted = canary or champion
        if version is not None:
            wanted = versions.get(connection, model, version)
    if champion is None or wanted is None:
        raise _nothing(model, f"no version {version}" if champion else "no champion")
    if wanted.state is State.ROLLED_BACK:
        return Intent(wanted, champion, done=True)
    if wanted.state not in LIVE:
        raise _nothing(model, f"{wanted.name} is {wanted.state} and has no traffic")
    if wanted.state is State.CANARY:
        return Intent(wanted, champion)
    successor, refused = _newest_that_loads(platform, model)
    return Intent(wanted, successor, canary, refused)


def roll_back(platform: Platform, intent: Intent, *, reason: str, actor: str) -> PlanRow:
    """Do it, unconditionally and once; returns the plan in force afterwards.

    A canary that became champion since the intent was made is refused: look again.

    Raises:
        StateConflict: Somebody else moved one of the versions meanwhile.
    """
    with promotion.turn(platform, intent.remove.id, actor=actor) as mine:
        if mine.version.state is State.ROLLED_BACK and mine.plan is not None:
            return mine.plan
        if mine.version.state is not intent.remove.state:
            raise _nothing(
                mine.version.model,
                f"{mine.version.name} became {mine.version.state} a moment ago; look again",
            )
        if mine.version.state is State.CANARY:
            return promotion.roll_back_canary(mine, reason=reason)
        successor = versions.get_by_id(mine.connection, intent.successor.id)
        return promotion.replace_champion(mine, successor, reason=reason)


def _newest_that_loads(
    platform: Platform, model: str
) -> tuple[VersionRef, tuple[tuple[str, str], ...]]:
    """Digest, signature and types are checked by really loading it, before any traffic moves."""
    from tenure.adapters.skops_artifacts import load_verified

    with platform.database.begin() as connection:
        rows = _superseded(connection, model)
    refused: list[tuple[str, str]] = []
    for version, row in rows:
        try:
            load_verified(platform.store, row, platform.settings.signing_key.with_suffix(".pub"))
        except ArtifactRefused as error:
            refused.append((version.name, error.what))
            continue
        return version, tuple(refused)
    why = "; ".join(f"{name}: {reason}" for name, reason in refused) or "there is none"
    raise _nothing(model, f"no superseded version that loads ({why})")


def _superseded(connection: "Connection", model: str) -> list[tuple[VersionRef, dict[str, object]]]:
    found = versions.in_state(connection, model, (State.SUPERSEDED,))
    return [(version, versions.row_by_id(connection, version.id)) for version in found]


def _nothing(model: str, why: str) -> StateConflict:
    return StateConflict(
        f"Nothing of {model} was rolled back: {why}.",
        still_safe="Gateways keep the traffic plan in force.",
        next_step=f"Look at `tenure status` and the Tenure page of {model}.",
    )
