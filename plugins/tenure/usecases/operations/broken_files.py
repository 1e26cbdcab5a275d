"""Opens an incident for each broken config or suite, and each DAG file that is not imported."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tenure.config import ConfigSet
from tenure.config.suites import check, users_of
from tenure.installation import Installation
from tenure.usecases.incidents.close_incident import close_others
from tenure.usecases.incidents.open_incident import open_incident

_CONFIG, _IMPORT = "config", "import"
_FOLDERS, _SUITES = {"models": "model", "datasets": "dataset"}, "expectations"
_BANNER = "check_configs.py"
"""It fails to import when a config is broken, which is told of the config."""
_WORDS = {
    "still_safe": "Other DAGs go on; those of this file keep its last valid form.",
    "next_step": "Correct the lines, or ask the owner to; then check the file again on the "
    "incident page, or wait for maintenance. `tenure check` says the same on a terminal.",
}
_SHOWN = 1_000
"""Characters of an error of an import, from its end: the cause stands there."""


class ImportErrors(Protocol):
    """What is asked of Airflow."""

    def import_errors(self) -> dict[str, str]:
        """Why DAG files cannot be imported, by file."""
        ...


@dataclass(frozen=True)
class FileCounts:
    """Files that are broken now."""

    broken: int


def report_configs(platform: Installation) -> FileCounts:
    """One incident a file; it closes when the file is right, or gone."""
    from tenure.config.problems import describe

    include = platform.settings.include
    found, problems = check(include, platform.clock.now().date())
    by_file = {
        path: describe([one for one in problems if one.path == path])
        for path in sorted({one.path for one in problems})
    }
    for path, said in by_file.items():
        name = _short(path, include)
        open_incident(
            platform,
            f"{_CONFIG}:{name}",
            "ConfigInvalid",
            name,
            said,
            facts=_WORDS | _whose(name, found),
        )
    close_others(platform, _CONFIG, {_short(path, include) for path in by_file})
    return FileCounts(len(by_file))


def problems_of(platform: Installation, name: str) -> list[str]:
    """What is wrong with a config or suite now, as its incident names the file."""
    include = platform.settings.include
    _, problems = check(include, platform.clock.now().date())
    return [str(one) for one in problems if _short(one.path, include) == name]


def report_imports(platform: Installation, airflow: ImportErrors) -> FileCounts:
    """One incident a file; it closes when Airflow imports it, or knows it no more."""
    found = {name: said for name, said in airflow.import_errors().items() if _is_bare(name)}
    for name, said in found.items():
        open_incident(platform, f"{_IMPORT}:{name}", "dag_import_error", name, _tail(said))
    close_others(platform, _IMPORT, found)
    return FileCounts(len(found))


def _is_bare(name: str) -> bool:
    return Path(name).name != _BANNER


def _short(path: Path, include: Path) -> str:
    return str(path.relative_to(include)) if path.is_relative_to(include) else str(path)


def _whose(name: str, found: ConfigSet) -> dict[str, object]:
    """The model or the datasets that a file is about, so that who answers for them can be asked.

    A suite is about each dataset whose YAML names it, however the file is called.
    """
    *_, folder, _ = ("", *Path(name).parts)
    stem = Path(name).stem
    if folder in _FOLDERS:
        return {_FOLDERS[folder]: stem}
    users = users_of(found, stem) if folder == _SUITES else []
    if not users:
        return {}
    stewards = dict.fromkeys(one.steward for one in users)
    names = [one.name for one in users]
    return {"dataset": names[0], "datasets": names, "owner": ", ".join(stewards)}


def _tail(said: str) -> str:
    text = said.strip()
    return text if len(text) <= _SHOWN else f"… {text[-_SHOWN:]}"
