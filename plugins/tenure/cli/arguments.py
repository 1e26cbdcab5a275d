"""Arguments that several commands take."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from tenure.cli.connection import connected, login_name

if TYPE_CHECKING:
    from tenure.installation import Installation

NamedVersion = Annotated[
    str, typer.Argument(metavar="MODEL@VERSION", help="For example flight_late@1.")
]
"""A model version as people write it."""


Actor = Annotated[
    str | None,
    typer.Option(
        "--actor",
        help="On whose behalf you do it, if not your own; needs the role operator. The ledger "
        "names you both.",
    ),
]
"""For whom a person does something."""


@contextmanager
def acting(
    actor: str | None, *, lock_seconds: float | None = None
) -> Iterator[tuple["Installation", str]]:
    """The installation, and in whose name the block acts: the login's, or somebody else's.

    What the person may do is asked of the name; that the login may speak for others, here.

    Raises:
        NotPermitted: The login names somebody else and is no operator.
    """
    login = login_name()
    if actor is None or actor.casefold() == login.casefold():
        with connected(lock_seconds=lock_seconds) as platform:
            yield platform, login
        return
    with connected(login, lock_seconds=lock_seconds) as platform:
        _permit(platform, login, actor)
        yield platform, actor


def _permit(platform: "Installation", login: str, actor: str) -> None:
    from tenure.errors import NotPermitted
    from tenure.vocabulary import Role

    if not platform.config.allows(login, Role.OPERATOR):
        raise NotPermitted(
            f"{login} may not act on behalf of {actor}: that needs the role operator.",
            still_safe="Nothing was changed.",
            next_step="Run it without --actor, in your own name, or ask an operator.",
        )


def split_version(text: str) -> tuple[str, int]:
    """Model and number of `MODEL@VERSION`. Raises BadParameter, which is exit code 2."""
    from tenure.vocabulary import is_id

    model, _, number = text.partition("@")
    if not is_id(model) or not number.isdecimal():
        raise typer.BadParameter(f"{text!r} is not MODEL@VERSION, such as flight_late@2")
    return model, int(number)
