"""What lies in a landing folder and is not taken yet; reads only."""

from datetime import datetime, timedelta

from tenure.config import DatasetConfig
from tenure.errors import ObjectMissing
from tenure.layout import landing_prefix
from tenure.lifecycle.data.sources import is_candidate
from tenure.ports import Clock, ObjectStore


def settling(dataset: DatasetConfig, store: ObjectStore, clock: Clock) -> list[str]:
    """Names of files that changed just now: each is taken once it stands still."""
    prefix, since = landing_prefix(dataset.name), clock.now()
    since -= timedelta(seconds=dataset.source.settle_seconds)
    keys = [key for key in store.list(prefix) if is_candidate(dataset.name, key)]
    return [key.removeprefix(prefix) for key in keys if _changed_after(store, key, since)]


def _changed_after(store: ObjectStore, key: str, moment: datetime) -> bool:
    try:
        return store.info(key).modified > moment
    except ObjectMissing:  # taken away since it was listed
        return False
