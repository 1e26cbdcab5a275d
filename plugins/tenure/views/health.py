"""The health strip: what was last heard of each part of the platform, and what needs a person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tenure.config import load_all
from tenure.installation import Installation
from tenure.layout import MAINTAIN_PLATFORM
from tenure.lifecycle.serving.presence import ALIVE_SECONDS
from tenure.lifecycle.serving.silence import MAINTENANCE_SECONDS, MISSED, LifeSign

if TYPE_CHECKING:
    from tenure.adapters.sql.health import DeliveryHealth

AIRFLOW_SECONDS = 15.0
"""Airflow takes a component for dead after 30 s without a heartbeat: two periods."""
AIRFLOW_PARTS = ("scheduler", "triggerer", "dag-processor")


@dataclass(frozen=True)
class AirflowSigns:
    """What Airflow's own database says.

    Args:
        heartbeats: Last heartbeat of each component that ever ran.
        parsed_at: When a DAG file was read last.
        import_errors: DAG files that cannot be read now.
    """

    heartbeats: Mapping[str, datetime]
    parsed_at: datetime | None = None
    import_errors: int = 0


def life_signs(platform: Installation, airflow: AirflowSigns) -> list[LifeSign]:
    """Every part in the order of the strip. Raises ServiceUnreachable without the database."""
    from tenure.adapters.sql import health

    with platform.database.begin() as connection:
        beats = health.heartbeats(connection)
        gateway, is_planned = health.gateways(connection)
        sent = health.deliveries(connection)
    return [
        *(
            LifeSign(name, airflow.heartbeats.get(name), AIRFLOW_SECONDS, is_needed=True)
            for name in AIRFLOW_PARTS
        ),
        LifeSign("database", platform.clock.now()),
        *(
            LifeSign(name, beats[key].seen_at, beats[key].period_seconds)
            if key in beats
            else LifeSign(name, None, MAINTENANCE_SECONDS, note="no maintenance run yet")
            for name, key in (("maintenance", MAINTAIN_PLATFORM), ("MLflow", "mlflow"))
        ),
        LifeSign(
            "gateways",
            gateway,
            ALIVE_SECONDS / MISSED,
            note="" if gateway else "no gateway has taken up a plan",
            is_needed=is_planned,
        ),
        _configs(platform.settings.include, airflow),
        _receiver(sent),
    ]


def verdict(signs: Sequence[LifeSign], *, now: datetime, persons: int) -> tuple[str, str]:
    """The first sentence of the overview without its moment, and its tone.

    Args:
        signs: The health strip.
        now: By the clock of the page.
        persons: Incidents, approvals, reviews and proposed suites that wait for somebody.
    """
    bad = [sign.name for sign in signs if sign.state(now) == "failed"]
    said = []
    if bad:
        said.append(f"{_listed(bad)} {'is' if len(bad) == 1 else 'are'} silent or in trouble")
    if persons:
        said.append(f"{persons} {'thing needs' if persons == 1 else 'things need'} a person")
    words = ", and ".join(said) or "all well"
    return words[0].upper() + words[1:], "failed" if bad else "inconclusive" if said else "passed"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _receiver(sent: "DeliveryHealth") -> LifeSign:
    """Of messages to the outside; an installation that never had a receiver is told so."""
    said = [f"{sent.failing} of its messages cannot be delivered"] if sent.failing else []
    note = "" if sent.delivered_at else "nothing was sent to it yet"
    if sent.for_nobody:
        note = f"{sent.for_nobody} alerts were for nobody: no Airflow connection tenure_alerts"
    if sent.for_nobody and sent.delivered_at:  # there was one
        said.append(note)
        note = ""
    return LifeSign("receiver", sent.delivered_at, trouble="; ".join(said), note=note)


def _configs(include: Path, airflow: AirflowSigns) -> LifeSign:
    broken = {problem.path for problem in load_all(include).problems}
    said = []
    if broken:
        said.append(f"{len(broken)} broken: {', '.join(sorted(path.name for path in broken))}")
    if airflow.import_errors:
        said.append(f"{airflow.import_errors} DAG files cannot be read")
    return LifeSign("configs", airflow.parsed_at, trouble="; ".join(said))
