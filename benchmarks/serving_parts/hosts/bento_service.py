"""BentoML as its documentation says: a class with an API; a frame a call."""

import os
from typing import Any

import bentoml
import pandas as pd
import skops.io


@bentoml.service
class Scores:
    """The model."""

    def __init__(self) -> None:
        path = os.environ["MODEL"]
        self.model = skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))

    @bentoml.api
    def predict(self, rows: list[dict[str, Any]]) -> list[float]:
        """Scores of the rows."""
        return self.model.predict_proba(pd.DataFrame(rows))[:, 1].tolist()
