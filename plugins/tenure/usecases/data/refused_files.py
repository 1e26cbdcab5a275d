"""Files whose judgement failed: kept by digest as evidence, so that a preview can judge them again.

The landing folder holds what its owner puts there, and a repaired file takes the place of the one
that was refused. Kept is only what may lie there in clear, and no longer than the dataset says.
"""

from datetime import timedelta

from tenure.config import DatasetConfig, load_all
from tenure.errors import ObjectMissing
from tenure.installation import Installation
from tenure.layout import REFUSED, refused_key
from tenure.ports import ObjectStore
from tenure.usecases.data.judge_file import JudgedFile
from tenure.usecases.data.landing import PinnedFile
from tenure.usecases.data.privacy import may_keep_file
from tenure.verdicts import Verdict
from tenure.views.datasets import stored_config


def keep_refused(
    store: ObjectStore, dataset: DatasetConfig, pinned: PinnedFile, judged: JudgedFile
) -> str | None:
    """Store a file that failed, once; returns its key.

    None when it passed, is too large to be read, lies whole in quarantine already, or may hold
    personal values in clear.
    """
    is_refused = judged.report.verdict is Verdict.FAILED and judged.kept != "file"
    if not is_refused or pinned.copy is None or not may_keep_file(dataset):
        return None
    key = refused_key(dataset.name, pinned.digest)
    store.put_once(key, pinned.copy)
    return key


def expire_refused(platform: Installation) -> int:
    """Delete refused files that are older than their dataset keeps data; returns how many.

    Also those of a dataset that has got a personal column, or became restricted, since. A dataset
    without a valid YAML is kept by the config that judged last.
    """
    from tenure.adapters.sql import validations

    by_dataset: dict[str, list[str]] = {}
    for key in platform.store.list(REFUSED):
        by_dataset.setdefault(key.removeprefix(REFUSED).partition("/")[0], []).append(key)
    if not by_dataset:
        return 0
    configs = load_all(platform.settings.include).datasets
    deleted = 0
    for name, keys in by_dataset.items():
        config = configs.get(name)
        if config is None:
            with platform.database.begin() as connection:
                config = stored_config(validations.newest_config(connection, name))
        if config is not None:
            deleted += sum(_expire(platform, config, key) for key in keys)
    return deleted


def _expire(platform: Installation, config: DatasetConfig, key: str) -> bool:
    try:
        age = platform.clock.now() - platform.store.info(key).modified
    except ObjectMissing:  # deleted since it was listed
        return False
    if may_keep_file(config) and age <= timedelta(days=config.retention_days):
        return False
    platform.store.delete(key)
    return True
