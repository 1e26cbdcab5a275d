"""Taking a version out of traffic by hand: needs the lifecycle database and the store, no Airflow.

Import it inside functions: it loads SQLAlchemy.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from tenure.adapters.sql import versions
from tenure.adapters.sql.plans import PlanRow
from tenure.errors import ArtifactRefused, ConfigInvalid, ServiceUnreachable, StateConflict
from tenure.failpoints import failpoint
from tenure.installation import Installation
from tenure.lifecycle.model_version import VersionRow
from tenure.lifecycle.serving import authorization_ended
from tenure.usecases.incidents.one_by_one import one_by_one
from tenure.usecases.promotion import traffic
from tenure.usecases.promotion.approval_question import authorized_until
from tenure.usecases.promotion.trial_loads import TrialResult, Trials
from tenure.vocabulary import NAME, REASON, State, VersionRef, op_key

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tenure.adapters.sql.maintenance import StoppedCanary

LIVE = (State.CANARY, State.CHAMPION)
_LOOK_AGAIN_SECONDS = 10.0
"""How long to find out whether a rollback was done whose answer was lost."""

STOP_BY_CURL = (
    "`curl -X POST -H 'Authorization: Bearer KEY' -H 'Content-Type: application/json' "
    '-d \'{{"reason": "…"}}\' GATEWAY/v2/models/{model}/canary/stop` with an admin key'
)
"""As docs/operating.md says it; a test sends both as they stand."""


@dataclass(frozen=True)
class Intent:
    """What a rollback would do, for a person to confirm.

    Args:
        remove: Loses its traffic.
        successor: Gets all of it; it was loaded on trial, or serves as champion already.
        cancels: A canary that ends with its champion.
        refused: Versions that were passed over, with the reason.
        asked: Number of the version that the person wanted as successor, if any.
        done: Whether it was done before.
        loaded: Where the successor was loaded on trial: `by gateway ID`, or `here`.
        trial: Row id of what gateways were asked about the successor, if any were.
        lapsed: Why the successor does not answer although it serves: its authorization has ended.
    """

    remove: VersionRef
    successor: VersionRef
    cancels: VersionRef | None = None
    refused: tuple[tuple[str, str], ...] = ()
    asked: int | None = None
    done: bool = False
    loaded: str = ""
    trial: int | None = None
    lapsed: str = ""

    @property
    def is_as_asked(self) -> bool:
        """Whether the successor is the one that the person named, or none was named."""
        return self.asked in {None, self.successor.version}

    def describe(self) -> str:
        """One sentence for the terminal."""
        if self.done:
            return f"{self.remove.name} is rolled back already; {self.successor.name} serves 100%."
        also = f" The canary {self.cancels.name} ends too." if self.cancels else ""
        loaded = f", loaded {self.loaded}," if self.loaded else ""
        return (
            f"{self.remove.name} ({self.remove.state}) loses all traffic; "
            f"{self.successor.name}{loaded} serves 100%.{also}{self._without_authorization}"
        )

    @property
    def _without_authorization(self) -> str:
        if not self.lapsed:
            return ""
        return (
            f" But {self.lapsed}: gateways answer by the declared rule until approvers renew it "
            f"(`tenure authorization renew {self.successor.model} --version "
            f"{self.successor.version}`)."
        )


class _Found(NamedTuple):
    version: VersionRef
    tried: TrialResult
    refused: tuple[tuple[str, str], ...]


def intend(
    platform: Installation,
    model: str,
    version: int | None = None,
    *,
    to: int | None = None,
    actor: str = "rollback",
) -> Intent:
    """Find what to take out of traffic and what loads in its place.

    Args:
        platform: The installation.
        model: Name of the model.
        version: The version to take out; None takes the canary, else the champion.
        to: The version that is to serve instead; None takes the newest that loads. When this one
            does not load, the intent names the newest that does, and is not `is_as_asked`.
        actor: Who asks gateways to load.

    Raises:
        StateConflict: Nothing is live, the version is not, or nothing can take its place.
        ServiceUnreachable: The database or the store does not answer.
    """
    with _safe_meanwhile(platform, model):
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
            return Intent(wanted, champion, asked=to, done=True)
        if wanted.state not in LIVE:
            raise _nothing(model, f"{wanted.name} is {wanted.state} and has no traffic")
        if wanted.state is State.CANARY:
            if to not in {None, champion.version}:
                why = f"a canary gives its traffic to the champion {champion.name}, not to @{to}"
                raise _nothing(model, why)
            return Intent(wanted, champion, asked=to, lapsed=_lapsed(platform, champion))
        found = _newest_that_loads(platform, model, to, actor)
        return Intent(
            wanted,
            found.version,
            canary,
            found.refused,
            asked=to,
            loaded=found.tried.where,
            trial=found.tried.trial,
            lapsed=_lapsed(platform, found.version),
        )


def roll_back(platform: Installation, intent: Intent, *, reason: str, actor: str) -> PlanRow:
    """Do it, unconditionally and once; returns the plan in force afterwards.

    A canary that became champion since the intent was made is refused: look again.

    When the connection breaks off at COMMIT it looks whether it was done, and does it if not.

    Raises:
        TextRefused: The reason cannot be kept.
        StateConflict: Somebody else moved one of the versions meanwhile.
        ServiceUnreachable: The database does not answer; it says so when it `may_be_done`.
    """
    safe = "Nothing moved; the gateways go on by the plan that they have."
    NAME.require(actor, "actor", still_safe=safe)
    REASON.require(reason, "reason", still_safe=safe)
    failpoint("rollback.intended")
    with _safe_meanwhile(platform, intent.remove.model, intent.remove):
        try:
            plan = _in_turn(platform, intent, reason, actor)
        except ServiceUnreachable as error:
            if not error.may_be_done:
                raise
            plan = _again(platform, intent, reason, actor)
    failpoint("rollback.committed")
    return plan


def _in_turn(platform: Installation, intent: Intent, reason: str, actor: str) -> PlanRow:
    with traffic.turn(platform, intent.remove.id, actor=actor) as mine:
        failpoint("rollback.turn")
        plan = _act(mine, intent, reason)
        failpoint("rollback.published")
    return plan


def _again(platform: Installation, intent: Intent, reason: str, actor: str) -> PlanRow:
    """A second time changes nothing; it waits its turn, so for the end of the first one."""
    wait = _LOOK_AGAIN_SECONDS
    fresh = replace(platform, patience_seconds=2 * wait, lock_seconds=wait)
    try:
        return _in_turn(fresh, intent, reason, actor)
    except ServiceUnreachable as error:
        error.may_be_done = True
        raise
    finally:
        fresh.database.dispose()


def settle_stops(platform: Installation, only: int | None = None) -> int:
    """Roll back canaries that people stopped at gateways, in their name; returns how many.

    Args:
        platform: The installation.
        only: Row id of the one version to look at; None looks at all.
    """
    from tenure.adapters.sql import maintenance

    with platform.database.begin() as connection:
        stops = maintenance.stopped_canaries(connection)
    if only is not None:
        return sum(_settle(platform, stop) for stop in stops if stop.version_id == only)
    done = one_by_one(
        platform,
        "settle_stop",
        stops,
        name=lambda stop: f"version {stop.version_id} at {stop.gateway}",
        do=lambda stop: _settle(platform, stop),
    )
    return sum(done)


def _settle(platform: Installation, stop: "StoppedCanary") -> bool:
    """The audit and the rollback, unless somebody did that already."""
    from tenure.adapters.sql import incidents

    actor, gateway = f"key:{stop.by}", stop.gateway
    with traffic.turn(platform, stop.version_id, actor=actor) as mine:
        name, is_live = mine.version.name, mine.version.state is State.CANARY
        if is_live:
            why = f"stopped at gateway {gateway} at {stop.at}: {stop.reason}"
            traffic.roll_back_canary(mine, reason=why)
        else:
            platform.ledger.note(
                mine.connection,
                subject=f"gateway:{gateway}",
                actor=actor,
                body={"stopped": name, "reason": stop.reason, "at": stop.at},
                op_key=op_key("stop", f"mv:{mine.version.id}", {"by": gateway, "at": stop.at}),
            )
        key = f"canary_stopped:{name}:{gateway}"
        incidents.close_incident(mine.connection, dedupe_key=key, at=platform.clock.now())
    return is_live


def _act(mine: traffic.Turn, intent: Intent, reason: str) -> PlanRow:
    if mine.version.state is State.ROLLED_BACK and mine.plan is not None:
        return mine.plan
    if mine.version.state is not intent.remove.state:
        raise _nothing(
            mine.version.model,
            f"{mine.version.name} became {mine.version.state} a moment ago; look again",
        )
    if mine.version.state is State.CANARY:
        return traffic.roll_back_canary(mine, reason=reason)
    successor = versions.get_by_id(mine.connection, intent.successor.id)
    return traffic.replace_champion(mine, successor, reason=reason, loaded=intent.loaded)


def _newest_that_loads(platform: Installation, model: str, first: int | None, actor: str) -> _Found:
    """Loaded on trial as a gateway loads it, before any traffic moves; `first` is tried first."""
    with platform.database.begin() as connection:
        rows = _superseded(connection, model)
    if first is not None:
        if first not in {version.version for version, _ in rows}:
            raise _nothing(model, f"{model}@{first} is no superseded version")
        rows.sort(key=lambda found: found[0].version != first)
    refused: list[tuple[str, str]] = []
    with Trials(platform, model, actor=actor) as trials:
        for version, row in rows:
            try:
                return _Found(version, trials.load(row), tuple(refused))
            except ArtifactRefused as error:
                refused.append((version.name, error.what))
    why = "; ".join(f"{name}: {reason}" for name, reason in refused) or "there is none"
    raise _nothing(model, f"no superseded version that loads ({why})")


def _lapsed(platform: Installation, version: VersionRef) -> str:
    """That the authorization of a version has ended; empty while it holds."""
    with platform.database.begin() as connection:
        until = authorized_until(connection, version.id)
    if until is None:
        return "nobody approved what it is now"
    return "" if platform.clock.now() < until else authorization_ended(until)


def _superseded(connection: "Connection", model: str) -> list[tuple[VersionRef, VersionRow]]:
    found = versions.in_state(connection, model, (State.SUPERSEDED,))
    return [(version, versions.row_by_id(connection, version.id)) for version in found]


@contextmanager
def _safe_meanwhile(
    platform: Installation, model: str, remove: VersionRef | None = None
) -> Iterator[None]:
    """When database or store are down: what gateways do by themselves, and what still can be.

    `remove` is what was to lose its traffic, once that is asked for.
    """
    try:
        yield
    except ServiceUnreachable as error:
        stop = STOP_BY_CURL.format(model=model)
        what, again = f"Nothing of {model} was rolled back.", "run the command again."
        if remove is not None and error.may_be_done:
            what = f"Whether {remove.name} was rolled back is not known: the answer was lost."
            again = (
                f"run `tenure rollback {model} --version {remove.version} --reason …`: when it "
                "was done, that changes nothing. Without --version the next one would be taken out."
            )
        raise ServiceUnreachable(
            f"{what} {error.what}",
            still_safe="Gateways keep answering by the plan that they have; a canary loses its "
            f"share by itself when its lease ends, at most {_lease_seconds(platform, model)} s "
            "after the last renewal.",
            next_step=f"To end a canary at once, on each gateway: {stop}. "
            f"Bring the service back, then {again}",
        ) from error


def _lease_seconds(platform: Installation, model: str) -> int:
    from tenure.config import load_model
    from tenure.lifecycle.promotion.canary import CanaryPolicy

    try:
        return load_model(platform.settings.include, model)[0].canary.lease_seconds
    except (ConfigInvalid, OSError):
        return CanaryPolicy.model_fields["lease_seconds"].default


def _nothing(model: str, why: str) -> StateConflict:
    return StateConflict(
        f"Nothing of {model} was rolled back: {why}.",
        still_safe="Gateways keep the traffic plan in force.",
        next_step=f"Look at `tenure status` and the Tenure page of {model}.",
    )
