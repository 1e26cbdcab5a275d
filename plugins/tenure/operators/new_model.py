"""The task of `new_model`: what a person filled in becomes the YAML of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tenure.operators.base import TenureOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from tenure.installation import Installation
    from tenure.vocabulary import RunRef


def names_in(text: str) -> tuple[str, ...]:
    """What stands between commas, without blanks.

    >>> names_in(" sex, race ,")
    ('sex', 'race')
    """
    return tuple(one.strip() for one in text.split(",") if one.strip())


class NewModelOperator(TenureOperator):
    """Drafts the YAML from the newest rows; writes it, or shows it to be committed."""

    def work(self, platform: Installation, run: RunRef, context: Context) -> object:
        """The model's name, whether its file is written, and the report's digest."""
        from tenure.usecases.onboarding.model_draft import ModelSpec
        from tenure.usecases.onboarding.model_form import fill_in

        form: Any = context["params"]
        wish = ModelSpec(
            name=form["name"],
            dataset=form["dataset"],
            label=form["label"],
            positive=form["positive"] or None,
            protected=names_in(form["protected"] or ""),
            subject=form["subject"] or None,
            outcomes=form["outcomes"] or None,
            owner=run.user or "",
            task=form["task"] or None,
            time=form["time"] or None,
        )
        proposed, answer = fill_in(platform, wish, run, self.log.info)
        for line in (*proposed.decided, *proposed.text.splitlines()):
            self.log.info("%s", line)
        return answer
