"""Bytes of a JSON answer."""

from collections.abc import Mapping

import msgspec
from starlette.responses import Response

_encoder = msgspec.json.Encoder()


def json_response(
    value: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Encode with msgspec; NaN cannot occur because scores are checked to be finite."""
    return Response(
        _encoder.encode(value), status_code=status, headers=headers, media_type="application/json"
    )
