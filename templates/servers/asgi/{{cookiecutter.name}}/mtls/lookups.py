"""Asks whether callers are revoked, or no longer trusted, without keeping anybody else waiting."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from mtls.peer import Chain
from mtls.revocation import Checker
from mtls.standing import Standing
from mtls.tls import Material

MOST_AT_ONCE = 64


class Lookups:
    """What is remembered is answered at once; one thread asks for all connections with the same certificate."""

    def __init__(self, standing: Standing) -> None:
        self._standing = standing
        self._threads = ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="revocation")
        self._asking: dict[tuple[Checker, Chain], asyncio.Future[None]] = {}

    async def check(self, checker: Checker, chain: Chain) -> None:
        """Raises Refused unless the verified chain is valid."""
        if checker.remembers(chain):
            checker.check(chain)
            return
        key = (checker, chain)
        if (asking := self._asking.get(key)) is None:
            asking = asyncio.get_running_loop().run_in_executor(self._threads, checker.check, chain)
            self._asking[key] = asking
            asking.add_done_callback(lambda done: self._forget(key, done))
        await asyncio.shield(asking)

    async def verify_again(self, chain: Chain, current: Material) -> None:
        """Raises Refused unless a chain that was verified by other material is valid by the current one, too."""
        await asyncio.get_running_loop().run_in_executor(self._threads, self._standing.check, chain, current)

    def _forget(self, key: tuple[Checker, Chain], done: asyncio.Future[None]) -> None:
        del self._asking[key]
        done.exception()  # it has been seen, even where everybody who waited is gone
