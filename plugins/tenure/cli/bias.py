"""`tenure bias-audit`: how a version, or any file, treats the groups of protected attributes."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tenure.cli.arguments import split_version
from tenure.cli.connection import connected, login_name
from tenure.cli.names import require_model
from tenure.cli.output import AsJson, print_json, print_table, say
from tenure.cli.training_data import mitigation_table, training_tables
from tenure.verdicts import Check, Report, Verdict

if TYPE_CHECKING:
    from tenure.lifecycle.training.bias import BiasPolicy, ErrorBiasPolicy
    from tenure.usecases.evaluation.bias_audit import FileAudit

_SUFFIXES = frozenset({".csv", ".tsv", ".txt", ".parquet", ".pq"})
_MIN_ROWS = 30
_FOUR_FIFTHS = 0.8
_RATES = ("base_rate", "selection_rate", "accuracy", "tpr", "fpr", "fnr", "ppv", "calibration")
_ERRORS = ("mean_error", "mean_absolute_error")
_GAPS = ("worst", "best", "difference", "ratio", "p (Holm)", "verdict")

Source = Annotated[
    str,
    typer.Argument(
        metavar="FILE|MODEL@VERSION",
        help="A CSV or Parquet file, or a trained version such as flight_late@1.",
    ),
]
Label = Annotated[str | None, typer.Option("--label", help="Column of the truth.")]
Prediction = Annotated[str | None, typer.Option("--prediction", help="Column of what was decided.")]
Score = Annotated[
    str | None,
    typer.Option(
        "--score", help="Column of probabilities of the positive label; needs --threshold."
    ),
]
Threshold = Annotated[
    float | None, typer.Option("--threshold", help="A score from here on is positive.")
]
Protected = Annotated[
    str | None, typer.Option("--protected", help="Columns whose groups are compared: race,sex.")
]
Positive = Annotated[
    str | None,
    typer.Option(
        "--positive",
        help="The positive label and prediction; without it, true or 1. Of several classes those "
        "that count as selected, as A,B; without it each is judged against the rest.",
    ),
]
FileTask = Annotated[
    str | None,
    typer.Option(
        "--task",
        help="binary or multiclass: whether label and prediction are several classes. Without it "
        "three or more labels, none of which is a yes or no, are taken for classes, which is said.",
    ),
]
Reference = Annotated[
    list[str] | None,
    typer.Option(
        "--reference",
        help="The group that others are compared with, as race=white; else the best-off.",
    ),
]
Edges = Annotated[
    list[str] | None,
    typer.Option("--edges", help="Where the bands of a number begin, as age=25,40,60."),
]
Metric = Annotated[
    str | None,
    typer.Option(
        "--metric",
        help="What is judged: selection_rate (unless you say otherwise), accuracy, "
        "true_positive_rate, false_positive_rate, false_negative_rate, "
        "positive_predictive_value, equalized_odds, calibration. Of a regression mean_error or "
        "mean_absolute_error: then label and prediction are numbers.",
    ),
]
MinRatio = Annotated[
    float | None,
    typer.Option(
        "--min-ratio",
        help="Lowest group's rate over the highest's. Without a limit: 0.8, the four-fifths rule.",
    ),
]
MaxDifference = Annotated[
    float | None,
    typer.Option(
        "--max-difference",
        help="Highest group's rate minus the lowest's; of a regression, of their means, in the "
        "unit of the label.",
    ),
]
MinRows = Annotated[
    int | None,
    typer.Option(
        "--min-rows", help=f"Rows below which a group is not judged; {_MIN_ROWS} without it."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("bias-audit")(bias_audit)


def bias_audit(
    source: Source,
    *,
    label: Label = None,
    prediction: Prediction = None,
    score: Score = None,
    threshold: Threshold = None,
    protected: Protected = None,
    positive: Positive = None,
    task: FileTask = None,
    reference: Reference = None,
    edges: Edges = None,
    metric: Metric = None,
    min_ratio: MinRatio = None,
    max_difference: MaxDifference = None,
    min_rows: MinRows = None,
    as_json: AsJson = False,
) -> None:
    """Audit a file, or a trained version's scored holdout; exits 1 unless it passed.

    A file needs --label, --prediction or --score with --threshold, and --protected; no
    installation needs to be up. A version is judged by the policy in its YAML.
    """
    given = {
        "--label": label,
        "--prediction": prediction,
        "--score": score,
        "--threshold": threshold,
        "--protected": protected,
        "--positive": positive,
        "--task": task,
        "--reference": reference or None,
        "--edges": edges or None,
        "--metric": metric,
        "--min-ratio": min_ratio,
        "--max-difference": max_difference,
        "--min-rows": min_rows,
    }
    if _is_file(source, given):
        report = _of_file(Path(source), given)
        print_json(_answer(report)) if as_json else _print_report(report)
    else:
        _require_no_options(source, given)
        report = _of_version(source, as_json=as_json)
    if report.verdict is not Verdict.PASSED:
        raise typer.Exit(1)


def _is_file(source: str, given: Mapping[str, object]) -> bool:
    path = Path(source)
    looks_like_one = path.suffix.lower() in _SUFFIXES or "/" in source or path.exists()
    return looks_like_one or "@" not in source or given["--label"] is not None


def _require_no_options(source: str, given: Mapping[str, object]) -> None:
    if stated := [name for name, value in given.items() if value is not None]:
        raise typer.BadParameter(
            f"{', '.join(stated)}: only for a file; {source} is judged by the policy in its YAML"
        )


def _of_version(source: str, *, as_json: bool) -> Report:
    from tenure.usecases.evaluation.evidence import bias_audit as audit
    from tenure.vocabulary import RunRef

    model, number = split_version(source)
    run = RunRef("cli", "bias-audit", source, user=login_name())
    with connected() as platform:
        require_model(platform, model)
        report, digest = audit(platform, model, number, run)
    if as_json:
        print_json(_answer(report) | {"digest": digest})
    else:
        _print_report(report)
        print(f"\nReport {digest}")
    return report


def _of_file(path: Path, given: Mapping[str, Any]) -> Report:
    from tenure.usecases.evaluation.bias_audit import audit_file

    return audit_file(_file_audit(path, given))


def _file_audit(path: Path, given: Mapping[str, Any]) -> "FileAudit":
    """Raises BadParameter, which is exit code 2, for options that do not fit together."""
    from tenure.lifecycle.training.bias.scored import AuditColumns
    from tenure.usecases.evaluation.bias_audit import FileAudit

    _require_columns(given)
    protected = tuple(name.strip() for name in given["--protected"].split(","))
    policy = _policy(protected, given)
    columns = AuditColumns(
        label=given["--label"],
        protected=protected,
        prediction=given["--prediction"],
        score=given["--score"],
        threshold=given["--threshold"] or 0.0,
        edges=policy.edges,
        numbers=given["--metric"] in _ERRORS,
    )
    if twice := sorted({name for name in columns.named if columns.named.count(name) > 1}):
        raise typer.BadParameter(f"{', '.join(twice)} is named twice: a column has one meaning")
    return FileAudit(path, columns, given["--positive"], policy, given["--task"])


def _require_columns(given: Mapping[str, Any]) -> None:
    for name in ("--label", "--protected"):
        if not given[name]:
            raise typer.BadParameter(f"a file needs {name}")
    if given["--metric"] in _ERRORS:
        _require_numbers(given)
        return
    _require_task(given)
    if (given["--prediction"] is None) == (given["--score"] is None):
        raise typer.BadParameter("a file needs either --prediction or --score with --threshold")
    if (given["--score"] is None) != (given["--threshold"] is None):
        raise typer.BadParameter("--score and --threshold belong together")
    if given["--threshold"] is not None and not 0 <= given["--threshold"] <= 1:
        raise typer.BadParameter(f"--threshold {given['--threshold']:g} is not from 0 to 1")


def _require_task(given: Mapping[str, Any]) -> None:
    task = given["--task"]
    if task not in (None, "binary", "multiclass"):
        raise typer.BadParameter(
            f"--task {task} is not binary or multiclass; numbers are audited with --metric "
            "mean_error or mean_absolute_error"
        )
    if task != "multiclass":
        return
    if given["--score"] is not None:
        raise typer.BadParameter("--score is of binary models: classes are in --prediction")
    if given["--metric"] == "calibration":
        raise typer.BadParameter("calibration is of the one score of a binary model")


def _require_numbers(given: Mapping[str, Any]) -> None:
    """Of a regression."""
    metric = given["--metric"]
    for name in ("--score", "--threshold", "--positive", "--task", "--min-ratio"):
        if given[name] is not None:
            raise typer.BadParameter(f"{name} is of classes, and {metric} of a regression")
    for name, what in (("--prediction", "column"), ("--max-difference", "limit")):
        if given[name] is None:
            raise typer.BadParameter(f"{metric} needs {name}: a {what}, in the unit of the label")


def _policy(protected: tuple[str, ...], given: Mapping[str, Any]) -> "BiasPolicy | ErrorBiasPolicy":
    from pydantic import ValidationError

    from tenure.lifecycle.training.bias import BiasPolicy, ErrorBiasPolicy

    ratio, difference = given["--min-ratio"], given["--max-difference"]
    is_regression = given["--metric"] in _ERRORS
    if ratio is None and difference is None:
        ratio = _FOUR_FIFTHS
    stated = {
        "attributes": protected,
        "metric": given["--metric"] or "selection_rate",
        **({} if is_regression else {"min_ratio": ratio}),
        "max_difference": difference,
        "min_group_rows": _MIN_ROWS if given["--min-rows"] is None else given["--min-rows"],
        "reference": dict(_pairs("--reference", given)),
        "edges": {name: _numbers(name, text) for name, text in _pairs("--edges", given)},
    }
    try:
        return (ErrorBiasPolicy if is_regression else BiasPolicy).model_validate(stated)
    except ValidationError as error:
        told = "; ".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}".removeprefix(": ")
            for one in error.errors()
        )
        raise typer.BadParameter(told) from None


def _pairs(option: str, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for text in given[option] or []:
        name, sign, value = text.partition("=")
        if not (name and sign and value) or name in seen:
            raise typer.BadParameter(f"{option} {text}: give each attribute once, as NAME=VALUE")
        seen.add(name)
        yield name, value


def _numbers(name: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"--edges {name}={text}: these are no numbers") from None


def _answer(report: Report) -> dict[str, object]:
    """What a program reads first, then the rest of the report."""
    first = ("rows", "overall", "groups", "comparisons")
    return {
        "verdict": report.verdict,
        **{key: report.facts[key] for key in first},
        "subject": report.subject,
        "summary": report.summary,
        "policy": {key: value for key, value in report.facts.items() if key not in first},
        "checks": report.to_dict()["checks"],
    }


def _print_report(report: Report) -> None:
    say(f"{report.subject}: {report.summary}", _rules(report.facts))
    for header, rows in (
        (("group", "n", *_shown(report.facts), "sufficient"), list(_group_rows(report.facts))),
        (("metric", "by", *_GAPS), list(_comparison_rows(report.facts))),
        (("verdict", "check", "observed", "interval", "allowed"), map(_row, report.checks)),
    ):
        print()
        print_table(header, list(rows))
    for names, lines in (*mitigation_table(report.facts), *training_tables(report.facts)):
        print()
        print_table(names, lines)


def _rules(facts: Mapping[str, Any]) -> str:
    """By what it was judged, in a sentence."""
    reference = ", ".join(f"{name}={value}" for name, value in facts["reference"].items())
    by = (
        "Student's"
        if facts["metric"] in _ERRORS
        else f"{facts['bootstrap_draws']:,} draws, seed {facts['seed']}"
    )
    return (
        f"Judged by {facts['metric']}, compared with {reference or 'the best-off group'}; groups "
        f"from {facts['min_group_rows']:,} rows on, {facts['confidence']:.0%} intervals that hold "
        f"for all groups at once ({by}), p-values by Holm."
    )


def _shown(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """What the groups are compared in."""
    return _ERRORS if facts["metric"] in _ERRORS else _RATES


def _group_rows(facts: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    shown = _shown(facts)
    overall = facts["overall"] if facts.get("classes") else {"": facts["overall"]}
    for name, values in overall.items():
        rates = (_rate(values.get(rate)) for rate in shown)
        yield (f"{_of_class(name)}all", f"{facts['rows']:,}", *rates, "")
    for group in facts["groups"]:
        rates = (_rate(group.get(name)) for name in shown)
        own = _of_class(group.get("class", ""))
        name = f"{own}{' & '.join(group['by'])}={_group(group['value'])}"
        yield (name, f"{group['n']:,}", *rates, "yes" if group["sufficient"] else "no")


def _of_class(name: str) -> str:
    """Before a group of a multiclass model, each class of which is judged against the rest."""
    return f"class {name}: " if name else ""


def _comparison_rows(facts: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    for one in facts["comparisons"]:
        pair = (_group(one["worst"]), _group(one["best"])) if one["worst"] else ("", "")
        numbers = (_rate(one[name]) for name in ("difference", "ratio", "p_adjusted"))
        by = f"{_of_class(one.get('class', ''))}{' & '.join(one['by'])}"
        yield (one["metric"], by, *pair, *numbers, one["verdict"] or "")


def _group(value: Sequence[str | None]) -> str:
    from tenure.lifecycle.training.bias.cells import group_name

    return group_name(tuple(value))


def _rate(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _row(check: Check) -> tuple[str, ...]:
    interval = "[{:.4f}, {:.4f}]".format(*check.interval) if check.interval else ""
    name = f"{check.subject} {check.name}".strip()
    return str(check.verdict), name, check.observed, interval, check.allowed
