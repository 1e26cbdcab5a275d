"""Makes what follows the lifecycle database follow it; safe at any time, from any state."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from tenure.failpoints import failpoint
from tenure.installation import Installation
from tenure.layout import PROMOTE_MODEL, dag_id
from tenure.lifecycle.audit.ledger import ChainCheck, broken_ledger
from tenure.lifecycle.audit.reconciliation import ORPHAN_GRACE, alias_repairs
from tenure.usecases.audit.ledger import check_chain, put_anchor
from tenure.usecases.incidents.close_incident import close_incident
from tenure.usecases.incidents.one_by_one import cause_of, one_by_one, trace_of
from tenure.usecases.incidents.open_incident import open_incident, words_of
from tenure.usecases.incidents.outbox import Delivery, deliver
from tenure.usecases.retirement.decommissioning import Mirror, decommissioning
from tenure.verdicts import Report, Verdict
from tenure.vocabulary import RunRef

if TYPE_CHECKING:
    from tenure.adapters.sql.maintenance import ModelAliases, OrphanedCanary

_log = logging.getLogger("tenure.maintenance")
_WHOLE_UP_TO = 20_000
"""Events that are verified from the first one each time; a longer chain from the last anchor."""

T = TypeVar("T")


@dataclass(frozen=True)
class PartFailure:
    """A part that could not be done: what happened, and the class of its error."""

    error: str
    kind: str


@dataclass(frozen=True)
class AliasCounts:
    """Models, aliases of MLflow that were put right, and those of them that a person had moved."""

    models: int
    repaired: int
    by_hand: int


@dataclass(frozen=True)
class CanaryCounts:
    """Canaries that nobody controls, and those rolled back because a person stopped them."""

    without_controller: int
    stopped: int


@dataclass(frozen=True)
class RetirementCounts:
    """Retirements that were not finished, steps that were done of them, and those that failed."""

    unfinished: int
    steps: int
    failed: int


@dataclass(frozen=True)
class ChainLength:
    """Events of the ledger that hold, and the hash of the last."""

    events: int
    head: str


@dataclass(frozen=True)
class Reconciliation:
    """What each part did, or why it could not."""

    outbox: Delivery | PartFailure
    aliases: AliasCounts | PartFailure
    canaries: CanaryCounts | PartFailure
    retirements: RetirementCounts | PartFailure
    ledger: ChainLength | PartFailure


class Registry(Mirror, Protocol):
    """MLflow, as far as reconciling needs it."""

    def get_aliases(self, model: str) -> dict[str, int]:
        """Alias to Tenure's version number."""
        ...

    def set_alias(self, model: str, alias: str, version: int | None) -> bool:
        """Point an alias, or remove it; False when MLflow knows no such version."""
        ...


def reconcile(
    platform: Installation, run: RunRef, registry: Registry | None = None
) -> Reconciliation:
    """Deliver, repair, resume, verify; one part that fails does not stop the others."""
    follower = registry or platform.mlflow
    return Reconciliation(
        outbox=attempt(platform, "outbox", lambda: deliver(platform)),
        aliases=attempt(platform, "aliases", lambda: _aliases(platform, follower)),
        canaries=attempt(platform, "canaries", lambda: _canaries(platform)),
        retirements=attempt(platform, "retirements", lambda: _retirements(platform, follower, run)),
        ledger=attempt(platform, "ledger", lambda: _ledger(platform, run)),
    )


def attempt(platform: Installation, name: str, part: Callable[[], T]) -> T | PartFailure:
    """Run a part; an error becomes an incident, which closes when the part works again.

    Any error: a bug of one part must not keep the others from their work. The log has its trace.
    """
    try:
        found = part()
    except Exception as error:
        cause, kind = cause_of(error), type(error).__name__
        _log.error("part=%s error=%s cause=%s%s", name, kind, cause, trace_of(error))
        open_incident(platform, f"maintenance:{name}", kind, name, cause, facts=words_of(error))
        return PartFailure(cause, kind)
    close_incident(platform, f"maintenance:{name}")
    numbers = found if isinstance(found, Mapping) else vars(found)
    _log.info("part=%s %s", name, " ".join(f"{k}={v}" for k, v in numbers.items()))
    return found


def _aliases(platform: Installation, registry: Registry) -> AliasCounts:
    """The database is the authority; an alias that somebody moved is put back and reported."""
    from tenure.adapters.sql import maintenance

    with platform.database.begin() as connection:
        models = maintenance.aliases(connection)
    done = one_by_one(
        platform,
        "reconcile_aliases",
        models,
        name=lambda one: one.model,
        do=lambda one: _repair(platform, registry, one),
    )
    return AliasCounts(len(models), sum(n for n, _ in done), sum(n for _, n in done))


def _repair(platform: Installation, registry: Registry, one: "ModelAliases") -> tuple[int, int]:
    """Aliases of one model that were put right, and those of them that a person had moved."""
    repaired = by_hand = 0
    for repair in alias_repairs(one.wanted, registry.get_aliases(one.model), one.earlier):
        repaired += registry.set_alias(one.model, repair.alias, repair.wanted)
        if repair.by_hand:
            by_hand += 1
            open_incident(
                platform,
                f"alias:{one.model}:{repair.alias}",
                "alias_moved",
                one.model,
                f"MLflow's alias {repair.alias} of {one.model} pointed to version "
                f"{repair.found}, which never had that place; it points to {repair.wanted} "
                "again. Serving does not follow MLflow and was not affected.",
            )
    return repaired, by_hand


def _canaries(platform: Installation) -> CanaryCounts:
    """Roll back what was stopped by hand; tell of canaries whose lease ended without a controller.

    Gateways went back to the champion alone in both cases.
    """
    from tenure.adapters.sql import maintenance
    from tenure.usecases.promotion.rollback import settle_stops

    stopped = settle_stops(platform)
    with platform.database.begin() as connection:
        orphans = maintenance.canaries_without_controller(
            connection, platform.clock.now() - ORPHAN_GRACE
        )
        open_keys = set(maintenance.open_incidents(connection, "canary:"))
    one_by_one(
        platform,
        "canaries_without_controller",
        orphans,
        name=lambda one: one.name,
        do=lambda one: _report_orphan(platform, one),
    )
    for key in open_keys - {f"canary:{one.model}" for one in orphans}:
        close_incident(platform, key)
    return CanaryCounts(len(orphans), stopped)


def _report_orphan(platform: Installation, one: "OrphanedCanary") -> None:
    open_incident(
        platform,
        f"canary:{one.model}",
        "canary_without_controller",
        one.name,
        f"The canary {one.name} has no controller: its lease ended at "
        f"{one.lease_until:%H:%M:%S} UTC. Gateways serve 100% champion. Clear the task canary "
        f"of {dag_id(one.model, PROMOTE_MODEL)}: it takes over at {one.share_bp / 100:g}%.",
        facts={"model": one.model, "generation": one.generation},
    )


def _retirements(platform: Installation, mirror: Mirror, run: RunRef) -> RetirementCounts:
    """Go on with what waited for its date, or was left by a killed run."""
    from tenure.adapters.sql import decommissions

    with platform.database.begin() as connection:
        waiting = decommissions.unfinished(connection)
    done = one_by_one(
        platform,
        "decommission",
        waiting,
        name=lambda one: one.name,
        do=lambda one: decommissioning(platform, one.model, mirror).resume(one.version, run),
    )
    return RetirementCounts(len(waiting), sum(map(len, done)), len(waiting) - len(done))


def _ledger(platform: Installation, run: RunRef) -> ChainLength:
    """Verify the chain and remember where it ended, so that nobody rewrites what was verified."""
    checked = check_chain(platform, whole_up_to=_WHOLE_UP_TO)
    found = checked.chain
    if found.broken is not None:
        raise broken_ledger(
            f"The ledger is broken at event {found.broken.seq}: {found.broken.why}."
        )
    if found.head != checked.newest:
        put_anchor(platform, found.head)
        failpoint("ledger.anchored")
        _remember(platform, found, run)
    return ChainLength(found.events, found.head.hash)


def _remember(platform: Installation, found: ChainCheck, run: RunRef) -> None:
    report = Report(
        stage="ledger",
        subject="ledger",
        verdict=Verdict.PASSED,
        summary=f"{found.events:,} ledger events hold.",
        facts={"seq": found.head.seq, "hash": found.head.hash},
        enforced=False,
    )
    platform.reports.save(report, model=None, dataset=None, run=run)
