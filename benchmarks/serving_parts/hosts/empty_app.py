"""The limit: Starlette that reads the body and answers a constant, on the gateway's server."""

import os
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


async def answer(request: Request) -> Response:
    """Read and answer."""
    await request.body()
    return Response(b'{"score": 0.5}', media_type="application/json")


if __name__ == "__main__":
    app = Starlette(routes=[Route("/predict", answer, methods=["POST"])])
    port = int(os.environ.get("PORT", sys.argv[-1]))
    uvicorn.run(app, port=port, loop="uvloop", access_log=False, log_level="warning")
