"""LitServe as its documentation says; with BATCH > 1 it gathers requests for a millisecond."""

import os
from typing import Any

import litserve
import pandas as pd
import skops.io


class Scores(litserve.LitAPI):
    """The model."""

    def setup(self, device: str) -> None:
        """Load."""
        path = os.environ["MODEL"]
        self.model = skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))

    def decode_request(self, request: dict[str, Any]) -> Any:
        """The row."""
        return request["rows"][0]

    def batch(self, inputs: list[Any]) -> list[Any]:
        """Rows stay a list."""
        return inputs

    def unbatch(self, output: list[float]) -> list[float]:
        """One score a request."""
        return output

    def predict(self, x: Any) -> Any:
        """Scores of one row or of a batch."""
        rows = x if isinstance(x, list) else [x]
        scores = self.model.predict_proba(pd.DataFrame(rows))[:, 1].tolist()
        return scores if isinstance(x, list) else scores[0]

    def encode_response(self, output: float) -> dict[str, float]:
        """The answer."""
        return {"score": output}


if __name__ == "__main__":
    batch = int(os.environ.get("BATCH", "1"))
    api = Scores(max_batch_size=batch, batch_timeout=0.001 if batch > 1 else 0.0)
    litserve.LitServer(api, accelerator="cpu").run(
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        log_level="warning",
        generate_client_file=False,
    )
