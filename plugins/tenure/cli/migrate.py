"""`tenure migrate`: bring the lifecycle database up to date."""

import typer

from tenure.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("migrate")(migrate)


def migrate() -> None:
    """Migrate the lifecycle database to the schema of this release; safe to run again."""
    from tenure.migrations import upgrade

    upgrade(Settings.from_environment().database_url)
    print("The lifecycle database is up to date.")
