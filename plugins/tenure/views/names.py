"""Which datasets and models there are: by a YAML, valid or not, or by what is registered."""

from tenure.installation import Installation
from tenure.vocabulary import is_id


def has_model(platform: Installation, name: str) -> bool:
    """Whether the model has a YAML or is registered."""
    return _has_yaml(platform, "models", name) or name in _registered_models(platform)


def has_dataset(platform: Installation, name: str) -> bool:
    """Whether the dataset has a YAML or is registered."""
    return _has_yaml(platform, "datasets", name) or name in _registered_datasets(platform)


def models(platform: Installation) -> list[str]:
    """Every model there is, or ever was."""
    return sorted(_with_yaml(platform, "models") | _registered_models(platform))


def datasets(platform: Installation) -> list[str]:
    """Every dataset there is, or ever was."""
    return sorted(_with_yaml(platform, "datasets") | _registered_datasets(platform))


def _has_yaml(platform: Installation, kind: str, name: str) -> bool:
    return is_id(name) and (platform.settings.configs / kind / f"{name}.yaml").is_file()


def _with_yaml(platform: Installation, kind: str) -> set[str]:
    return {path.stem for path in (platform.settings.configs / kind).glob("*.yaml")}


def _registered_models(platform: Installation) -> set[str]:
    from tenure.adapters.sql import versions

    with platform.database.begin() as connection:
        return set(versions.models(connection))


def _registered_datasets(platform: Installation) -> set[str]:
    from tenure.adapters.sql import data

    with platform.database.begin() as connection:
        return set(data.registered(connection))
