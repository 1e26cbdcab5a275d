"""An empty project: a folder with configs and suites of its own."""

from pathlib import Path

from tenure.errors import StateConflict

_PLATFORM = """\
# Who may do what. Deny by default: a name that is not listed has no role. Users are those of
# Airflow's login; the embedded stack (`tenure up`) makes a login for each name. Put your own people
# here: who trained a version cannot approve it, and two different people retire one.
roles:
  viewer: [vera]
  trainer: [ada]
  approver: [grace]
  operator: [olga]
  decommissioner: [dora, grace]
  steward: [sam]
  auditor: [vera]
webhook_hosts: [127.0.0.1]
"""
_README = """\
# A Tenure project

    tenure new dataset NAME --from FILE   # contract and first suite, from a sample
    tenure check                          # every problem, by file and line
    tenure up                             # Airflow, MLflow, gateway, until Ctrl-C
    tenure ingest NAME                    # in another terminal: takes in what lies in landing/NAME/
    tenure new model MODEL --dataset NAME --label COLUMN
    tenure train MODEL --reason WHY       # a version, through its gates; then people approve it

Run the commands in this folder (`tenure` is `.venv/bin/tenure` of the checkout: put that folder on
the PATH); each prints the next one. `tenure` takes the nearest folder that holds
`include/configs/platform.yaml`, and keeps its state in `var/`.
"""
_FILES = {
    "include/configs/platform.yaml": _PLATFORM,
    "include/configs/datasets/.gitkeep": "",
    "include/configs/models/.gitkeep": "",
    "include/expectations/.gitkeep": "",
    "README.md": _README,
    ".gitignore": "var/\n",
}


def new_project(folder: Path) -> list[Path]:
    """Write the files of an empty project; returns them.

    Raises:
        StateConflict: The folder holds one of them; nothing was written.
    """
    wanted = {folder / name: text for name, text in _FILES.items()}
    if there := [path for path in wanted if path.exists() or path.is_symlink()]:
        raise StateConflict(
            f"{folder} holds {len(there)} of the {len(wanted)} files already, such as {there[0]}.",
            still_safe="Nothing was written.",
            next_step="Choose an empty folder, or use the project that is there.",
        )
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(wanted)
