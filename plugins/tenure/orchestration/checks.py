"""Makes broken configs visible in Airflow without hiding a single DAG."""

from __future__ import annotations

from tenure.config.suites import check
from tenure.errors import ConfigInvalid
from tenure.installation import SystemClock
from tenure.settings import Settings


def refuse_broken_configs() -> None:
    """Do nothing when every YAML and suite is valid.

    Raises:
        ConfigInvalid: Lists every problem of every file with its line.
    """
    include = Settings.from_environment().include
    _, problems = check(include, SystemClock().now().date())
    if problems:
        files = len({problem.path for problem in problems})
        listed = "\n".join(str(problem) for problem in problems)
        raise ConfigInvalid(
            f"{len(problems)} problems in {files} files:\n{listed}",
            still_safe="Other DAGs go on; those of a broken file keep its last valid form.",
            next_step="Correct the lines; `tenure check` says whether all is well.",
        )
