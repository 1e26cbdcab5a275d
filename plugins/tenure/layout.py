"""Every key of the object store, every DAG id and every link: built and parsed in one place.

Keys are derived from ids and digests, never given by anybody, and hold no `..` (see `ports`).
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from urllib.parse import quote

# DAG ids

INGEST_DATA = "ingest_data"
TRAIN_MODEL = "train_model"
PROMOTE_MODEL = "promote_model"
MONITOR_MODEL = "monitor_model"
BATCH_SCORE = "batch_score"
DECOMMISSION_MODEL = "decommission_model"
RETRAIN_MODELS = "retrain_models"
MAINTAIN_PLATFORM = "maintain_platform"
LEDGER_VERIFICATION = "ledger_verification"
"""The sign of life of a verification of the whole ledger."""
NEW_MODEL = "new_model"
PLATFORM_DAGS = frozenset({RETRAIN_MODELS, MAINTAIN_PLATFORM, NEW_MODEL})
"""DAGs that belong to no model and no dataset."""

_OWNED_BY = "__"


class DagName(NamedTuple):
    """A DAG id in its parts; `owner` is a model or dataset, None for a DAG of the platform."""

    owner: str | None
    stage: str

    @property
    def model(self) -> str | None:
        """The model that the DAG belongs to."""
        return None if self.stage == INGEST_DATA else self.owner

    @property
    def dataset(self) -> str | None:
        """The dataset that the DAG belongs to."""
        return self.owner if self.stage == INGEST_DATA else None


def dag_id(owner: str, stage: str) -> str:
    """The id of a model's or dataset's DAG.

    >>> dag_id("flight_late", TRAIN_MODEL)
    'flight_late__train_model'
    """
    return f"{owner}{_OWNED_BY}{stage}"


def parse_dag_id(text: str) -> DagName:
    """The parts of a DAG id; ids of models and datasets hold no double underscore.

    >>> parse_dag_id("flights__ingest_data").dataset, parse_dag_id("retrain_models").owner
    ('flights', None)
    """
    owner, mark, stage = text.partition(_OWNED_BY)
    return DagName(owner, stage) if mark else DagName(None, owner)


# Data: what lands, what is published, what is set aside

SNAPSHOT_ROWS = "data.parquet"
SNAPSHOT_MANIFEST = "manifest.json"


def landing_prefix(dataset: str) -> str:
    """Where the files of a dataset land."""
    return f"landing/{dataset}/"


def snapshot_key(dataset: str, digest: str, name: str = SNAPSHOT_ROWS) -> str:
    """A file of a snapshot."""
    return f"snapshots/{dataset}/{digest}/{name}"


def quarantine_key(dataset: str, batch: str, *, source: str, rules: str, kind: str) -> str:
    """Rows that were set aside, or a file as it came.

    Args:
        dataset: Whose.
        batch: Name of the batch.
        source: SHA-256 of the landed file.
        rules: Digest of the rules that it was judged by.
        kind: Suffix, `parquet` or `rejected`.
    """
    return f"quarantine/{dataset}/{batch}/{source}-{rules}.{kind}"


REFUSED = "refused/"
"""Files whose judgement failed, as they came, by dataset and digest."""


def refused_key(dataset: str, source: str) -> str:
    """A refused file by its SHA-256, whatever it was called and however often it came."""
    return f"{REFUSED}{dataset}/{source}"


# Decisions and outcomes

DECISIONS = "decisions"
OUTCOMES = "outcomes"
LOGS = (DECISIONS, OUTCOMES)


def log_prefix(kind: str, model: str | None = None, hour: str | None = None) -> str:
    """Folder of a log: everything, one model's, or one of its days or hours; ends with a slash.

    >>> log_prefix(DECISIONS, "flight_late", "date=2013-07-01")
    'decisions/model=flight_late/date=2013-07-01/'
    """
    parts = [kind, *([f"model={model}"] if model else []), *([hour] if hour else [])]
    return "/".join(parts) + "/"


def day_folders(first: datetime, last: datetime) -> list[str]:
    """Partitions of the days in UTC from one moment to another: `date=2013-07-01` and so on."""
    start, end = first.astimezone(UTC).date(), last.astimezone(UTC).date()
    return [f"date={start + timedelta(days=n)}" for n in range((end - start).days + 1)]


def hour_folder(moment: datetime) -> str:
    """Partition of an hour in UTC: `date=2013-07-01/hour=05`."""
    return f"{moment.astimezone(UTC):date=%Y-%m-%d/hour=%H}"


def hour_of(key: str) -> datetime | None:
    """The hour that a key's partitions name, in UTC; None where they name none.

    >>> str(hour_of("decisions/model=m/date=2013-07-01/hour=05/a.parquet"))
    '2013-07-01 05:00:00+00:00'
    """
    parts = dict(part.split("=", 1) for part in key.split("/") if "=" in part)
    try:
        return datetime.strptime(f"{parts['date']} {parts['hour']} +0000", "%Y-%m-%d %H %z")
    except (KeyError, ValueError):
        return None


def keys_from_day(keys: Iterable[str], first: datetime | None) -> list[str]:
    """Keys of the day of `first` in UTC and of later days; None takes all of them."""
    day = f"{first.astimezone(UTC):%Y-%m-%d}" if first else ""
    return [key for key in keys if key.partition("/date=")[2][:10] >= day]


def keys_from_hour(keys: Iterable[str], first: datetime) -> list[str]:
    """Keys of the hour of `first` in UTC and of later hours."""
    began = first.replace(minute=0, second=0, microsecond=0)
    return [key for key in keys if (hour := hour_of(key)) is not None and hour >= began]


def model_of(key: str) -> str:
    """The model whose log a key belongs to; empty where it names none.

    >>> model_of("decisions/model=m/date=2013-07-01/hour=05/a.parquet")
    'm'
    """
    parts = dict(part.split("=", 1) for part in key.split("/") if "=" in part)
    return parts.get("model", "")


def scores_prefix(model: str, run_key: str) -> str:
    """Where the tables of a batch scoring lie for those who asked for it."""
    return f"scores/{model}/{run_folder(run_key)}/"


def scores_key(model: str, run_key: str, shard: int) -> str:
    """The table of one shard: keys, score, decision."""
    return f"{scores_prefix(model, run_key)}{shard:05d}.parquet"


def run_folder(run_key: str) -> str:
    """Name of a run in keys."""
    return run_key[:16]


# Evidence and models


def report_key(digest: str) -> str:
    """A report as JSON."""
    return f"reports/{digest[:2]}/{digest}.json"


def drawn_key(digest: str) -> str:
    """The drawn report, beside its JSON."""
    return f"reports/{digest[:2]}/{digest}.html"


def selection_key(model: str, selection: str) -> str:
    """Names of the decision segments that a monitoring window holds."""
    return f"monitoring/{model}/{selection}.parquet"


ANCHORS = "anchors/"
"""Ends of the ledger that were verified, out of reach of whoever owns only the database."""


def anchor_key(seq: int, hash_: str) -> str:
    """An anchor; its name says all of it, so that a listing is enough to compare a chain with.

    >>> anchor_key(7, "ab")
    'anchors/000000000007-ab.json'
    """
    return f"{ANCHORS}{seq:012d}-{hash_}.json"


def parse_anchor_key(key: str) -> tuple[int, str] | None:
    """Number and hash of the event that an anchor names; None for another key."""
    number, mark, hash_ = key.removeprefix(ANCHORS).removesuffix(".json").partition("-")
    return (int(number), hash_) if mark and number.isdecimal() else None


CHECKPOINTS = "ledger/checkpoints/"
"""What the ledger's key signed, and its witness cosigned."""
_LEAVES = "ledger/tile/0/"
TILE_LEAVES = 256
"""Leaves of a whole tile."""


def checkpoint_key(size: int, root: str) -> str:
    """A checkpoint of the ledger with its signatures.

    >>> checkpoint_key(7, "ab")
    'ledger/checkpoints/000000000007-ab.txt'
    """
    return f"{CHECKPOINTS}{size:012d}-{root}.txt"


def leaves_key(number: int, width: int = TILE_LEAVES) -> str:
    """Hashes of `width` leaves of the ledger's tree from leaf 256 · `number` on.

    Source: c2sp.org/tlog-tiles.

    >>> leaves_key(1234067), leaves_key(1, 7)
    ('ledger/tile/0/x001/x234/067', 'ledger/tile/0/001.p/7')
    """
    digits = f"{number:0{-(-len(str(number)) // 3) * 3}d}"
    *upper, last = (digits[i : i + 3] for i in range(0, len(digits), 3))
    partial = f".p/{width}" if width < TILE_LEAVES else ""
    return _LEAVES + "".join(f"x{part}/" for part in upper) + last + partial


def search_key(training_key: str) -> str:
    """What a training's search for parameters chose."""
    return f"searches/{training_key}.json"


def artifact_key(digest: str) -> str:
    """A model's artifact."""
    return f"artifacts/{digest}.skops"


def onnx_key(digest: str) -> str:
    """A model's ONNX file."""
    return f"artifacts/{digest}.onnx"


def reference_key(model: str, version: int) -> str:
    """The scored holdout of a version."""
    return f"reference/{model}/{version}.parquet"


def archive_prefix(model: str, version: int) -> str:
    """Everything about a retired version."""
    return f"archive/{model}/{version}/"


# Outages: who noticed one, and who posted it


def outage_key(part: str) -> str:
    """The mark of the outage of a part that is going on."""
    return f"watch/{part}/open.json"


def outage_mark_key(part: str, outage: str, mark: str) -> str:
    """A mark about one outage: whose turn it is to post, or that it was posted."""
    return f"watch/{part}/{outage}/{mark}.json"


# Links


def mlflow_link(mlflow_url: str, run_id: str | None) -> str:
    """Where MLflow shows the run; empty without one."""
    return f"{mlflow_url}/#/runs/{run_id}" if run_id else ""


def run_link(airflow_url: str, dag_id: str, run_id: str) -> str:
    """A run of a DAG in Airflow's UI."""
    return f"{airflow_url}/dags/{dag_id}/runs/{quote(run_id, safe='')}"


def report_link(airflow_url: str, digest: str) -> str:
    """The page of a report inside Airflow's UI."""
    return f"{airflow_url}/tenure/report/{digest}"


def canary_link(airflow_url: str, model: str) -> str:
    """The page of a model's newest canary inside Airflow's UI."""
    return f"{airflow_url}/tenure/model/{model}/canary"


def incident_link(airflow_url: str, number: int) -> str:
    """The page of an incident inside Airflow's UI."""
    return f"{airflow_url}/tenure/incident/{number}"


def drill_subject(name: str) -> str:
    """Subject of the events about a drill in the ledger."""
    return f"drill:{name}"


def approval_link(airflow_url: str, model: str, version: int) -> str:
    """The page that an approver of a version reads, inside Airflow's UI."""
    return f"{airflow_url}/tenure/model/{model}/version/{version}/approval"


def model_link(airflow_url: str, model: str) -> str:
    """The page of a model inside Airflow's UI, with the reports of all its versions."""
    return f"{airflow_url}/tenure/model/{model}"
