"""What parsing the DAG files costs: in the dag processor, and in a task, by number of models.

Run: `.venv/bin/python benchmarks/dag_files.py [--models 1 50 200] [--rounds 5] [--write]`

CPU seconds of the process in the best round, so that neighbours matter less. As in Airflow, a
process that has imported Airflow forks a child for each file. Only the child is measured, and it
runs Airflow's own code: `_parse_file` of the dag processor (imports, DAGs, serialization), or
`BundleDagBag` as the task runner calls it. "Nothing remembered": no config was read before. Peers:
one DAG with one EmptyOperator, and each file's DAGs written out by hand over EmptyOperators, with
the same tasks, words and form. `--write` replaces the section in RESULTS.md;
`--profile promote_model [--mode task]` prints where the time goes.
"""

import argparse
import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__)
REPOSITORY = HERE.resolve().parents[1]
HEADING = "## DAG files: what a parse costs"
TASKS: dict[str, tuple[str, ...]] = {
    "train_model": ("plan", "train", "evaluate", "audit_bias", "register"),
    "promote_model": ("review", "approve", "canary"),
    "monitor_model": ("monitor", "draw"),
    "batch_score": ("plan", "score", "finish"),
    "decommission_model": ("plan", "confirm", "notify", "archive", "delete", "record"),
    "ingest_data": ("discover", "ingest"),
    "retrain_models": ("decide",),
    "maintain_platform": ("maintain",),
    "check_configs": (),
}
"""Tasks of a DAG of each file."""
FIELDS = {"train_model": 1, "promote_model": 1, "batch_score": 2, "decommission_model": 3}
"""Fields of the form that the DAGs of a file are triggered with."""
OF_MODELS = tuple(TASKS)[:5]
MODELS_A_DATASET = 25
BUDGET = {"processor": 1.5, "task": 0.1}
"""CPU seconds, of DESIGN 9."""

EMPTY, COLD, BY_HAND = "empty", ", nothing remembered", ", by hand"
Ran = Callable[[], object]


# What there is to parse


def write_include(include: Path, models: int) -> list[str]:
    """A valid `include/` of so many models over a few datasets; returns names of the datasets."""
    source = REPOSITORY / "include"
    shutil.copytree(source, include)
    configs = include / "configs"
    model, dataset = configs / "models/flight_late.yaml", configs / "datasets/flights.yaml"
    said = model.read_text(), dataset.read_text()
    model.unlink()
    dataset.unlink()
    datasets = [f"d{n:03}" for n in range(-(-models // MODELS_A_DATASET))]
    for name in datasets:
        dataset.with_stem(name).write_text(said[1].replace("name: flights", f"name: {name}"))
    for n in range(models):
        of = datasets[n // MODELS_A_DATASET]
        text = said[0].replace("name: flight_late", f"name: m{n:03}")
        model.with_stem(f"m{n:03}").write_text(text.replace("dataset: flights", f"dataset: {of}"))
    return datasets


def write_by_hand(folder: Path, stage: str, names: Sequence[str]) -> Path:
    """The DAGs of a file as one would write them out: the same tasks, settings and words."""
    doc = (REPOSITORY / "dags" / f"{stage}.py").read_text().split('"""')[1]
    lines = [
        "import datetime",
        "from airflow.sdk import DAG, CronTriggerTimetable, Param, chain",
        "from airflow.providers.standard.operators.empty import EmptyOperator",
        f'DOC = """{doc}"""',
    ]
    tasks = ", ".join(f'EmptyOperator(task_id="{task}")' for task in TASKS[stage])
    form = {
        f"field{n}": 'Param("", type="string", maxLength=9)' for n in range(FIELDS.get(stage, 0))
    }
    params = ", ".join(f'"{field}": {param}' for field, param in form.items())
    for name in names:
        lines += [
            f'with DAG("{name}__{stage}",',
            '    schedule=CronTriggerTimetable("*/5 * * * *", timezone="UTC"),',
            "    start_date=datetime.datetime(2013, 1, 1, tzinfo=datetime.UTC), catchup=False,",
            f'    max_active_runs=1, doc_md=DOC, tags=["model:{name}", "stage:x", "tier:limited"],',
            f'    params={{{params}}}, default_args={{"owner": "ada", "retries": 2}}):',
            f"    chain({tasks})",
        ]
    path = folder / f"{stage}_{len(names)}.py"
    path.write_text("\n".join(lines) + "\n")
    return path


# One host process: has Airflow imported, forks a child for each measurement


def host(jobs: Sequence[Mapping[str, Any]], mode: str, rounds: int) -> None:
    """Run each job in forked children and print what they measured as one line of JSON."""
    runs = {"processor": _as_processor, "task": _as_task}
    run, pre = runs[mode], _pre_import if mode == "processor" else lambda _path: None
    run_once = {job["name"]: run(job) for job in jobs}
    found: dict[str, list[dict[str, Any]]] = {job["name"]: [] for job in jobs}
    for job in jobs:
        pre(job["path"])
    gc.freeze()  # as the dag processor and the executor do before they fork
    for _ in range(rounds):
        for job in jobs:
            found[job["name"]].append(_forked(job, run_once[job["name"]]))
    print(json.dumps(found))


def _pre_import(path: str) -> None:
    """What the dag processor's manager does before it forks."""
    import structlog
    from airflow.dag_processing.processor import _pre_import_airflow_modules

    _pre_import_airflow_modules(path, structlog.get_logger())


def _as_processor(job: Mapping[str, Any]) -> Ran:
    import structlog
    from airflow.dag_processing.processor import DagFileParseRequest, _parse_file

    log = structlog.get_logger()
    path = Path(job["path"])
    asked = DagFileParseRequest(file=str(path), bundle_path=path.parent, bundle_name="dags-folder")

    def run() -> object:
        done = _parse_file(asked, log)
        assert done is not None
        assert not done.import_errors, done.import_errors
        return len(done.serialized_dags)

    return run


def _as_task(job: Mapping[str, Any]) -> Ran:
    """As `airflow.sdk.execution_time.task_runner.parse`."""
    from airflow.dag_processing.dagbag import BundleDagBag
    from airflow.sdk.execution_time.task_runner import _airflow_parsing_context_manager

    path = Path(job["path"])

    def run() -> object:
        with _airflow_parsing_context_manager(dag_id=job["dag_id"], task_id=job["task_id"]):
            bag = BundleDagBag(
                path,
                safe_mode=False,
                load_op_links=False,
                bundle_path=path.parent,
                bundle_name="dags-folder",
            )
        assert bag.dags[job["dag_id"]].task_dict[job["task_id"]]
        return len(bag.dags)

    return run


def _forked(job: Mapping[str, Any], run: Ran) -> dict[str, Any]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.environ |= job["env"]
        if job.get("cold"):
            os.environ["TENURE_HOME"] = tempfile.mkdtemp(dir=job["cold"])
        began = time.process_time()
        dags = _profiled(run) if job.get("profile") else run()
        seconds = time.process_time() - began
        os.write(writing, json.dumps({"seconds": seconds, "dags": dags}).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        said = stream.read()
    os.waitpid(child, 0)
    if not said:
        raise RuntimeError(f"{job['name']}: the child broke")
    answer: dict[str, Any] = json.loads(said)
    return answer


def _profiled(run: Ran) -> object:
    import cProfile
    import pstats

    with cProfile.Profile() as profile:
        dags = run()
    pstats.Stats(profile, stream=sys.stderr).sort_stats("cumulative").print_stats(70)
    pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(30)
    return dags


# The comparison


def measure(
    folder: Path, jobs: Sequence[Mapping[str, Any]], mode: str, rounds: int
) -> dict[str, dict[str, Any]]:
    """Seconds of the best round by job, measured in a host process of its own."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        # Parsing opens no connection: nobody listens there.
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql+psycopg2://nobody@127.0.0.1:9/none",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "_AIRFLOW_PROCESS_CONTEXT": "client",
        "PYTHONPATH": str(REPOSITORY / "plugins"),
    }
    done = subprocess.run(
        [sys.executable, str(HERE), "--host", mode, "--rounds", str(rounds)],
        input=json.dumps(jobs),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    if any(job.get("profile") for job in jobs):
        print(done.stderr, file=sys.stderr)
    runs = json.loads(done.stdout.splitlines()[-1])
    return {
        name: {
            "seconds": min(one["seconds"] for one in found),
            "dags": found[0]["dags"],
        }
        for name, found in runs.items()
    }


def jobs_of(folder: Path, models: int) -> dict[str, list[dict[str, Any]]]:
    """Jobs of the dag processor and of a task over an installation with so many models."""
    include, hand = folder / f"include_{models}", folder / f"hand_{models}"
    hand.mkdir()
    datasets = write_include(include, models)
    env = {"TENURE_INCLUDE": str(include), "TENURE_HOME": str(folder / f"home_{models}")}
    names = [f"m{n:03}" for n in range(models)]
    empty = {
        "name": EMPTY,
        "path": str(write_by_hand(hand, "maintain_platform", [EMPTY])),
        "env": {},
    }
    whole = [empty]
    tasks = [empty | {"dag_id": f"{EMPTY}__maintain_platform", "task_id": "maintain"}]
    for stage, steps in TASKS.items():
        owners = {"ingest_data": datasets}.get(stage, names if stage in OF_MODELS else [EMPTY])
        ours = {"name": stage, "path": str(REPOSITORY / "dags" / f"{stage}.py"), "env": env}
        whole += [ours, ours | {"name": f"{stage}{COLD}", "cold": str(folder)}]
        if not steps:
            continue
        written = {"name": f"{stage}{BY_HAND}", "env": {}}
        written["path"] = str(write_by_hand(hand, stage, owners))
        whole.append(written)
        of_hand = {"dag_id": f"{owners[-1]}__{stage}", "task_id": steps[0]}
        of_ours = of_hand | ({"dag_id": stage} if owners == [EMPTY] else {})
        tasks += [ours | of_ours, whole[-2] | of_ours, written | of_hand]
    return {"processor": whole, "task": tasks}


def report(models: Sequence[int], rounds: int) -> list[str]:
    """Measure all and return the Markdown of RESULTS.md."""
    lines = []
    with tempfile.TemporaryDirectory(prefix="tenure-dags-") as name:
        for count in models:
            jobs = jobs_of(Path(name), count)
            seen = {mode: measure(Path(name), of, mode, rounds) for mode, of in jobs.items()}
            lines += _table(count, seen)
        lines += _budgets(models[-1], seen)
        lines += _reading(Path(name) / f"include_{models[-1]}")
    return lines


def _reading(include: Path) -> list[str]:
    """What a page that needs all configs costs, in a process that read them before or did not."""
    from tenure.config import load_all

    lines = ["| all configs, as a page reads them | CPU seconds |", "|---|---|"]
    for said in ("first time", "again"):
        began = time.process_time()
        load_all(include)
        lines.append(f"| {said} | {time.process_time() - began:.3f} |")
    return [*lines, ""]


Seen = Mapping[str, Mapping[str, Mapping[str, Any]]]


def _table(models: int, seen: Seen) -> list[str]:
    whole, tasks = seen["processor"], seen["task"]
    lines = [
        f"| {models} {'model' if models == 1 else 'models'} | DAGs | dag processor | "
        "nothing remembered | by hand | task | nothing remembered | by hand |",
        f"|{'---|' * 8}",
    ]
    for stage in TASKS:
        cells = [f"{whole[stage]['seconds']:.2f}"] + [
            f"{where[name]['seconds']:.{digits}f}" if name in where else ""
            for where, name, digits in (
                (whole, f"{stage}{COLD}", 2),
                (whole, f"{stage}{BY_HAND}", 2),
                (tasks, stage, 3),
                (tasks, f"{stage}{COLD}", 3),
                (tasks, f"{stage}{BY_HAND}", 3),
            )
        ]
        lines.append(f"| {stage} | {whole[stage]['dags']} | {' | '.join(cells)} |")
    sums = [
        sum(whole[f"{s}{of}"]["seconds"] for s in TASKS if f"{s}{of}" in whole)
        for of in ("", COLD, BY_HAND)
    ]
    dags = sum(whole[stage]["dags"] for stage in TASKS)
    lines.append(f"| **all** | {dags} | {' | '.join(f'{s:.2f}' for s in sums)} | | | |")
    empty = f"{whole[EMPTY]['seconds']:.2f} | | | {tasks[EMPTY]['seconds']:.3f} | | |"
    return [*lines, f"| *one EmptyOperator* | 1 | {empty}", ""]


def _budgets(models: int, seen: Seen) -> list[str]:
    lines = [f"| {models} models, the dearest file | measured | allowed |", "|---|---|---|"]
    for mode, allowed in BUDGET.items():
        for said, ending in (("", ""), (", nothing remembered", COLD)):
            ours = {s: seen[mode][f"{s}{ending}"]["seconds"] for s in TASKS if s in seen[mode]}
            worst = max(ours, key=lambda stage: ours[stage])
            lines.append(f"| {mode}{said}: {worst} | {ours[worst]:.3f} | {allowed} |")
    return [*lines, ""]


def profile(stage: str, mode: str, models: int) -> None:
    """Print where one parse of one file spends its time, once the configs are remembered."""
    with tempfile.TemporaryDirectory(prefix="tenure-dags-") as name:
        (job,) = (j for j in jobs_of(Path(name), models)[mode] if j["name"] == stage)
        measure(Path(name), [job | {"name": "warm"}, job | {"profile": True}], mode, 1)


def write(lines: Sequence[str]) -> None:
    """Replace the tables of the section in RESULTS.md; what is said below them stays."""
    path = HERE.parent / "RESULTS.md"
    before, found, rest = path.read_text().partition(HEADING)
    said = "\n" + rest.partition(_END)[2].lstrip("\n") if found else "\n"
    section = "\n".join([HEADING, "", *lines, _END])
    path.write_text(f"{before.rstrip()}\n\n{section}\n{said}")


_END = "<!-- the tables above are written by dag_files.py -->"


def main() -> None:
    """Read the command line."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--models", type=int, nargs="+", default=[1, 50, 200])
    given.add_argument("--rounds", type=int, default=5)
    given.add_argument("--profile", metavar="STAGE", help="for example promote_model")
    given.add_argument("--mode", choices=list(BUDGET), default="processor")
    given.add_argument("--write", action="store_true")
    given.add_argument("--host", choices=list(BUDGET), help=argparse.SUPPRESS)
    found = given.parse_args()
    if found.host:
        host(json.load(sys.stdin), found.host, found.rounds)
    elif found.profile:
        profile(found.profile, found.mode, found.models[-1])
    else:
        lines = report(found.models, found.rounds)
        print("\n".join(lines))
        if found.write:
            write(lines)


if __name__ == "__main__":
    main()
