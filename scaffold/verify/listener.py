"""Who is told how a verification goes on."""

from __future__ import annotations

from scaffold.verify.model import Check


class Listener:
    """Told of each step as it is taken. This one makes nothing of it; who does, overrides what it wants to hear."""

    def starting(self, servers: int) -> None:
        """So many servers are started now, copies included."""

    def ready(self, server: str) -> None:
        """One of them is ready."""

    def probing(self, checks: int) -> None:
        """All are: so many checks are tried now."""

    def concluded(self, check: Check, total: int) -> None:
        """A check has ended, or cannot be tried here. There are `total` of both."""


NOBODY = Listener()
