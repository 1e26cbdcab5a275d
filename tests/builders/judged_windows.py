"""Judged windows as monitoring stores them: a result, its report, its checks and facts."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert

from tenure.adapters.sql import tables as t
from tenure.verdicts import Check, Report, Severity, Verdict
from tenure.vocabulary import RunRef

if TYPE_CHECKING:
    from datetime import datetime

FEATURES = (
    *("hour", "minute", "day_of_week", "distance", "temp", "dewp", "humid"),
    *("wind_speed", "precip", "visib", "gust", "carrier", "origin", "dest"),
)
PASSED, FAILED, INCONCLUSIVE = Verdict.PASSED, Verdict.FAILED, Verdict.INCONCLUSIVE


def coverage(share: float = 0.9) -> Check:
    verdict = PASSED if share >= 0.5 else INCONCLUSIVE
    return Check("label coverage", verdict, f"{share:.0%}", "at least 50%", value=share, limit=0.5)


def metric(value: float | None, verdict: Verdict = PASSED, rule: str = "wrong_label_rate") -> Check:
    if value is None:
        return Check(rule, INCONCLUSIVE, "is not defined on these decisions", "a number")
    ends = (value - 0.02, value + 0.02)
    return Check(rule, verdict, f"{value}", "at most 0.22", value=value, limit=0.22, interval=ends)


def drift(feature: str, psi: float) -> Check:
    verdict = FAILED if psi > 0.25 else PASSED
    is_score = feature == "score"
    return Check(
        "prediction drift" if is_score else "drift",
        verdict,
        f"PSI {psi}",
        "PSI at most 0.25",
        subject=feature,
        severity=Severity.INFO if is_score else Severity.CRITICAL,
        value=psi,
        limit=0.25,
        interval=(max(psi - 0.05, 0.0), psi + 0.05),
    )


def gap(by: str, value: float, limit: float = 0.1) -> Check:
    return Check(
        "false_positive_rate difference",
        FAILED if value - 0.02 > limit else PASSED,
        f"{value:.3f} between EV and UA",
        f"at most {limit}",
        subject=by,
        value=value,
        limit=limit,
        interval=(value - 0.02, value + 0.02),
    )


def pictured(*features: str) -> dict[str, Any]:
    counts = {"bins": ["null", "low", "high"], "reference": [0, 50, 50], "current": [3, 20, 80]}
    return {
        "traffic": {"decisions": 103, "by_no_model": 3},
        "score": {"current": [0.2, 0.4, 0.7], "reference": [0.2, 0.3, 0.6]},
        "distributions": dict.fromkeys(("score", *features), counts),
    }


class JudgedWindows:
    """Writes results of one model, one day a window."""

    def __init__(self, platform: Any, now: datetime, model: str = "flight_late") -> None:
        self.platform, self.now, self.model = platform, now, model
        self.number = 0

    def history(self, version_id: int, windows: int = 38, rule: str = "mae") -> int:
        """Every kind of result, day by day: 14 features, three gaps. Returns the last drift."""
        last = 0
        for day in range(windows, 0, -1):
            swing = 0.03 * math.sin(day / 3)
            moved = {name: abs(0.05 + n / 100 + swing) for n, name in enumerate(FEATURES)}
            moved["temp"] = 0.1 + 0.01 * (windows - day)
            order = sorted(moved, key=lambda name: -moved[name])
            checks = [drift(name, round(moved[name], 6)) for name in order]
            last = self.add(version_id, "drift", day, [*checks, drift("score", 0.05)],
                            **pictured(*FEATURES))  # fmt: skip
            wrong = metric(round(0.19 + swing, 6), rule=rule)
            ece = {"metrics": {"ece": 0.03 + swing / 3}, "intervals": {"ece": [0.01, 0.05]}}
            self.add(version_id, "performance", day, [wrong, coverage(0.9 - day / 200)], **ece)
            gaps = [gap(by, 0.06 + swing) for by in ("carrier", "origin", "carrier & origin")]
            small = Check("group rows", INCONCLUSIVE, "31 rows", "at least 100", "carrier=HA")
            self.add(version_id, "fairness", day, [*gaps, small])
            broken = Check("null share", FAILED, "3 of 1,000", "none", "visib")
            self.add(version_id, "quality", day, [broken] * (day % 5 == 0), verdict=PASSED)
        return last

    def add(
        self,
        version_id: int,
        kind: str,
        day: int,
        checks: Sequence[Check] = (),
        *,
        verdict: Verdict | None = None,
        summary: str = "",
        days: int = 1,
        **facts: Any,
    ) -> int:
        """A window that ends `day` days ago. Returns the result's id."""
        self.number += 1
        found = verdict or (checks[0].verdict if checks else INCONCLUSIVE)
        said = summary or f"{kind.capitalize()} {found}: number {self.number}."
        report = Report(
            "monitoring",
            self.model,
            found,
            said,
            tuple(checks),
            {"kind": kind, "number": self.number, **facts},
            enforced=False,
        )
        run = RunRef(f"{self.model}__monitor_model", f"run-{self.number}", "monitor")
        digest = self.platform.reports.save(report, model=self.model, dataset=None, run=run)
        end = self.now - timedelta(days=day)
        with self.platform.database.begin() as connection:
            row = connection.execute(
                insert(t.monitoring_result)
                .values(
                    model=self.model,
                    model_version_id=version_id,
                    window_start=end - timedelta(days=days),
                    window_end=end,
                    kind=kind,
                    verdict=str(found),
                    decisions=1_000 + day,
                    selection=hashlib.sha256(f"{self.number}".encode()).hexdigest(),
                    report_digest=digest,
                    created_at=end,
                )
                .returning(t.monitoring_result.c.id)
            )
            number: int = row.scalar_one()
            return number
