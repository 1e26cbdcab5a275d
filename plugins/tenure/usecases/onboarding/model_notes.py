"""What stands beside the keys of a new model's YAML: why they are so, and what is a guess."""

from collections.abc import Iterator

from tenure.config.model_yaml import Notes
from tenure.lifecycle.serving.spelling import spell
from tenure.lifecycle.training.drafting import FeatureDraft
from tenure.usecases.onboarding.model_draft import Audited, ModelDraft, ModelSpec
from tenure.usecases.onboarding.newest_rows import SeenRows

_BOUNDS = {
    True: "the lowest of a group over the highest: the four-fifths rule",
    False: "the highest of a group less the lowest",
}
_CONFIRM = "to be confirmed"


def open_points(notes: Notes) -> tuple[str, ...]:
    """What a person has to confirm, by key."""
    return tuple(
        f"{'.'.join(map(str, at))}: {said.removesuffix(f': {_CONFIRM}')}"
        for at, said in notes.items()
        if said.endswith(_CONFIRM)
    )


def heading(wish: ModelSpec, seen: SeenRows, features: FeatureDraft) -> list[str]:
    """Comment lines at the top: what it was made from, and what the model does not read."""
    first, last = seen.span
    many = f"the {len(seen.batches)} newest batches" if len(seen.batches) > 1 else "the one batch"
    looked = seen.table.num_rows
    part = "" if looked == seen.rows else f"; {looked:,} of them were looked at"
    return [
        f"Made by `tenure new model` from {seen.rows:,} rows in {many} of {wish.dataset}, {first} "
        f"to {last}{part}.",
        f"Guesses are marked: {_CONFIRM}. Then delete the mark.",
        f"Columns that the model does not read ({len(features.left_out)}):",
        *(f"  {name} {reason}" for name, reason in features.left_out.items()),
    ]


def notes_of(wish: ModelSpec, draft: ModelDraft) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """The comment behind a line, by key; a guess ends with the mark."""
    label, audited, gates = draft.label, draft.audited, draft.gates
    yield ("purpose",), f"what it is for, in a sentence: {_CONFIRM}"
    yield (
        ("risk_tier",),
        f"minimal, limited or high (two approvers), by what a wrong decision does to a person: "
        f"{_CONFIRM}",
    )
    true = "true" if label.positive is None else spell(label.positive)
    yield (
        ("label",),
        f"{label.share:.1%} of {label.rows:,} rows are {true!r}"
        f"{' (a guess that this is what the model looks for)' if label.is_guess else ''}; "
        f"horizon_hours: from the event until the label is known for sure: {_CONFIRM}",
    )
    mark = "" if wish.subject else f": {_CONFIRM}"
    yield ("subject_column",), f"the same subject always gets the same arm of a canary{mark}"
    yield ("training", "window_batches"), "newest batches that are trained on"
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
    yield ("bias", "attributes"), _about(audited)
    yield (
        ("bias", "min_ratio" if audited.is_protected else "max_difference"),
        f"of the shares decided {true!r}, {_BOUNDS[audited.is_protected]}: {_CONFIRM}",
    )
    yield ("bias", "min_group_rows"), "smaller groups are listed and not judged"
    yield (
        ("serving", "fallback_score"),
        f"answers when no version can: the share of {true!r}: {_CONFIRM}",
    )
    yield ("canary", "metrics", 0), "answers that the model itself did not give"
    yield ("canary", "metrics", 1), f"wrong decisions, challenger to champion: {_CONFIRM}"


def _about(audited: Audited) -> str:
    if not audited.is_guess:
        return "their groups are compared; the model does not read them"
    if audited.is_protected:
        return f"the law seems to protect them; the model does not read them: {_CONFIRM}"
    return (
        f"no groups that the law seems to protect are in the data; these are compared: {_CONFIRM}"
    )
