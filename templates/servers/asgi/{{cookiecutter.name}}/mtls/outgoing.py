"""What the application may ask of its server: the settings, and calls to the servers that this one may call."""

from __future__ import annotations

import asyncio

from mtls import calls
from mtls.calls import CallFailed
from mtls.settings import Settings
from mtls.tls import Store

__all__ = ["CallFailed", "Outgoing", "call", "own_settings", "use"]


class Outgoing:
    """The servers that this one may call."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings = settings
        self._store = store

    async def get(self, name: str, path: str) -> tuple[int, bytes]:
        """`GET path` of the server of that name: status and body. Raises KeyError and CallFailed."""
        return await asyncio.to_thread(calls.get, self.settings.calls[name], name, self._store.current, path)


_in_use: list[Outgoing] = []


def use(outgoing: Outgoing) -> None:
    """It is by this from now on: one process is one server."""
    _in_use[:] = [outgoing]


def own_settings() -> Settings:
    """What settings.json says: `name`, `greeting` and the addresses."""
    return _in_use[0].settings


async def call(name: str, path: str = "/") -> tuple[int, bytes]:
    """`GET path` of another server, by its name in the topology: status and body of what came back.

    Raises KeyError for a server that this one may not call, and CallFailed for one that cannot be trusted, does not
    trust this one, or is not there.
    """
    return await _in_use[0].get(name, path)
