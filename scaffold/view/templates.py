"""Templates for a person: the list, what one declares, and how its contract was kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from scaffold.contract.model import Check, ContractReport
from scaffold.kinds.capabilities import FEATURES, Capabilities
from scaffold.kinds.catalogue import Kind
from scaffold.topology.model import KeyType, OnUnavailable, RevocationCheck, TlsProfile
from scaffold.verify.model import Result
from scaffold.view.terminal import Line, fitted, one_line, plain
from scaffold.view.verify import MARKS

_NAMES = 24
_LEAST = 20


def list_lines(kinds: Sequence[Kind], columns: int | None = None) -> Iterator[Line]:
    """A line for each: its role, its name, what it is, and what it must find on PATH; several in narrow `columns`."""
    width = max((len(kind.name) for kind in kinds), default=0)
    for kind in kinds:
        indent = len(kind.role) + width + 4
        needs = f"(needs {needed})" if (needed := _commands(kind.capabilities)) else ""
        first, *more = fitted(one_line(kind.capabilities.summary), columns, indent, _LEAST)
        line = [(f"{kind.role}  ", "dim"), (f"{kind.name:<{width}}  ", "bold"), (first, "")]
        if more or (columns is not None and indent + len(f"{first}  {needs}") > columns):
            yield line
            yield from (plain(f"{'':{indent}}{text}") for text in more)
            yield from ([(f"{'':{indent}}{text}", "dim")] for text in fitted(needs, columns, indent, _LEAST) if text)
        else:
            yield [*line, (f"  {needs}" if needs else "", "dim")]


def show_lines(kind: Kind, columns: int | None = None) -> Iterator[Line]:
    """What a template declares, and what of the language it has not declared and plan therefore refuses."""
    yield [(kind.name, "bold"), (f"  {kind.role}, {'built in' if kind.builtin else kind.folder}", "dim")]
    yield from map(plain, fitted(one_line(kind.capabilities.summary), columns, 0, _LEAST))
    yield plain("")
    rows = declared(kind)
    width = max(map(len, rows))
    for name, value in rows.items():
        for number, line in enumerate(fitted(one_line(value), columns, width + 4, _LEAST)):
            yield [(f"  {name if number == 0 else '':<{width}}  ", "dim"), (line, "")]


def declared(kind: Kind) -> dict[str, str]:
    """What a template declares, by what it is about, in the order in which a person asks for it."""
    can = kind.capabilities
    return {
        "needs": _commands(can) or "nothing",
        "variables": ", ".join(f"{name}: {default!r}" for name, default in kind.defaults.items()) or "none",
        **_can(kind),
        "cannot": ", ".join(_cannot(kind)) or "every variable has a default",
        "files of yours": ", ".join(can.owners.yours) or "none",
        "merged files": ", ".join(can.owners.merged) or "none",
        "scaffold's files": "all others, and tls/",
        "verify notices if": "; ".join(mutation.breaks for mutation in can.mutations) or "not tested: no mutations",
    }


def width_of(names: Iterable[str]) -> int:
    """How wide the column of the checks' names is; longer ones push the rest aside."""
    return max((min(len(name), _NAMES) for name in names), default=0)


def check_line(check: Check, width: int) -> Line:
    """How one check of a contract ended."""
    mark, style = MARKS[check.result]
    return [(f"{mark} {check.name:<{width}}  ", style), (one_line(check.detail), "" if style == "green" else style)]


def sum_lines(report: ContractReport) -> Iterator[Line]:
    """How many checks ended in each way."""
    counts = ", ".join(f"{count:,} {result.value}" for result, count in report.summary.items())
    if report.summary[Result.PASSED] == 0:
        yield [("Nothing was tested: the reasons are above.", "bold red")]
    yield [(f"Check: {counts}.", "bold red" if report.failed else "bold green")]


def _can(kind: Kind) -> dict[str, str]:
    can = kind.capabilities
    rows = {
        "TLS": f"{_all(can.tls)}, by {can.tls_library}",
        "check_revocation": f"{_all(can.check_revocation)}; if unavailable: {_all(can.on_unavailable)}",
        "own keys": _versions(can.keys.items()),
        "peers' keys": _versions(can.peer_keys.items()),
        "supports": _all(can.supports) or "nothing more",
        "knows servers by": _all(can.checks_names),
    }
    if kind.role == "server" and can.decides_by_chain:
        rows["lets in"] = "every certificate below the CAs that it trusts"
    elif kind.role == "server":
        rows["knows issuers by"] = f"their {can.sees_issuer_by}"
    if kind.role == "server" and can.runs:
        rows["refuses in"] = can.refuses_in
        rows["tells an app by"] = _all(can.forward) or "nothing: it takes no backend"
    if not can.runs:
        rows["runs"] = "nothing: it makes files for a program of your own"
    return rows


def _cannot(kind: Kind) -> Iterator[str]:
    can = kind.capabilities
    yield from (f"tls: {each}" for each in TlsProfile if each not in can.tls)
    yield from (f"check_revocation: {each}" for each in RevocationCheck if each not in can.check_revocation)
    yield from (f"on_unavailable: {each}" for each in OnUnavailable if each not in can.on_unavailable)
    yield from (f"key: {each}" for each in KeyType if each not in can.keys)
    asked_for = _ASKED_FOR if kind.role == "server" else frozenset({"pfx"})
    yield from (feature for feature in FEATURES if feature in asked_for and feature not in can.supports)
    if kind.role == "server" and not can.staples:
        yield "staple"


_ASKED_FOR = frozenset({"health", "upstream", "backend", "calls", "pfx", "must_staple"})
"""What a topology can ask a server for; the rest of the features says how a template goes about something."""


def _versions(keys: Iterable[tuple[KeyType, str]]) -> str:
    return ", ".join(f"{key} ({version})" for key, version in keys) or "none"


def _all(values: Iterable[object]) -> str:
    return ", ".join(sorted(map(str, values)))


def _commands(can: Capabilities) -> str:
    return ", ".join([*(" or ".join(group) for group in can.requires), *can.tries])
