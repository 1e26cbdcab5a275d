"""What an archive holds and which originals may go: deletion follows the manifest alone."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Item:
    """One object of the archive and the original that it is a copy of.

    Args:
        name: Role of the item: artifact, reference, evaluation, config…
        key: Where the original lies, or `database:…` when it is a row.
        archive_key: Where the copy lies.
        size: Bytes.
        sha256: Of both.
        delete_after: Whether the original goes once the archive is verified and retained.
    """

    name: str
    key: str
    archive_key: str
    size: int
    sha256: str
    delete_after: bool = False


@dataclass(frozen=True)
class Manifest:
    """What an archive holds; deletion follows it and nothing else."""

    model: str
    version: int
    row: Mapping[str, object]
    items: tuple[Item, ...]

    def to_dict(self) -> dict[str, object]:
        """JSON form; its digest stands in the lifecycle database."""
        return {
            "format": 1,
            "model": self.model,
            "version": self.version,
            "row": dict(self.row),
            "items": [asdict(item) for item in self.items],
        }

    @property
    def marked(self) -> tuple[Item, ...]:
        """Items whose originals are to go."""
        return tuple(item for item in self.items if item.delete_after)

    def has(self, name: str) -> bool:
        """Whether the archive has an item with this role."""
        return any(item.name == name for item in self.items)


def read_manifest(value: Mapping[str, object]) -> Manifest:
    """The manifest from its JSON form. Raises KeyError or TypeError when it is none."""
    items = value["items"]
    row = value["row"]
    if not isinstance(items, list) or not isinstance(row, dict):
        raise TypeError("a manifest has a row and a list of items")
    return Manifest(
        model=str(value["model"]),
        version=int(str(value["version"])),
        row=row,
        items=tuple(Item(**item) for item in items),
    )


def may_be_deleted(item: Item, still_needed: Collection[str]) -> bool:
    """Whether the original of an item may go: the archive holds it and no other version needs it.

    Args:
        item: An item whose original would be deleted.
        still_needed: Keys that versions which are not deleted refer to.
    """
    return item.delete_after and item.key not in still_needed
