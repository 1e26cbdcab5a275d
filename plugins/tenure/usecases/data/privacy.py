"""What ingestion must know beyond a dataset's own files: who reads it, and with which secret."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

from tenure.config import DatasetConfig, ModelConfig, load_all
from tenure.config.problems import BrokenFile
from tenure.installation.keys import PSEUDONYMS
from tenure.lifecycle.data.quality import CONTRACT, Finding
from tenure.lifecycle.data.schema import (
    ColumnShape,
    LandedColumns,
    Reader,
    Shape,
    landed_changes,
    schema_findings,
)
from tenure.lifecycle.data.sensitivity import (
    Key,
    hidden_columns,
    hides_unknown,
    personal_columns,
    require_encryption,
    veiled,
)
from tenure.ports import ObjectStore
from tenure.settings import Settings

if TYPE_CHECKING:
    from tenure.adapters.arrow_tables import Batch


@dataclass(frozen=True)
class DatasetContext:
    """Readers of a dataset, the key of its pseudonyms, and the day.

    Args:
        readers: Models that read the dataset.
        key: None when no column is personal.
        today: Closes the windows of renames; None leaves all of them open.
    """

    readers: tuple[Reader, ...] = ()
    key: Key | None = None
    today: date | None = None

    def in_clear(self, dataset: DatasetConfig) -> dict[str, list[str]]:
        """Personal columns that are published as they are: to `model: reason` of who asked."""
        return {
            column: asked
            for column in sorted(personal_columns(dataset.contract))
            if (asked := [f"{r.name}: {r.clear[column]}" for r in self._asking(column)])
        }

    def _asking(self, column: str) -> list[Reader]:
        return [reader for reader in self.readers if column in reader.clear]

    def rules_text(self, dataset: DatasetConfig, text: str) -> str:
        """The dataset's YAML, and below it what else decides on how personal columns are published.

        So another reason or another key is another rule: what still lies in the landing zone is
        judged and published again.
        """
        if self.key is None:
            return text
        clear = [f"# in clear: {c} for {', '.join(a)}" for c, a in self.in_clear(dataset).items()]
        lines = [f"# pseudonyms by key {self.key.id}", *clear]
        return text.rstrip("\n") + "\n" + "\n".join(" ".join(line.split()) for line in lines) + "\n"


def dataset_context(settings: Settings, dataset: DatasetConfig, today: date) -> DatasetContext:
    """The handling of a dataset as the files say now.

    Raises:
        ConfigInvalid: The key cannot be used; or a model's YAML is broken, so that nobody can tell
            which personal columns may be published in clear.
    """
    is_personal = bool(personal_columns(dataset.contract))
    found = load_all(settings.include)
    unknown = [p for p in found.problems if p.path.parent.name == "models"]
    unknown = [p for p in unknown if p.path.stem not in found.models]
    if is_personal and unknown:
        raise BrokenFile(unknown)
    readers = [reader(m, dataset) for m in found.models.values() if m.dataset == dataset.name]
    key = Key.of_dataset(PSEUDONYMS.read(settings.home), dataset.name) if is_personal else None
    return DatasetContext(tuple(sorted(readers, key=lambda r: r.name)), key, today)


def require_safe_store(store: ObjectStore, dataset: DatasetConfig) -> None:
    """Refuse restricted data in a store that is not known to encrypt. Raises ConfigInvalid.

    The store is asked only where it matters: one that does not answer stops nobody else.
    """
    if dataset.sensitivity == "restricted":
        require_encryption(dataset.name, dataset.sensitivity, store.encryption())


def reader(model: ModelConfig, dataset: DatasetConfig) -> Reader:
    """What a model reads, under the names of the present contract."""
    return Reader(
        model.name,
        numbers=model.number_columns,
        texts=model.text_columns,
        subject=model.subject_column or "",
        time=model.time_in(dataset) or "",
        clear=model.personal,
    ).mapped(dataset.contract.renamed())


def contract_shape(dataset: DatasetConfig, clear: Sequence[str], key: Key | None) -> Shape:
    """The shape of a snapshot that has every column of the contract."""
    tokens = personal_columns(dataset.contract) - {*clear}
    columns = {
        name: ColumnShape("string", spec.nullable, key.id if key else "")
        if name in tokens
        else ColumnShape(spec.type, spec.nullable)
        for name, spec in dataset.contract.columns.items()
    }
    return Shape(columns, dataset.contract.key, dataset.time_column or "")


def published_shape(batch: "Batch", dataset: DatasetConfig, how: DatasetContext) -> Shape:
    """The shape of the snapshot of a batch."""
    whole = contract_shape(dataset, list(how.in_clear(dataset)), how.key)
    return whole.without(batch.set_aside)


def shape_findings(batch: "Batch", dataset: DatasetConfig, how: DatasetContext) -> list[Finding]:
    """What became of columns that differ from the contract, and whom it stops."""
    contract = dataset.contract
    shape = contract_shape(dataset, list(how.in_clear(dataset)), how.key)
    still_open = contract.renamed(how.today)
    lapsed = {old: new for old, new in contract.renamed().items() if old not in still_open}
    found = landed_changes(shape, LandedColumns(batch.set_aside, batch.unknown), lapsed=lapsed)
    return schema_findings(found, shape, how.readers, says_added=not contract.allow_extra_columns)


def masked(findings: Sequence[Finding], dataset: DatasetConfig) -> list[Finding]:
    """The findings without a value of a hidden column."""
    return veiled(findings, hidden_columns(dataset.contract, dataset.sensitivity))


def pseudonymised(batch: "Batch", dataset: DatasetConfig, how: DatasetContext) -> "Batch":
    """The batch as everything behind the gate may see it: snapshot, quarantine, previews.

    Quarantined rows never hold a personal value in clear, whoever may read it in a snapshot. What
    stands in a column that breaks the contract may be anything: a shifted address.
    """
    from tenure.adapters.pseudonyms import tokenised

    personal = personal_columns(dataset.contract)
    table, original = batch.table, batch.original
    if how.key is None:
        if personal:
            raise ValueError(f"{dataset.name} has personal columns and no key")
        return batch
    if table is not None:
        table = tokenised(table, personal - {*how.in_clear(dataset)}, how.key)
    if original is not None:
        strange = {n for n in original.column_names if n not in dataset.contract.columns}
        broken = {name for f in batch.findings if f.rule == CONTRACT for name in f.columns}
        strange |= broken | {*batch.set_aside}
        original = tokenised(original, personal | strange, how.key)
    return replace(batch, table=table, original=original)


def may_keep_file(dataset: DatasetConfig) -> bool:
    """Whether a file that was refused may be kept as it came."""
    return not hides_unknown(dataset.contract, dataset.sensitivity)
