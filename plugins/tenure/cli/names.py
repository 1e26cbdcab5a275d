"""Names that somebody typed: of a dataset, a model or a suite that there is, or exit code 2."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from tenure.installation import Installation


def require_model(platform: "Installation", name: str | None) -> None:
    """Refuse a model that nobody knows; None is any. Raises BadParameter."""
    from tenure.views import names

    if name is not None and not names.has_model(platform, name):
        one_of("model", name, names.models(platform))


def require_dataset(platform: "Installation", name: str | None) -> None:
    """Refuse a dataset that nobody knows; None is any. Raises BadParameter."""
    from tenure.views import names

    if name is not None and not names.has_dataset(platform, name):
        one_of("dataset", name, names.datasets(platform))


def one_of(kind: str, name: str, known: Sequence[str]) -> None:
    """Refuse what is none of the known ones. Raises BadParameter."""
    if name not in known:
        listed = ", ".join(known) or "none yet"
        raise typer.BadParameter(f"there is no {kind} {name!r}; there are: {listed}")
