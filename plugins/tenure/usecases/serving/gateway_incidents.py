"""Incidents that a gateway opens and closes about the versions that it serves, and its logs."""

from collections.abc import Mapping
from datetime import datetime

from tenure.installation import Installation
from tenure.lifecycle.decisions.decision_log import Trouble
from tenure.lifecycle.serving import CanaryStop
from tenure.usecases.incidents.open_incident import dedupe_key
from tenure.vocabulary import storable

TROUBLES = {
    "log_damaged": "not as it was written, kept in wal/{log}/damaged",
    "log_unshippable": "cannot be stored, kept in wal/{log}/unshippable and tried again every ten "
    "minutes and at each start",
    "log_waiting": "everything waits for the store or the database, the oldest first",
}
"""What an incident says of the segments that it names."""


class GatewayIncidents:
    """What one gateway says of versions. Every method may raise ServiceUnreachable.

    Args:
        platform: The connected installation.
        gateway: Id of the gateway.
    """

    def __init__(self, platform: Installation, gateway: str) -> None:
        self._platform = platform
        self._gateway = gateway

    def report_failure(self, model: str, version: int, kind: str, cause: str) -> None:
        """Open an incident, or count one more in the open one."""
        from tenure.adapters.sql import incidents

        subject = f"{model}@{version}"
        said = {
            "artifact_refused": "cannot load",
            "model_crashed": "lost",
            "other_libraries": "serves with other libraries than were trained with",
            "variant_refused": "serves by scikit-learn, not by ONNX,",
        }[kind]
        now = self._platform.clock.now()
        with self._platform.database.begin() as connection:
            incidents.open_incident(
                connection,
                dedupe_key=f"{kind}:{subject}",
                kind=kind,
                subject=subject,
                at=now,
                summary=f"Gateway {self._gateway} {said} {subject}: {cause}"[:1000],
                facts={"gateway": self._gateway, "said_at": now.isoformat()},
            )

    def report_load(self, model: str, version: int, *, began: datetime, note: str) -> None:
        """Close what was said of the version before, unless it holds still."""
        from tenure.adapters.sql import incidents

        with self._platform.database.begin() as connection:
            incidents.close_after_load(
                connection,
                model=model,
                version=version,
                before=began,
                is_as_asked=not note,
                at=self._platform.clock.now(),
            )

    def stop_canary(self, stop: CanaryStop) -> None:
        """Tell who stopped a canary here. Maintenance rolls it back: a gateway moves no version."""
        from tenure.adapters.sql import incidents

        subject = f"{stop.model}@{stop.version}"
        facts = {"version_id": stop.version_id, "gateway": self._gateway, "by": stop.by}
        facts |= {"reason": stop.reason, "at": stop.at.isoformat()}
        with self._platform.database.begin() as connection:
            incidents.open_incident(
                connection,
                dedupe_key=f"canary_stopped:{subject}:{self._gateway}",
                kind="canary_stopped",
                subject=subject,
                at=self._platform.clock.now(),
                summary=f"The canary {subject} was stopped at gateway {self._gateway} with the key "
                f"{stop.by}: {stop.reason}"[:1000],
                facts=facts,
            )

    def report_stops(self, *, is_corrupt: bool) -> None:
        """Open the incident about stops that nobody can read, or close it."""
        from tenure.adapters.sql import incidents

        key, now = f"stops_corrupt:{self._gateway}", self._platform.clock.now()
        with self._platform.database.begin() as connection:
            if not is_corrupt:
                incidents.close_incident(connection, dedupe_key=key, at=now)
                return
            incidents.open_incident(
                connection,
                dedupe_key=key,
                kind="stops_corrupt",
                subject=self._gateway,
                at=now,
                summary=f"Gateway {self._gateway} cannot read which canaries were stopped at it, "
                "so it gives none of them anything. Look which were, stop them again, then remove "
                "stops.json.corrupt from its folder.",
                facts={"gateway": self._gateway},
            )

    def report_aside(self, items: Mapping[str, str]) -> None:
        """Open an incident for each thing that was set aside; close those of all others."""
        from tenure.adapters.sql import incidents, maintenance

        now, mine = self._platform.clock.now(), f"set_aside:{self._gateway}:"
        keys = {dedupe_key(f"{mine}{item}"): item for item in items}
        with self._platform.database.begin() as connection:
            for key, item in keys.items():
                incidents.open_incident(
                    connection,
                    dedupe_key=key,
                    kind="set_aside",
                    subject=self._gateway,
                    at=now,
                    summary=f"Gateway {self._gateway} set aside {item} and went on with the rest; "
                    f"it is tried again with every look: {items[item]}"[:1000],
                    facts={"gateway": self._gateway, "item": storable(item)},
                )
            for key in {*maintenance.open_incidents(connection, mine)} - keys.keys():
                incidents.close_incident(connection, dedupe_key=key, at=now)

    def report_log(self, log: str, troubles: Mapping[str, Trouble]) -> None:
        """Open, or bring up to date, an incident for each kind of trouble; close it when over."""
        from tenure.adapters.sql import incidents

        now = self._platform.clock.now()
        with self._platform.database.begin() as connection:
            for kind, trouble in troubles.items():
                key, named = f"{kind}:{self._gateway}:{log}", trouble.segments
                if not named:
                    incidents.close_incident(connection, dedupe_key=key, at=now)
                    continue
                incidents.open_incident(
                    connection,
                    dedupe_key=key,
                    kind=kind,
                    subject=self._gateway,
                    at=now,
                    summary=f"Gateway {self._gateway}, log of {log}: "
                    f"{TROUBLES[kind].format(log=log)}: {_named(named)}. {trouble.cause}".strip()[
                        :1000
                    ],
                    facts={"gateway": self._gateway, "log": log, "segments": len(named)},
                )


def _named(segments: tuple[str, ...]) -> str:
    more = f" and {len(segments) - 1:,} more" if len(segments) > 1 else ""
    return f"{segments[0]}{more}"
