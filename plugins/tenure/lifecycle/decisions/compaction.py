"""Many small files of one hour become one, and no reader sees a row twice or not at all.

A compacted file counts only while a manifest beside it says which files it replaces; putting that
manifest is the one moment at which readers change over. Replaced files are deleted much later.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tenure.layout import hour_of
from tenure.vocabulary import digest_json

KEPT = timedelta(hours=1)
"""How long replaced files stay: longer than any scan that may still read them."""
SETTLED = timedelta(minutes=10)
"""After its end, how long an hour is left alone: gateways ship within seconds, clocks differ."""
_PREFIX = "compacted-"
_ROWS, _MANIFEST = ".parquet", ".json"


@dataclass(frozen=True)
class CompactionManifest:
    """What one compacted file stands for.

    Args:
        key: Its key; the compacted file has the same with another suffix.
        replaces: Names of files of the same folder, those of earlier manifests included: a file
            that a gateway ships once more after its replacement stays replaced.
        made_at: When it was put.
    """

    key: str
    replaces: frozenset[str]
    made_at: datetime

    @property
    def data(self) -> str:
        """Key of the compacted file."""
        return self.key.removesuffix(_MANIFEST) + _ROWS


@dataclass
class Folder:
    """The keys of one hour.

    Args:
        path: The folder's key, without a slash at the end.
        shipped: Files as gateways (and others) put them.
        compacted: Files that count only through a manifest.
        manifests: Keys of manifests.
    """

    path: str
    shipped: list[str] = field(default_factory=list)
    compacted: list[str] = field(default_factory=list)
    manifests: list[str] = field(default_factory=list)

    @property
    def is_plain(self) -> bool:
        """Whether its files say everything, so that no manifest needs to be read."""
        return not self.manifests or (len(self.manifests) == 1 and not self.shipped)

    def is_settled(self, now: datetime) -> bool:
        """Whether its hour is over for long enough; False for a folder of no hour."""
        began = hour_of(self.path)
        return began is not None and began + timedelta(hours=1) + SETTLED <= now


def folders(keys: Iterable[str]) -> list[Folder]:
    """Sort the keys of a listing into folders; what is neither rows nor a manifest is left out."""
    found: dict[str, Folder] = {}
    for key in keys:
        path, _, name = key.rpartition("/")
        folder = found.setdefault(path, Folder(path))
        if not name.startswith(_PREFIX):
            kind = folder.shipped if name.endswith(_ROWS) else None
        else:
            kind = folder.manifests if name.endswith(_MANIFEST) else folder.compacted
        if kind is not None:
            kind.append(key)
    return [found[path] for path in sorted(found)]


def in_force(manifests: Sequence[CompactionManifest]) -> list[CompactionManifest]:
    """Those that count: of two that stand for the same file, the one that replaces more.

    So a later compaction takes an earlier one's place, and two at the same time never double rows.
    """
    taken: list[CompactionManifest] = []
    spoken: set[str] = set()
    for one in sorted(manifests, key=lambda m: (-len(m.replaces), m.key)):
        if spoken.isdisjoint(one.replaces):
            taken.append(one)
            spoken |= one.replaces
    return taken


def live(folder: Folder, manifests: Sequence[CompactionManifest] | None) -> list[str]:
    """Keys to read in a folder, sorted; `manifests` may be None where the folder is plain."""
    if manifests is None:
        data = [key.removesuffix(_MANIFEST) + _ROWS for key in folder.manifests]
        return sorted([*folder.shipped, *data])
    valid = in_force(manifests)
    gone = frozenset[str]().union(*(one.replaces for one in valid))
    kept = [key for key in folder.shipped if _name(key) not in gone]
    return sorted([*kept, *(one.data for one in valid)])


def next_manifest(
    folder: Folder, inputs: Sequence[str], manifests: Sequence[CompactionManifest], now: datetime
) -> CompactionManifest:
    """The manifest of a file made from `inputs`; the same inputs always give the same key."""
    names = {_name(key) for key in inputs}
    earlier = (one.replaces for one in in_force(manifests) if _name(one.data) in names)
    replaces = frozenset(names).union(*earlier)
    key = f"{folder.path}/{_PREFIX}{digest_json(sorted(replaces))[:16]}{_MANIFEST}"
    return CompactionManifest(key, replaces, now)


def to_delete(folder: Folder, manifests: Sequence[CompactionManifest], now: datetime) -> list[str]:
    """Keys that nobody reads any more: replaced long ago, data before the manifests that name it.

    A compacted file without any manifest is left by a compaction that died; the caller deletes
    it by its age (`orphans`).
    """
    valid = in_force(manifests)
    old = [one for one in valid if one.made_at + KEPT <= now]
    gone = frozenset[str]().union(*(one.replaces for one in old))
    files = [key for key in (*folder.shipped, *folder.compacted) if _name(key) in gone]
    replaced = {key.removesuffix(_ROWS) + _MANIFEST for key in files} | {
        f"{folder.path}/{name.removesuffix(_ROWS)}{_MANIFEST}" for name in gone
    }
    return [*files, *(key for key in folder.manifests if key in replaced)]


def orphans(folder: Folder) -> list[str]:
    """Compacted files that no manifest names (yet)."""
    named = {key.removesuffix(_MANIFEST) + _ROWS for key in folder.manifests}
    return [key for key in folder.compacted if key not in named]


def compatible(kinds: Mapping[str, Mapping[str, str]]) -> list[list[str]]:
    """Keys in groups whose columns agree: a feature is a number in one group, a text in another.

    Args:
        kinds: Key to column to type.
    """
    groups: list[tuple[dict[str, str], list[str]]] = []
    for key, columns in kinds.items():
        for known, members in groups:
            if all(known.get(name, kind) == kind for name, kind in columns.items()):
                known.update(columns)
                members.append(key)
                break
        else:
            groups.append((dict(columns), [key]))
    return [members for _, members in groups]


def is_compacted(key: str) -> bool:
    """Whether the file is one that a compaction made.

    >>> is_compacted("a/compacted-0123.parquet"), is_compacted("a/gw-1.parquet")
    (True, False)
    """
    return _name(key).startswith(_PREFIX)


def _name(key: str) -> str:
    return key.rpartition("/")[2]
