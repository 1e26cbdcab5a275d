"""A new model by Airflow's form: written where the folder of configs takes files, shown otherwise.

Import it inside functions: it loads SQLAlchemy.
"""

import os

from tenure.config.new_files import new_configs
from tenure.errors import NotPermitted
from tenure.installation import Installation
from tenure.usecases.onboarding.model_draft import ModelSpec, Tell
from tenure.usecases.onboarding.new_model import NewModel, propose, refuse_taken
from tenure.verdicts import Report, Verdict
from tenure.vocabulary import Role, RunRef


def fill_in(
    platform: Installation, wish: ModelSpec, run: RunRef, tell: Tell = lambda _: None
) -> tuple[NewModel, dict[str, object]]:
    """Draft the YAML for the person who started the run; a later try finds what an earlier wrote.

    Args:
        platform: The installation.
        wish: What the person said; its owner is the person.
        run: The task; its report holds the YAML.
        tell: Takes what is being done.

    Returns:
        The draft, and for XCom: the model, whether its file is written, the report's digest.

    Raises:
        NotPermitted: The person is no trainer.
        ConfigInvalid, GateInconclusive: As for `propose`; another file of that name stays.
    """
    _require_trainer(platform, wish.owner)
    proposed = propose(platform, wish, tell)
    written = _written(proposed)
    report = Report(
        stage="new model",
        subject=wish.name,
        verdict=Verdict.PASSED,
        summary=_summary(proposed, written=written),
        facts={
            "rows": proposed.rows,
            "batches": list(proposed.batches),
            "features": list(proposed.model.features.all),
            "not_read": [{"column": c, "reason": r} for c, r in proposed.left_out.items()],
            "to_be_confirmed": [{"what": one} for one in proposed.confirm],
            "file": f"{proposed.path.parent.name}/{proposed.path.name}",
            "yaml": proposed.text,
        },
        enforced=False,
    )
    digest = platform.reports.save(report, model=None, dataset=wish.dataset, run=run)
    return proposed, {"model": wish.name, "written": written, "report": digest}


def _require_trainer(platform: Installation, person: str) -> None:
    if not platform.config.allows(person, Role.TRAINER):
        raise NotPermitted(
            f"{person or 'nobody'} may not make models: that needs the role trainer.",
            still_safe="Nothing was written.",
            next_step="Ask a trainer, or add the name to `roles.trainer` in "
            "include/configs/platform.yaml.",
        )


def _written(proposed: NewModel) -> bool:
    """Whether the file holds the draft now. Raises ConfigInvalid where another one lies there."""
    path = proposed.path
    if path.is_file() and path.read_text("utf-8") == proposed.text:
        return True
    refuse_taken(path)
    if not os.access(path.parent, os.W_OK):
        return False
    new_configs({path: proposed.text})
    return True


def _summary(proposed: NewModel, *, written: bool) -> str:
    model = proposed.model
    drafted = (
        f"{model.name} reads {len(model.features.all)} columns of {model.dataset} and leaves "
        f"{len(proposed.left_out)} out; {len(proposed.confirm)} points are to be confirmed"
    )
    if written:
        return f"{drafted}. It is written; its DAGs appear by themselves"
    return f"{drafted}. The folder of configs takes no file: commit the YAML below"
