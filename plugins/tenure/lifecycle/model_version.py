"""A model version as every department reads it: its row, and the evidence that training left.

The evidence is closed and has no defaults: a fact that is absent or unknown refuses the version,
in the same words wherever it is asked, online, in a batch and at a replay.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from tenure.errors import ArtifactRefused
from tenure.lifecycle.class_answers import ClassCosts
from tenure.lifecycle.task import Task
from tenure.verdicts import Verdict
from tenure.vocabulary import State, canonical_json

_CLOSED = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
_TWO = 2
_SHOWN = 5
"""Wrong facts that a refusal names before it says how many more there are."""

Kind = Literal["text", "boolean", "number", "date", "moment"]
"""What the values of a category are in the data, before they are written as texts."""
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Parameter = float | int | str | bool
"""Of an estimator."""
Facts = TypeVar("Facts", "DraftFacts", "VersionFacts")


@dataclass(frozen=True)
class FeatureNames:
    """What a model reads, in the order in which it was trained.

    Args:
        numeric: Come as numbers.
        categorical: Come as texts; dates are the last of them.
        dates: Texts of which parts are read.
    """

    __pydantic_config__: ClassVar = _CLOSED

    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    dates: tuple[str, ...]

    @property
    def sorting(self) -> tuple[str, ...]:
        """Texts that sort rows: those that are no dates."""
        return tuple(name for name in self.categorical if name not in self.dates)


@dataclass(frozen=True)
class SplitRows:
    """What became of each row of the snapshots; together they are all of them.

    Args:
        train: Learned from.
        calibration: The threshold and the calibration come from them; 0 where nothing does.
        holdout: Judge.
        unlabelled: Have no label.
        gap: Are too close before the holdout.
        label_unknown: Had no label yet when the holdout begins.
        group_held_out: Belong to a group that is held out.
    """

    __pydantic_config__: ClassVar = _CLOSED

    train: int
    calibration: int
    holdout: int
    unlabelled: int
    gap: int
    label_unknown: int
    group_held_out: int


@dataclass(frozen=True)
class Environment:
    """With what a version was made: where another is at work, scores may be others.

    Args:
        python: Its version.
        platform: System and machine: `Linux x86_64`.
        packages: Versions of the libraries that a model is made of, by name.
    """

    __pydantic_config__: ClassVar = _CLOSED

    python: str
    platform: str
    packages: Mapping[str, str]

    def differences(self, here: "Environment") -> tuple[str, ...]:
        """What is another one here, by name, sorted.

        >>> trained = Environment("3.12.3", "Linux x86_64", {"scikit-learn": "1.8.0"})
        >>> trained.differences(Environment("3.12.3", "Linux x86_64", {"scikit-learn": "1.9.1"}))
        ('scikit-learn 1.8.0, here 1.9.1',)
        """
        then, now = self._parts(), here._parts()
        return tuple(
            f"{name} {then.get(name, 'absent')}, here {now.get(name, 'absent')}"
            for name in sorted(then.keys() | now.keys())
            if then.get(name) != now.get(name)
        )

    def _parts(self) -> dict[str, str]:
        return {"Python": self.python, "platform": self.platform, **self.packages}


@dataclass(frozen=True)
class SearchTrial:
    """One candidate of a search: the round, its parameters, rows learned from, and its loss."""

    __pydantic_config__: ClassVar = _CLOSED

    round: int
    parameters: Mapping[str, Parameter]
    rows: int
    loss: float


@dataclass(frozen=True)
class SearchFacts:
    """What a search for parameters chose, and from what.

    Args:
        chosen: With these the version was trained.
        ended_by: `budget` when time was spent before one candidate was left.
        trials: In the order in which they were done; `loss` is the log loss of the folds, of a
            regression the mean absolute error.
    """

    __pydantic_config__: ClassVar = _CLOSED

    chosen: Mapping[str, Parameter]
    ended_by: Literal["halving", "budget"]
    trials: tuple[SearchTrial, ...]


@dataclass(frozen=True)
class MitigationFacts:
    """What a training did so that groups are treated more alike.

    Args:
        method: `reweighing`, `exponentiated_gradient` or `group_thresholds`.
        attributes: Whose groups.
        constraint: What was made alike; None of `reweighing`.
        values: The weight of each group and label, the threshold of each group, or of the kept
            model its `violation` and `loss` on the rows learned from, of so many `candidates`.
        notes: What could not be done, in sentences.
        unmitigated_threshold: The threshold of the same training without it.
    """

    __pydantic_config__: ClassVar = _CLOSED

    method: str
    attributes: tuple[str, ...]
    constraint: str | None
    values: Mapping[str, float]
    notes: tuple[str, ...]
    unmitigated_threshold: Share


@dataclass(frozen=True)
class IntervalFacts:
    """How a regression makes the interval of a row.

    Args:
        coverage: Share of the outcomes that the intervals promise to hold.
        margin: Added at either end, in the unit of the label; learned from calibration rows.
        trivial: Interval of all outcomes of these rows, which whoever knows nothing would answer.
    """

    __pydantic_config__: ClassVar = _CLOSED

    coverage: Share
    margin: float
    trivial: tuple[float, float]


@dataclass(frozen=True)
class OnnxFile:
    """An ONNX file that may stand in for the artifact.

    Args:
        digest: SHA-256 of the file.
        signature: The trainer's, over the version's statement and this digest.
        largest_difference: Of two scores of a holdout row, ONNX Runtime's and scikit-learn's.
    """

    __pydantic_config__: ClassVar = _CLOSED

    digest: str
    signature: str
    largest_difference: float


@dataclass(frozen=True)
class OnnxFacts:
    """What came of the conversion that the model's YAML asked for.

    Args:
        verdict: Of the comparison with scikit-learn.
        report: Digest of the report with its numbers.
        summary: Its sentence.
        file: None unless the verdict is passed.
    """

    __pydantic_config__: ClassVar = _CLOSED

    verdict: Verdict
    report: str
    summary: str
    file: OnnxFile | None


@dataclass(frozen=True, kw_only=True)
class DraftFacts:
    """What a draft states: the retrain request that it answers, and why that was filed."""

    __pydantic_config__: ClassVar = _CLOSED

    request_id: int
    reason: str

    def to_json(self) -> dict[str, object]:
        """As JSON values, for the version's row."""
        return dict(_DRAFT.dump_python(self, mode="json"))


@dataclass(frozen=True, kw_only=True)
class FitFacts:
    """What a fit leaves.

    Args:
        task: What is predicted.
        threshold: Scores at or above it decide `positive`, as declared or chosen by the costs; None
            unless it is binary.
        classes: Rows that were learned from, by class; empty unless it is multiclass.
        features: What the model reads.
        time_column: By which the rows were split; None of data without time.
        names: Other names that a column of the model may have in a snapshot, by column.
        categories: Values that training saw, by categorical feature.
        kinds: What these values were in the data before they were texts, by categorical feature.
        ranges: (smallest, largest) that training saw, by numeric feature that has any value.
        metrics: Of the holdout, those that are defined on it.
        intervals: Of these metrics, (low, high).
        rows: Rows of the split.
        trivial_answer: What the trivial model always answers: the share of positive labels among
            the rows that the estimator learned from; of several classes, the share of the most
            frequent one; of a regression, the median of their labels.
        conformal_least: Probability from which on a label belongs to the set of labels of a row;
            None where the model's YAML asks for no sets.
        class_costs: Of answers, by the class that came true, then by the class that is answered, in
            the order of `class_names`; None: the most probable class is answered.
        interval: How a regression makes intervals; None where the model's YAML asks for none.
        seed: Of the fit.
        search: Which parameters were searched for; None without a search.
        mitigation: What was done about gaps between groups; None where the YAML asks for nothing.
    """

    task: Task
    threshold: Share | None
    classes: Mapping[str, int]
    features: FeatureNames
    time_column: str | None
    names: Mapping[str, tuple[str, ...]]
    categories: Mapping[str, tuple[str, ...]]
    kinds: Mapping[str, Kind]
    ranges: Mapping[str, tuple[float, float]]
    metrics: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    rows: SplitRows
    trivial_answer: float
    conformal_least: Share | None
    class_costs: ClassCosts | None
    interval: IntervalFacts | None
    seed: int
    search: SearchFacts | None
    mitigation: MitigationFacts | None

    @property
    def margin(self) -> float | None:
        """Of the intervals of a regression; None where it gives none."""
        return None if self.interval is None else self.interval.margin

    def __post_init__(self) -> None:
        """Raises ValueError unless threshold and classes are stated by the task that has them."""
        if (self.threshold is None) == (self.task == "binary"):
            raise ValueError(f"a {self.task} model with threshold {self.threshold}")
        if (len(self.classes) > _TWO) != (self.task == "multiclass"):
            raise ValueError(f"a {self.task} model with {len(self.classes)} classes")
        sizes = {len(self.class_costs or ()), *map(len, self.class_costs or ())}
        if self.class_costs is not None and sizes != {len(self.classes)}:
            raise ValueError(f"costs that are not of its {len(self.classes)} classes")

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes in the order of their probabilities; empty unless it is multiclass."""
        return tuple(sorted(self.classes))

    @property
    def most_frequent_class(self) -> str:
        """The class that most rows had that were learned from, of equals the first by name."""
        return max(self.class_names, key=self.classes.__getitem__)


@dataclass(frozen=True, kw_only=True)
class VersionFacts(FitFacts, DraftFacts):
    """The evidence of a trained version.

    Args:
        snapshots: Digests of the snapshots that it was trained on, oldest first.
        batches: Names of these batches.
        artifact_key: Where the artifact lies in the object store.
        holdout_key: Where the scored holdout lies.
        holdout_digest: SHA-256 of the scored holdout.
        environment: With what it was trained.
        onnx: None where the model's YAML asks for no ONNX file.
    """

    snapshots: tuple[str, ...]
    batches: tuple[str, ...]
    artifact_key: str
    holdout_key: str
    holdout_digest: str
    environment: Environment
    onnx: OnnxFacts | None

    def to_json(self) -> dict[str, object]:
        """As JSON values, for the version's row."""
        return dict(_TRAINED.dump_python(self, mode="json"))

    @property
    def onnx_file(self) -> OnnxFile | None:
        """The ONNX file that passed; None when there is none."""
        passed = self.onnx is not None and self.onnx.verdict is Verdict.PASSED
        return self.onnx.file if self.onnx is not None and passed else None


@dataclass(frozen=True, kw_only=True)
class VersionRecord:
    """What a version is: its columns but those that say how far it has come.

    `facts_json` is what stands in the column `facts`; read `facts`, or `draft_facts` of a draft.
    """

    id: int
    model: str
    version: int
    trained_by: str
    training_key: str
    artifact_digest: str | None
    signature: str | None
    data_digest: str | None
    suite_digest: str | None
    code_digest: str | None
    config_digest: str | None
    lock_digest: str | None
    mlflow_run_id: str | None
    evaluation_report: str | None
    bias_report: str | None
    facts_json: Mapping[str, Any]

    @property
    def name(self) -> str:
        """`model@version`, as people and the CLI write it."""
        return f"{self.model}@{self.version}"

    @property
    def is_trained(self) -> bool:
        """Whether it has an artifact; a draft, and one that was rejected as such, has none."""
        return self.artifact_digest is not None

    @cached_property
    def facts(self) -> VersionFacts:
        """The evidence of its training.

        Raises:
            ArtifactRefused: A fact is absent, unknown or of the wrong kind.
        """
        return _parsed(_TRAINED, self.name, self.facts_json)

    @cached_property
    def draft_facts(self) -> DraftFacts:
        """Which request a draft answers. Raises ArtifactRefused like `facts`."""
        return _parsed(_DRAFT, self.name, self.facts_json)

    def to_json(self) -> dict[str, object]:
        """By column, for an archive; `record_from_json` reads it."""
        columns = {name: getattr(self, name) for name in VersionRecord.__dataclass_fields__}
        columns["facts"] = columns.pop("facts_json")
        return columns


@dataclass(frozen=True, kw_only=True)
class VersionRow(VersionRecord):
    """Every column of a version."""

    state: State
    generation: int
    created_at: datetime


def record_from_json(columns: Mapping[str, Any]) -> VersionRecord:
    """The version of an archive. Raises TypeError when it holds other columns."""
    found = dict(columns)
    return VersionRecord(facts_json=found.pop("facts"), **found)


_DRAFT, _TRAINED = TypeAdapter(DraftFacts), TypeAdapter(VersionFacts)


def _parsed(kind: TypeAdapter[Facts], name: str, stated: Mapping[str, Any]) -> Facts:
    try:
        return kind.validate_json(canonical_json(stated))
    except ValidationError as error:
        raise _refused(name, [_fault(one) for one in error.errors()]) from error
    except (TypeError, ValueError) as error:
        raise _refused(name, [f"what is no JSON: {error}"]) from error


def _fault(found: ErrorDetails) -> str:
    where = ".".join(map(str, found["loc"])) or "facts"
    if found["type"] == "missing":
        return f"no {where}"
    if found["type"] in {"extra_forbidden", "unexpected_keyword_argument"}:
        return f"{where}, which is no fact of a version"
    return f"{where} wrongly ({found['msg']})"


def _refused(name: str, faults: list[str]) -> ArtifactRefused:
    more = f" and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
    return ArtifactRefused(
        f"{name} states {', '.join(faults[:_SHOWN])}{more}; its evidence must be complete.",
        still_safe="It decides nothing; gateways keep what they serve.",
        next_step="Train a new version; the evidence of this one cannot be completed by hand.",
    )
