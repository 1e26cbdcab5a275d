"""YAML into frozen typed models; errors name file, line, key and what is allowed."""

from tenure.config.loader import (
    ConfigSet,
    load_all,
    load_dataset,
    load_model,
    load_platform,
    parse_dataset,
    parse_model,
    read_platform,
)
from tenure.config.models import DatasetConfig, ModelConfig, PlatformConfig

__all__ = [
    "ConfigSet",
    "DatasetConfig",
    "ModelConfig",
    "PlatformConfig",
    "load_all",
    "load_dataset",
    "load_model",
    "load_platform",
    "parse_dataset",
    "parse_model",
    "read_platform",
]
