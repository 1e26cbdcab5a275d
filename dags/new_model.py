"""Write the YAML of a new model from a form and the newest published rows of its dataset.

`write` looks at the rows, chooses the columns that the model reads (each other one is named with
its reason) and proposes gates, groups and canary margins; guesses are marked *to be confirmed*. The
file goes into the configs folder where that takes files; otherwise the task's tab *Tenure* shows it
to be committed. `tenure new model` does the same from a terminal.

**If this fails**

1. Open the red task and its tab *Tenure*: it names the field of the form, or the column, that does
   not fit. Nothing was written.
2. *NotPermitted*: who triggered the run is no trainer in `platform.yaml`.
3. *GateInconclusive*: no batch of the dataset is published yet. Drop a file into its landing
   folder first.
4. Clearing the task is safe: a file that an earlier try wrote is found, another one is kept.
"""

from airflow.sdk import Param, dag

from tenure.layout import NEW_MODEL
from tenure.operators.new_model import NewModelOperator
from tenure.orchestration.catalog import dataset_names
from tenure.orchestration.defaults import dag_settings
from tenure.vocabulary import ID_PATTERN, PLAIN


def text(title: str, description: str) -> Param:
    """A field of the form that may stay empty; of a `string` alone Airflow asks for a value."""
    return Param(
        None,
        type=["null", "string"],
        maxLength=2000,
        pattern=PLAIN,
        title=title,
        description=description,
    )


FORM = {
    "name": Param(
        type="string",
        pattern=ID_PATTERN,
        maxLength=64,
        title="Name",
        description="Of the model: a-z, 0-9, _ and -, no double underscore.",
    ),
    "dataset": Param(
        type="string",
        examples=dataset_names(),
        maxLength=64,
        pattern=ID_PATTERN,
        title="Dataset",
        description="What it is trained on; some of it is published.",
    ),
    "label": Param(
        type="string",
        minLength=1,
        maxLength=200,
        pattern=PLAIN,
        title="Label",
        description="Column that it predicts.",
    ),
    "task": Param(
        None,
        type=["null", "string"],
        enum=[None, "binary", "multiclass", "regression"],
        values_display={"null": "guessed from the label"},
        title="Task",
        description="One of two values, one of a few classes, or a number. Empty: guessed.",
    ),
    "time": text("Time", "Column: when a row happened. Empty: the dataset's time column."),
    "positive": text("Positive value", "The value that is looked for; empty: guessed."),
    "protected": text(
        "Protected attributes",
        "Columns, with commas: their groups are audited, and the model does not read them. "
        "Empty: guessed.",
    ),
    "subject": text("Subject", "Column: whom a decision is about. Empty: the dataset's entity."),
    "outcomes": text("Outcomes", "Dataset that outcomes land in. Empty: they are posted."),
}


@dag(dag_id=NEW_MODEL, schedule=None, params=FORM, **dag_settings(stage="new_model", doc=__doc__))
def new_model() -> None:
    """One task: it writes one file, or none."""
    NewModelOperator(task_id="write")


new_model()
