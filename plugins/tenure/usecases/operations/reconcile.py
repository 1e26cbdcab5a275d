"""Makes what follows the lifecycle database follow it; safe at any time, from any state."""

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from tenure.errors import TenureError
from tenure.installation import Installation
from tenure.layout import PROMOTE_MODEL, dag_id
from tenure.lifecycle.audit.ledger import Anchor, Broken, ChainCheck, broken_ledger
from tenure.lifecycle.audit.reconciliation import ORPHAN_GRACE, alias_repairs
from tenure.usecases.incidents.close_incident import close_incident
from tenure.usecases.incidents.open_incident import open_incident
from tenure.usecases.incidents.outbox import deliver
from tenure.usecases.operations.ledger import check_chain
from tenure.usecases.retirement.decommissioning import Mirror, decommissioning
from tenure.verdicts import Report, Verdict
from tenure.vocabulary import RunRef

if TYPE_CHECKING:
    from sqlalchemy import Connection

_log = logging.getLogger("tenure.maintenance")
_WHOLE_UP_TO = 20_000
"""Events that are verified from the first one each time; a longer chain from the last anchor."""

Part = Callable[[], Mapping[str, Any]]


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
) -> dict[str, dict[str, Any]]:
    """Deliver, repair, resume, verify; one part that fails does not stop the others.

    Returns:
        Numbers of each part: `outbox`, `aliases`, `canaries`, `retirements`, `ledger`; a part that
        failed has `error` and an open incident instead.
    """
    follower = registry or platform.mlflow
    parts: dict[str, Part] = {
        "outbox": lambda: vars(deliver(platform)),
        "aliases": lambda: _aliases(platform, follower),
        "canaries": lambda: _canaries(platform),
        "retirements": lambda: _retirements(platform, follower, run),
        "ledger": lambda: _ledger(platform, run),
    }
    return {name: attempt(platform, name, part) for name, part in parts.items()}


def attempt(platform: Installation, name: str, part: Part) -> dict[str, Any]:
    """Run a part; a TenureError becomes an incident, which closes when the part works again."""
    try:
        found = dict(part())
    except TenureError as error:
        _log.error("part=%s error=%s cause=%s", name, type(error).__name__, error.what)
        open_incident(platform, f"maintenance:{name}", type(error).__name__, name, error.what)
        return {"error": error.what, "kind": type(error).__name__}
    close_incident(platform, f"maintenance:{name}")
    _log.info("part=%s %s", name, " ".join(f"{k}={v}" for k, v in found.items()))
    return found


def _aliases(platform: Installation, registry: Registry) -> dict[str, Any]:
    """The database is the authority; an alias that somebody moved is put back and reported."""
    from tenure.adapters.sql import maintenance

    with platform.database.begin() as connection:
        models = maintenance.aliases(connection)
    repaired = by_hand = 0
    for one in models:
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
    return {"models": len(models), "repaired": repaired, "by_hand": by_hand}


def _canaries(platform: Installation) -> dict[str, Any]:
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
    for one in orphans:
        name = f"{one['model']}@{one['version']}"
        open_incident(
            platform,
            f"canary:{one['model']}",
            "canary_without_controller",
            name,
            f"The canary {name} has no controller: its lease ended at {one['lease_until']:%H:%M:%S}"
            f" UTC. Gateways serve 100% champion. Clear the task canary of "
            f"{dag_id(one['model'], PROMOTE_MODEL)}: it takes over at {one['share_bp'] / 100:g}%.",
            generation=one["generation"],
        )
    for key in open_keys - {f"canary:{one['model']}" for one in orphans}:
        close_incident(platform, key)
    return {"without_controller": len(orphans), "stopped": stopped}


def _retirements(platform: Installation, mirror: Mirror, run: RunRef) -> dict[str, Any]:
    """Go on with what waited for its date, or was left by a killed run."""
    from tenure.adapters.sql import decommissions

    with platform.database.begin() as connection:
        waiting = decommissions.unfinished(connection)
    steps = failed = 0
    for one in waiting:
        key = f"decommission:{one.name}"
        try:
            done = decommissioning(platform, one.model, mirror).resume(one.version, run)
        except TenureError as error:
            failed += 1
            open_incident(platform, key, type(error).__name__, one.name, error.what)
            continue
        steps += len(done)
        close_incident(platform, key)
    return {"unfinished": len(waiting), "steps": steps, "failed": failed}


def _ledger(platform: Installation, run: RunRef) -> dict[str, Any]:
    """Verify the chain and remember where it ended, so that nobody rewrites what was verified."""
    from tenure.adapters.sql import maintenance

    with platform.database.begin() as connection:
        anchor = maintenance.last_verified(connection)
        found = _check(connection, anchor)
    if found.broken is not None:
        raise broken_ledger(
            f"The ledger is broken at event {found.broken.seq}: {found.broken.why}."
        )
    if found.head != anchor:
        _remember(platform, found, run)
    return {"events": found.events, "head": found.head.hash}


def _check(connection: "Connection", anchor: Anchor) -> ChainCheck:
    from tenure.adapters.sql import chain

    held = chain.hash_at(connection, anchor.seq) if anchor.seq else anchor.hash
    if held != anchor.hash:
        why = f"it was verified with hash {anchor.hash[:12]}… and has {str(held)[:12]}… now"
        return ChainCheck(anchor.seq - 1, anchor, Broken(anchor.seq, why))
    return check_chain(connection, anchor if anchor.seq > _WHOLE_UP_TO else None)


def _remember(platform: Installation, found: ChainCheck, run: RunRef) -> None:
    report = Report(
        stage="ledger",
        subject="ledger",
        verdict=Verdict.PASSED,
        summary=f"{found.events:,} ledger events hold.",
        facts={"seq": found.head.seq, "hash": found.head.hash},
    )
    platform.reports.save(report, model=None, dataset=None, run=run)
