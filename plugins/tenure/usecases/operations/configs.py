"""What the lifecycle database knows of configs: a YAML that is gone while its model serves.

Import it inside functions: it loads SQLAlchemy.
"""

from tenure.adapters.sql import versions
from tenure.config.problems import Problem
from tenure.installation import Installation
from tenure.vocabulary import State

SERVES = (State.CHAMPION, State.CANARY)
"""States in which a version answers requests."""


def lost_configs(platform: Installation) -> list[Problem]:
    """Every model that serves and has no YAML: nothing watches, retrains or retires it.

    Raises:
        ServiceUnreachable: The database does not answer.
    """
    with platform.database.begin() as connection:
        serving = [ref for ref in versions.all_of(connection) if ref.state in SERVES]
    folder = platform.settings.configs / "models"
    return [
        Problem(
            folder / f"{ref.model}.yaml",
            1,
            f"there is no such file, and {ref.name} serves ({ref.state}): nothing monitors, "
            "retrains or retires it. Restore the file, or put another version in its place first",
        )
        for ref in serving
        if not (folder / f"{ref.model}.yaml").is_file()
    ]
