"""A handshake for a person: what is sent, what is checked by which line, and what is answered where that fails."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from scaffold.explain.model import About, Check, Doing, Edge, Handshake, Overview, Shown, Step
from scaffold.kinds.lines import Line as SourceLine
from scaffold.topology.address import Address, Role
from scaffold.verify.cases import is_in_its_place
from scaffold.verify.last_run import Seen
from scaffold.verify.model import Check as VerifyCheck
from scaffold.verify.model import Expected, Observed, Probe, Result
from scaffold.view.terminal import Line, Span, fitted, one_line, plain
from scaffold.view.verify import seen_where

HOLDS: Final[Mapping[bool | None, Span]] = {True: ("✓", "green"), False: ("✗", "bold red"), None: ("•", "cyan")}

NARROWEST: Final = 40

NOT_VERIFIED: Final = "`scaffold verify` has not been run for this call yet"

DIFFERS: Final = "`scaffold plan --diff` shows what differs, and `scaffold apply` restores it."

WRONG: Final = "verify saw that this check is missing"


def handshake_lines(told: Handshake, columns: int | None = None) -> Iterator[Line]:
    """The call step by step. Without `columns`, as in a pipe, no line is broken."""
    style = "bold red" if told.ends_at else "bold yellow" if told.changed else "bold green"
    yield from _indented("", verdict(told), style, columns)
    if told.is_open:
        yield from _indented("", DIFFERS, "", columns)
    for number, step in enumerate(told.steps, 1):
        yield plain("")
        yield from _step_lines(number, step, told, columns)
        if (failed := step.failed) is not None:
            yield plain("")
            yield from _indented("", f"The call fails here: {refusal(step, failed, told)}", "bold red", columns)
            yield from _when_seen(told, columns)
            return
    yield plain("")
    if told.is_open:
        ending = "It is not known whether the request is answered."
    else:
        ending = "Both sides accept each other: the request is answered."
    yield [(f"{len(told.steps) + 1}. {ending}", "bold")]
    yield from _indented("   ", _welcome(told), "dim", columns)
    yield from _when_seen(told, columns)


def _when_seen(told: Handshake, columns: int | None) -> Iterator[Line]:
    """From when what is told of answers is: certificates may have been replaced since."""
    moments = [seen.at for step in told.steps for check in step.checks for seen in check.seen]
    said = "After `scaffold verify`, each check above also shows the answer to a caller that fails it."
    if moments:
        said = (
            "The answers after `otherwise:` are those that `scaffold verify` saw, last on "
            f"{max(moments):%Y-%m-%d %H:%M} UTC."
        )
    yield plain("")
    yield from _indented("", said, "dim", columns)


def verdict(told: Handshake) -> str:
    """Whether the call succeeds today, in one sentence."""
    caller, server = told.caller, told.server
    if told.is_open:
        files = _not_as_it_says(told.changed)
        return f"It is not known whether {caller} gets in at {server}: {files}."
    if (step := told.ends_at) is None:
        return f"{caller} is allowed to call {server}, and gets in."
    if not told.listed:
        return f"{caller} is not allowed to call {server}: {step.by} refuses it."
    return f"{caller} is allowed to call {server}, but {step.by} refuses it today."


def refusal(step: Step, check: Check, told: Handshake) -> str:
    """What does not hold of a step, and what verify saw of this very call, or else of others like it."""
    refused = told.called is not None and told.called.check.observed is Observed.REFUSED
    said = "; ".join(dict.fromkeys(_answer(seen) for seen in ((told.called,) if refused else check.seen) if seen))
    answers = f"{step.by} answers: {said}." if said else f"What {step.by} answers is not known: {NOT_VERIFIED}."
    return f"{sentence(check)}. {answers}"


def title(step: Step, told: Handshake) -> str:
    """What a step is, in one sentence."""
    caller, server = told.caller.name, told.server.name
    match step.doing:
        case Doing.CONNECTS:
            return f"{caller} connects to {server} at {told.address}."
        case Doing.SHOWS_SERVER:
            return f"{server} shows its certificate, and asks for one."
        case Doing.CHECKS_SERVER:
            return f"{caller} checks {server}." if step.checks else f"{caller} is external: its checks are not known."
        case Doing.SHOWS_CLIENT:
            return f"{caller} shows its certificate."
        case Doing.CHECKS_CLIENT:
            return f"{server} checks {caller}."
        case Doing.DECIDES:
            return f"{server} checks whether {caller} is allowed."


def sentence(check: Check) -> str:
    """What a check says of what is there today."""
    words = _WORDS[check.holds].get(check.about, _HOLDS[check.about])
    if check.changed and check.about is About.ALLOWED:
        words = _BY_THE_TOPOLOGY[check.holds]
    return one_line(words.format(wanted=check.wanted, found=check.found or "nothing"))


_HOLDS: Final[Mapping[About, str]] = {
    About.TLS_VERSION: "{wanted} is spoken, nothing older",
    About.DEMANDED: "a certificate is demanded",
    About.CHAIN: "it leads to a root in {wanted}: {found}",
    About.NAME: "it has the name {wanted}",
    About.VALIDITY: "it is valid {found}, its chain included",
    About.PURPOSE: "its extended key usage is {wanted}",
    About.REVOCATION: "it is not revoked, by {wanted}",
    About.FAULT: "{found}",
    About.ALLOWED: "it is on the allow list: {wanted}",
}

_FAILS: Final[Mapping[About, str]] = {
    About.TLS_VERSION: "{wanted} is not spoken",
    About.DEMANDED: "no certificate is shown",
    About.CHAIN: "the certificate leads to no root in {wanted}: signed by {found}",
    About.NAME: "the certificate does not have the name {wanted}, but {found}",
    About.VALIDITY: "the certificate is not valid now ({wanted}): {found}",
    About.PURPOSE: "the extended key usage of the certificate is not {wanted}, but {found}",
    About.REVOCATION: "{found}",
    About.FAULT: "the certificate is broken on purpose: {found}",
    About.ALLOWED: "the caller is not on the allow list: {found}",
}

_UNKNOWN: Final[Mapping[About, str]] = {
    About.CHAIN: "it must lead to a root in {wanted}",
    About.REVOCATION: "it must not be revoked, by {wanted}",
}
"""Of a certificate that is not here."""

_BY_THE_TOPOLOGY: Final[Mapping[bool | None, str]] = {
    True: "the topology has it on the allow list: {wanted}",
    False: "the topology does not have it on the allow list: {found}",
}
"""Of an allow list that differs from the topology."""

_WORDS: Final = {True: _HOLDS, False: _FAILS, None: _UNKNOWN}


def _step_lines(number: int, step: Step, told: Handshake, columns: int | None) -> Iterator[Line]:
    yield [(f"{number}. {title(step, told)}", "bold")]
    if step.sends is not None:
        yield plain(f"   {step.sends}")
        for one in step.shown:
            yield from _indented("     ", _certificate(one), "dim", columns)
    yield from _source_lines(step.lines, "   ", columns)
    for check in step.checks:
        mark, style = HOLDS[None if check.changed else check.holds]
        yield from _marked(mark, style, sentence(check), columns)
        if check.changed:
            yield from _indented("     ", _not_as_it_says(check.changed), "yellow", columns)
        yield from _source_lines(check.lines, "     ", columns)
        for file, text in check.absent:
            yield from _indented("     ", f"{file} has no line with {one_line(text.strip())}", "yellow", columns)
        if not check.lines and not check.absent and check.about is not About.FAULT:
            yield plain("     the template does not declare the line of this check")
        if check.holds is not False and not check.changed:
            for said in _otherwise(check):
                yield from _indented("     ", said, "dim", columns)


def _not_as_it_says(files: Sequence[str]) -> str:
    return f"{', '.join(files)} {'differs' if len(files) == 1 else 'differ'} from the topology"


def _certificate(one: Shown) -> str:
    return one_line(f"{one.subject}, serial {one.serial[:16]}, until {one.not_after:%Y-%m-%d %H:%M} UTC")


def _source_lines(lines: Iterable[SourceLine], indent: str, columns: int | None) -> Iterator[Line]:
    for line in lines:
        where = f"{indent}{line.file}:{line.number}"
        text = one_line(line.text)
        if columns is not None and len(where) + 2 + len(text) > columns:
            yield [(where, "cyan")]
            room = max(columns - len(indent) - 4, NARROWEST)
            yield [(f"{indent}    {text if len(text) <= room else text[: room - 1] + '…'}", "")]
        else:
            yield [(where, "cyan"), (f"  {text}", "")]


def _otherwise(check: Check) -> Iterator[str]:
    """What would be answered if the check failed: of several probes once, where it is the same."""
    answers: dict[str, list[str]] = {}
    for seen in check.seen:
        answers.setdefault(_answer(seen), []).append(seen.check.probe.words)
    for answer, probes in answers.items():
        yield f"otherwise: {answer}  ({'; '.join(dict.fromkeys(probes))})"


def _answer(seen: Seen) -> str:
    check = seen.check
    said = one_line(check.detail.removeprefix(f"{check.why}: "))  # why it is refused is told of the check
    if check.result is Result.PASSED:
        if check.expected is Expected.REFUSED:
            return said
        return f"believed: {check.why}" if is_in_its_place(check.probe) else f"let in: {said}"
    return f"{_wrong(check)}, {seen_where(check)}: {said}"


def _wrong(check: VerifyCheck) -> str:
    """What is to be said of a check of verify that failed, before what was seen."""
    match check.observed:
        case Observed.ALLOWED if check.probe in (Probe.EDGE, Probe.NOT_ALLOWED):
            return f"verify saw {check.client} let in all the same"
        case Observed.ALLOWED:
            return WRONG
        case Observed.REFUSED if is_in_its_place(check.probe):
            return f"verify saw {check.client} refuse it"
        case Observed.REFUSED:
            return f"verify saw {check.client} refused, which must get in"
        case _:
            return "verify saw neither an answer nor a refusal"


def _welcome(told: Handshake) -> str:
    if told.called is None:
        return NOT_VERIFIED
    seen = told.called
    if seen.check.observed is Observed.ALLOWED:
        return f"verify saw it on {seen.at:%Y-%m-%d %H:%M} UTC: {one_line(seen.check.detail)}"
    return f"verify saw otherwise on {seen.at:%Y-%m-%d %H:%M} UTC: {one_line(seen.check.detail)}"


def overview_lines(told: Overview, columns: int | None = None) -> Iterator[Line]:
    """Who may call, why, and until when; then whom it may call itself."""
    if told.address.role is Role.SERVER:
        heading = f"Allowed to call {told.address}:" if told.callers else f"No caller is allowed at {told.address}."
        yield [(heading, "bold")]
        for edge in told.callers:
            yield from _edge_lines(edge, edge.caller, columns)
        yield plain("")
        if told.changed:
            said = f"It is not known whether all other callers are refused: {_not_as_it_says(told.changed)}."
            yield from _indented("", said, "bold yellow", columns)
            yield from _indented("", DIFFERS, "", columns)
        else:
            yield [("All other callers are refused:", "bold")]
        yield from _source_lines(told.lines, "  ", columns)
        for said in _of_others(told.others):
            yield from _indented("  ", said, "dim", columns)
        if not told.others:
            yield from _indented("  ", NOT_VERIFIED, "dim", columns)
    if told.callees or told.address.role is Role.CLIENT:
        if told.address.role is Role.SERVER:
            yield plain("")
        may = "is allowed to call:" if told.callees else "is not allowed to call any server."
        yield [(f"{told.address} {may}", "bold")]
        for edge in told.callees:
            yield from _edge_lines(edge, edge.server, columns)
    yield plain("")
    yield [("`scaffold explain CALLER SERVER` explains one call step by step.", "dim")]


def _of_others(seen: Iterable[Seen]) -> Iterator[str]:
    """Of each probe one answer, as good as any; and whatever failed."""
    told: set[Probe] = set()
    for one in seen:
        probe = one.check.probe
        if one.check.result is not Result.PASSED or probe not in told:
            yield f"{probe.words}: {_answer(one)}"
        if one.check.result is Result.PASSED:
            told.add(probe)


def _edge_lines(edge: Edge, other: Address, columns: int | None) -> Iterator[Line]:
    mark, style = HOLDS[None if edge.changed else edge.refusal is None]
    roles = f"  as {', '.join(edge.roles)}" if edge.roles else ""
    until = f"  until {edge.until:%Y-%m-%d %H:%M} UTC" if edge.until is not None else ""
    yield [(f"  {mark} ", style), (str(other), "bold"), (roles, ""), (until, "")]
    yield from _indented("      ", f"known as {edge.identity}", "", columns)
    if edge.place is not None:
        written = SourceLine(edge.place.file, edge.place.line, edge.place.text.strip())
        yield from _source_lines((written,), "      ", columns)
    if edge.changed:
        said = f"it is not known whether it gets in: {_not_as_it_says(edge.changed)}"
        yield from _indented("      ", said, "yellow", columns)
    if edge.refusal is not None:
        yield from _indented("      ", f"{edge.refused_by} refuses it today: {sentence(edge.refusal)}", "red", columns)


def _marked(mark: str, style: str, text: str, columns: int | None) -> Iterator[Line]:
    first, *others = fitted(text, columns, 5, NARROWEST)
    yield [(f"   {mark} ", style), (first, "")]
    yield from (plain(f"     {line}") for line in others)


def _indented(indent: str, text: str, style: str, columns: int | None) -> Iterator[Line]:
    yield from ([(f"{indent}{line}", style)] for line in fitted(text, columns, len(indent), NARROWEST))
