"""What stands beside the keys of a new model's YAML: why they are so, and what is a guess."""

from collections.abc import Iterator

from tenure.config.model_yaml import Notes
from tenure.lifecycle.serving.spelling import spell
from tenure.lifecycle.training.drafting import MAX_CATEGORIES, FeatureDraft, LabelDraft
from tenure.lifecycle.training.evaluation.policy import ConformalPolicy
from tenure.lifecycle.training.task_draft import ClassesDraft
from tenure.usecases.onboarding.model_draft import (
    AmountDraft,
    Audited,
    ClassDraft,
    ClassesTarget,
    ModelDraft,
    ModelSpec,
)
from tenure.usecases.onboarding.newest_rows import SeenRows

_BOUNDS = {
    True: "the lowest of a group over the highest: the four-fifths rule",
    False: "the highest of a group less the lowest",
}
_CONFIRM = "to be confirmed"
_GROUPS = f"a tiny group is listed and stops nothing; hold: it makes the canary wait: {_CONFIRM}"
_SHOWN = 8
Note = tuple[tuple[str | int, ...], str]


def open_points(notes: Notes) -> tuple[str, ...]:
    """What a person has to confirm, by key."""
    return tuple(
        f"{'.'.join(map(str, at))}: {said.removesuffix(f': {_CONFIRM}')}"
        for at, said in notes.items()
        if said.endswith(_CONFIRM)
    )


def heading(wish: ModelSpec, seen: SeenRows, features: FeatureDraft) -> list[str]:
    """Comment lines at the top: what it was made from, and what the model does not read."""
    many = f"the {len(seen.batches)} newest batches" if len(seen.batches) > 1 else "the one batch"
    looked = seen.table.num_rows
    span = "" if seen.span is None else f", {seen.span[0]} to {seen.span[1]}"
    part = "" if looked == seen.rows else f"; {looked:,} of them were looked at"
    return [
        f"Made by `tenure new model` from {seen.rows:,} rows in {many} of {wish.dataset}{span}"
        f"{part}.",
        f"Guesses are marked: {_CONFIRM}. Then delete the mark.",
        f"Columns that the model does not read ({len(features.left_out)}):",
        *(f"  {name} {reason}" for name, reason in features.left_out.items()),
    ]


def decisions(wish: ModelSpec, draft: ModelDraft, seen: SeenRows) -> tuple[str, ...]:
    """What was decided, and from what, one sentence each."""
    batches = f"{len(seen.batches)} batches" if len(seen.batches) > 1 else "one batch"
    rows = f"{seen.rows:,} rows in {batches}"
    task, features = draft.task, draft.features
    why = f"a guess: {task.why}" if task.why else "as you said" if wish.task else "two values"
    return (
        f"Task: {task.task} ({why}).",
        f"Label: {_of_label(wish, draft)} ({rows}).",
        _of_split(wish, draft),
        _of_subject(wish, draft),
        f"Compared groups: {_of_groups(draft.audited)}.",
        f"The model reads {len(features.all)} columns: {', '.join(features.all)}.",
        f"It does not read {len(features.left_out)}:"
        if features.left_out
        else "It reads all others.",
        *(f"  - {name} {reason}" for name, reason in features.left_out.items()),
    )


def _of_label(wish: ModelSpec, draft: ModelDraft) -> str:
    label = draft.target.label
    if isinstance(label, LabelDraft):
        guessed = ", a guess: --positive says otherwise" if label.is_guess else ""
        return f"{wish.label}; {_true(label)!r} is the positive value{guessed}, {label.share:.1%}"
    if isinstance(label, ClassesDraft):
        return f"{wish.label}; {len(label.counts)} classes: {_shares(label)}"
    return f"{wish.label}, from {label.low:g} to {label.high:g}, median {label.median:g}"


def _of_split(wish: ModelSpec, draft: ModelDraft) -> str:
    time, dates = draft.roles.time, draft.features.dates
    if time is None:
        known = f"; --time takes {' or '.join(dates)}" if dates else ""
        return (
            "Split: by lot, since the dataset has no time column; that the future may differ from "
            f"the past is not tested{known}."
        )
    how = "as you said" if wish.time else "the time column of the dataset"
    return f"Split: by {time} ({how}); the newest rows judge."


def _of_subject(wish: ModelSpec, draft: ModelDraft) -> str:
    subject = draft.roles.subject
    if subject is None:
        return "Subject: none; each row is one of its own (--subject names whom a row is about)."
    return f"Subject: {subject} ({'as you said' if wish.subject else 'of the dataset'})."


def _of_groups(audited: Audited) -> str:
    bands = "; ".join(
        f"{name} in bands from {', '.join(f'{edge:g}' for edge in edges)}"
        for name, edges in audited.edges.items()
    )
    return f"{', '.join(audited.attributes)}{f' ({bands})' if bands else ''}" + (
        ", a guess: --protected names others" if audited.is_guess else ""
    )


def notes_of(wish: ModelSpec, draft: ModelDraft) -> Iterator[Note]:
    """The comment behind a line, by key; a guess ends with the mark."""
    yield ("purpose",), f"what it is for, in a sentence: {_CONFIRM}"
    yield (
        ("risk_tier",),
        f"minimal, limited or high (two approvers), by what a wrong decision does to a person: "
        f"{_CONFIRM}",
    )
    if draft.task.why:
        yield ("task",), f"{draft.task.why}: {_CONFIRM}"
    if draft.roles.subject is not None:
        mark = "" if wish.subject else f": {_CONFIRM}"
        yield ("subject_column",), f"the same subject always gets the same arm of a canary{mark}"
    yield from _of_features(draft.features)
    yield ("training", "window_batches"), "newest batches that are trained on"
    if draft.roles.time is None:
        yield ("training", "split"), f"no column says when a row happened: {_CONFIRM}"
    if isinstance(draft.target, AmountDraft):
        yield from _of_amounts(draft.target)
    elif isinstance(draft.target, ClassesTarget):
        yield from _of_several(draft.target)
    else:
        yield from _of_classes(draft.target, draft.audited)
    yield ("bias", "attributes"), _about(draft.audited)
    if draft.audited.edges:
        yield ("bias", "edges"), f"bands of about a quarter of the rows each: {_CONFIRM}"
    yield ("bias", "min_group_rows"), "smaller groups are listed and not judged"
    yield ("canary", "metrics", 0), "answers that the model itself did not give"


def _of_features(features: FeatureDraft) -> Iterator[Note]:
    if features.many:
        listed = ", ".join(f"{name} ({count:,})" for name, count in features.many.items())
        yield (
            ("features", "categorical"),
            f"of more than {MAX_CATEGORIES} texts, neighbors in the alphabet are read alike: "
            f"{listed}",
        )
    if features.dates:
        yield (
            ("features", "dates"),
            "read by year, month, day, weekday, hour and days since 1970; leave out what is only "
            f"known after the event: {_CONFIRM}",
        )


def _true(label: LabelDraft) -> str:
    return "true" if label.positive is None else spell(label.positive)


def _of_classes(target: ClassDraft, audited: Audited) -> Iterator[Note]:
    label, gates = target.label, target.gates
    true = _true(label)
    yield (
        ("label",),
        f"{label.share:.1%} of {label.rows:,} rows are {true!r}"
        f"{' (a guess that this is what the model looks for)' if label.is_guess else ''}; "
        f"horizon_hours: from the event until the label is known for sure: {_CONFIRM}",
    )
    yield (
        ("evaluation", "threshold"),
        f"scores from here on decide {true!r}; what a wrong answer costs sets it: {_CONFIRM}",
    )
    best = "no column alone tells it"
    if gates.best is not None:
        name, reached = gates.best
        best = f"{name} alone reaches {reached:.2f} on the newest quarter; two standard errors less"
    yield ("evaluation", "gates", 0), f"{best}: {_CONFIRM}"
    constant = gates.base_rate * (1 - gates.base_rate)
    yield (
        ("evaluation", "gates", 1),
        f"one score for everybody, the share of {true!r}, has {constant:.3f}: {_CONFIRM}",
    )
    yield (
        ("bias", "min_ratio" if audited.is_protected else "max_difference"),
        f"of the shares decided {true!r}, {_BOUNDS[audited.is_protected]}: {_CONFIRM}",
    )
    yield (
        ("serving", "fallback_score"),
        f"answers when no version can: the share of {true!r}: {_CONFIRM}",
    )
    yield ("canary", "metrics", 1), f"wrong decisions, challenger to champion: {_CONFIRM}"
    yield ("canary", "groups"), _GROUPS


def _of_several(target: ClassesTarget) -> Iterator[Note]:
    label = target.label
    yield (
        ("label",),
        f"{label.rows:,} rows in {len(label.counts)} classes: {_shares(label)}; horizon_hours: "
        f"from the event until the class is known for sure: {_CONFIRM}",
    )
    chance = 1 / len(label.counts)
    yield (
        ("evaluation", "gates", 0),
        f"one class for everybody reaches {chance:.2f}; two standard errors more: {_CONFIRM}",
    )
    yield (
        ("evaluation", "gates", 1),
        f"the shares of the classes for everybody have {label.entropy:.3f}: {_CONFIRM}",
    )
    yield ("bias", "metric"), "shares of right answers are compared"
    yield ("bias", "max_difference"), f"{_BOUNDS[False]}: {_CONFIRM}"
    yield (
        ("serving", "fallback_class"),
        f"answers when no version can: the most frequent class: {_CONFIRM}",
    )
    yield ("canary", "metrics", 1), f"wrong classes, challenger to champion: {_CONFIRM}"
    yield ("canary", "groups"), _GROUPS
    yield ("monitoring", "metric"), f"what live answers are watched by: {_CONFIRM}"


def _shares(label: ClassesDraft) -> str:
    shown = [f"{name} {count / label.rows:.0%}" for name, count in label.counts.items()]
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return f"{', '.join(shown[:_SHOWN])}{more}"


def _of_amounts(target: AmountDraft) -> Iterator[Note]:
    label, gates = target.label, target.gates
    yield (
        ("label",),
        f"{label.rows:,} rows have a number, {label.low:g} to {label.high:g}; horizon_hours: from "
        f"the event until it is known for sure: {_CONFIRM}",
    )
    if label.has_outliers:
        yield (
            ("training", "parameters"),
            f"outliers: nine of ten labels lie between {label.usual[0]:g} and {label.usual[1]:g}; "
            f"squared errors would be about the others alone: {_CONFIRM}",
        )
    best = f"the median for everybody is off by {gates.trivial:.4g}"
    if gates.best is not None:
        name, error = gates.best
        best += f", {name} alone by {error:.4g} (two standard errors more)"
    yield ("evaluation", "gates", 0), f"{best}: {_CONFIRM}"
    yield ("evaluation", "conformal"), _of_intervals(gates.tolerance)
    yield ("bias", "metric"), "prediction less outcome: who is estimated too high or too low"
    yield (
        ("bias", "max_difference"),
        "of the mean errors, the highest of a group less the lowest; half of what the median is "
        f"off by: {_CONFIRM}",
    )
    yield ("serving", "fallback_score"), f"answers when no version can: the median: {_CONFIRM}"
    yield (
        ("canary", "metrics", 1),
        f"mean absolute error, challenger to champion: {_CONFIRM}",
    )
    yield ("monitoring", "metric"), f"what live answers are watched by: {_CONFIRM}"


def _of_intervals(tolerance: float | None) -> str:
    if tolerance is None:
        return f"too few rows to judge intervals of the answers, so there are none: {_CONFIRM}"
    return (
        f"answers come with an interval that holds {ConformalPolicy().coverage:.0%} of the "
        f"outcomes, within {tolerance:.2f} (three standard errors), or the version is refused: "
        f"{_CONFIRM}"
    )


def _about(audited: Audited) -> str:
    if not audited.is_guess:
        return "their groups are compared; the model does not read them"
    if audited.is_protected:
        return f"the law seems to protect them; the model does not read them: {_CONFIRM}"
    return (
        f"no groups that the law seems to protect are in the data; these are compared: {_CONFIRM}"
    )
