"""Who called: for the request that is being answered, wherever in the application that is asked."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Caller:
    """An allowed caller, and what it may be here.

    `on_behalf_of`: the `subject`, `issuer` and `roles` of the caller for which a gateway calls, else None. What a
    gateway may be itself, and what its caller may be, are two things.
    """

    identity: str
    on_behalf_of: Mapping[str, Any] | None
    roles: tuple[str, ...] = ()


answering: ContextVar[Caller] = ContextVar("answering")
"""Set by guard.py for each request; the tasks and threads that an application starts for it inherit it."""


def current_caller() -> Caller:
    """Who sent the request that is being answered. Raises RuntimeError outside of one."""
    try:
        return answering.get()
    except LookupError:
        raise RuntimeError("nobody called: this runs outside of a request") from None


async def get_caller() -> Caller:
    """The same as a dependency, of FastAPI and of Litestar."""
    return current_caller()
