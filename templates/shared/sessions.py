"""Ends requests that outlive their caller's right to be answered: a stream, a slow upload, what became a WebSocket.

Everybody else is looked at before each request (guard.py), and needs nothing of this.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from connections import Place
from peer import Chain, Peer, find
from revocation import Refused
from tls import Material, Store

log = logging.getLogger("sessions")

LOOK_SECONDS = 1
ASK_SECONDS = 15
"""How often it is asked whether the callers of such requests are revoked."""

GRACE_SECONDS = 30
"""How long a request may go on after roots, intermediates or CRLs changed: its chain is not verified again."""


@dataclass(eq=False)
class Session:
    """A request that is being answered: who asked, by what, and until when that holds (Unix seconds).

    `trust` is that by which the caller was let in.
    """

    peer: Peer
    chain: Chain
    ends: float
    trust: str
    place: Place
    outdated_at: float | None = None


class Sessions:
    """The requests that are being answered now."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._open: set[Session] = set()

    def start(self) -> None:
        """Looks after them in the background from now on."""
        threading.Thread(target=self._watch, daemon=True).start()

    @contextlib.contextmanager
    def answering(self, session: Session) -> Iterator[None]:
        """Looks after the request for as long as it is being answered."""
        with self._lock:
            self._open.add(session)
        try:
            yield
        finally:
            with self._lock:
                self._open.remove(session)

    def _watch(self) -> None:
        ask_at = 0.0
        while True:
            time.sleep(LOOK_SECONDS)
            current = self._store.current
            for session in self._all():
                self._end(session, _complaint(session, current, time.time(), time.monotonic()))
            if time.monotonic() >= ask_at:
                self._ask(current)
                ask_at = time.monotonic() + ASK_SECONDS

    def _all(self) -> list[Session]:
        with self._lock:
            return list(self._open)

    def _ask(self, current: Material) -> None:
        if current.checker is None:
            return
        for session in self._all():
            try:
                current.checker.check(session.chain)
            except Refused as error:
                self._end(session, str(error))

    def _end(self, session: Session, reason: str | None) -> None:
        if reason is None:
            return
        with self._lock:
            if session not in self._open:  # answered meanwhile
                return
            session.place.cut()
        log.warning("%s: the request of %r is ended: %s", session.place.peer, session.peer.identity, reason)


def _complaint(session: Session, current: Material, now: float, clock: float) -> str | None:
    """Why the request must not go on. `now` is the time, `clock` one that nobody sets."""
    if now > session.ends:
        return "the certificate has expired"
    if find(current.allowed, session.peer) is None:
        return "the caller is no longer allowed"
    if session.trust == current.trust:
        session.outdated_at = None
        return None
    if session.outdated_at is None:
        session.outdated_at = clock
    return "it began under other roots or CRLs" if clock > session.outdated_at + GRACE_SECONDS else None
