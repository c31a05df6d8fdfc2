"""What became of a call that the topology does not list, for a person."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from scaffold.topology.model import Party, Server
from scaffold.verify.judge import Finding
from scaffold.verify.model import Observed
from scaffold.view.terminal import Line, fitted, one_line, plain

_INDENT: Final = 2
_LEAST: Final = 40
_MARKS: Final = {Observed.REFUSED: ("✓", "green"), Observed.ALLOWED: ("✗", "bold red")}


def not_listed(caller: Party, called: Server, columns: int | None) -> Iterator[Line]:
    """What is said before it is tried."""
    said = f"{caller.address} does not list {called.address} under `calls`: trying the call with its own certificate."
    yield from map(plain, fitted(said, columns, 0, _LEAST))


def waiting(what: str, columns: int | None) -> Iterator[Line]:
    """What is waited for."""
    yield from map(plain, fitted(what, columns, 0, _LEAST))


def attempt_lines(caller: Party, called: Server, finding: Finding, columns: int | None) -> Iterator[Line]:
    """Who refused, in which layer and in which words; or that nobody did. Then what says more."""
    mark, style = _MARKS.get(finding.observed, ("✗", "bold red"))
    layer = f" ({finding.layer})" if finding.layer is not None else ""
    said = f"{_outcome(caller, called, finding.observed)}{layer}: {one_line(finding.detail)}"
    first, *others = fitted(said, columns, _INDENT, _LEAST)
    yield [(mark, style), (f" {first}", "")]
    yield from (plain(f"  {line}") for line in others)
    yield from (plain(f"  {line}") for line in fitted(_next(caller, called, finding.observed), columns, 2, _LEAST))


def _outcome(caller: Party, called: Server, observed: Observed) -> str:
    match observed:
        case Observed.REFUSED:
            return f"{called.address} refuses {caller.address}"
        case Observed.ALLOWED:
            return f"{called.address} let {caller.address} in"
        case _:
            return f"{called.address} neither lets {caller.address} in nor refuses it"


def _next(caller: Party, called: Server, observed: Observed) -> str:
    match observed:
        case Observed.REFUSED:
            return f"For the line that refuses: `scaffold explain {caller.address} {called.address}`"
        case Observed.ALLOWED:
            return (
                f"To see which other callers get in: `scaffold verify --only {called.address}`; to see edited "
                "files: `scaffold plan`"
            )
        case _:
            return f"`scaffold up --only {called.address}` shows what the server prints meanwhile."
