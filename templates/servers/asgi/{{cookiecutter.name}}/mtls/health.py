"""The plain port for load balancers and watchdogs: it says that the service runs, and nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import uvicorn
from uvicorn.server import ServerState


async def _application(
    scope: MutableMapping[str, Any], receive: object, send: Callable[[dict[str, Any]], Awaitable[None]]
) -> None:
    """`GET /healthz` is `ok`; everything else is not found."""
    found = scope["method"] in ("GET", "HEAD") and scope["raw_path"] == b"/healthz"
    status, body = (200, b"ok\n") if found else (404, b"not found\n")
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


STATE = ServerState()
CONFIG = uvicorn.Config(
    _application,
    http="h11",
    ws="none",
    lifespan="off",
    interface="asgi3",
    log_config=None,
    access_log=False,
    proxy_headers=False,
    server_header=False,
    timeout_keep_alive=5,
)
