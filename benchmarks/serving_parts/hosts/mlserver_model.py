"""MLServer as its documentation says: a runtime of one's own with the codec for pandas."""

import skops.io
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, PandasCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Scores(MLModel):
    """The model."""

    async def load(self) -> bool:
        """Load."""
        path = self.settings.parameters.uri
        self.model = skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Scores of the rows."""
        frame = PandasCodec.decode_request(payload)
        scores = self.model.predict_proba(frame)[:, 1]
        output = NumpyCodec.encode_output("score", scores)
        return InferenceResponse(model_name=self.name, outputs=[output])
