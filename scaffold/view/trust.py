"""What trusting a root means, where it would be and is trusted, and what was left out: for a person and a program."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from scaffold.errors import ScaffoldError
from scaffold.pki.names import rfc2253
from scaffold.topology.model import Topology
from scaffold.trusting.changes import Failed, Former, Installation, LeftOut, Removal, Seen
from scaffold.trusting.kinds import StoreKind
from scaffold.trusting.model import Anchor, Entry, Obstacle, Standing
from scaffold.trusting.roots import scope
from scaffold.view.programs import dump
from scaffold.view.terminal import Line, Span, fitted, one_line, plain

_LABELS: Final = 14
_KINDS: Final = max(map(len, StoreKind))

_MARKS: Final[dict[Standing, Span]] = {
    Standing.INSTALLED: ("✓", "green"),
    Standing.THEIRS: ("✓", "green"),
    Standing.PARTIAL: ("!", "yellow"),
    Standing.DISTRUSTED: ("!", "yellow"),
    Standing.ABSENT: ("·", "dim"),
    Standing.UNKNOWN: ("?", "yellow"),
}

_WORDS: Final = {
    Standing.INSTALLED: "installed",
    Standing.PARTIAL: "not complete",
    Standing.THEIRS: "by somebody else",
    Standing.DISTRUSTED: "not trusted",
    Standing.ABSENT: "not there",
    Standing.UNKNOWN: "cannot be read",
}
_COPIED: Final = "by the system's"
_STATES: Final = max(map(len, (*_WORDS.values(), _COPIED)))


def root_lines(
    t: Topology, root: Anchor, key: str | None, kinds: Collection[StoreKind], columns: int | None
) -> Iterator[Line]:
    """Whose root it is, and what it may sign for in stores of these kinds. `key` is where its private key is."""
    certificate = root.certificate
    yield from _whose(t, root, columns)
    yield from _labelled("SHA-256", root.fingerprint, columns)
    yield from _labelled("valid until", f"{certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC", columns)
    limits = scope(certificate)
    for number, words in enumerate(limits.words):
        style = "bold yellow" if limits.everything else ""
        yield from _labelled("may sign for" if number == 0 else "", words, columns, style)
    unheeded = not limits.unbounded and StoreKind.JAVA in kinds
    if unheeded:  # RFC 5280 6.1.1 d: a trust anchor is a name and a key, and its extensions are nobody's duty
        text = "Java does not check the name constraints of a root: there it may sign for every name."
        yield from _labelled("", text, columns, "bold yellow")
    if limits.everything or unheeded:
        whose = (
            f"Everybody who gets its key ({key})"
            if key is not None
            else "Everybody who has its key, which is not here,"
        )
        site = "any site" if limits.unbounded else "any such site"
        text = f"{whose} can pose as {site} to every program that uses these stores."
        yield from _indented(text, columns, "bold yellow")
    if t.reproducible is not None:
        text = "It is reproducible: everybody with the seed has that key."
        yield from _indented(text, columns, "bold red")


def installation_lines(
    anchors: Sequence[Anchor], seen: Sequence[Seen], to_do: Sequence[Installation]
) -> Iterator[Line]:
    """Where each would be added (`+`), and where it is already (`✓`)."""
    changed = {id(one.store): one.anchors for one in to_do}
    for one in seen:
        for anchor in anchors:
            found, entries = one.of(anchor)
            what = f"{anchor.address}" if len(anchors) > 1 else ""
            if anchor in changed.get(id(one.store), ()):
                yield _store_line(one, ("+", "green"), what)
            elif found in (Standing.INSTALLED, Standing.THEIRS):
                yield _store_line(one, _MARKS[found], what or _held(found, entries))


def removal_lines(to_do: Sequence[Removal], today: Sequence[str]) -> Iterator[Line]:
    """Each entry that would go (`-`). `today` are the fingerprints of the topology's roots."""
    for change in to_do:
        for entry in change.entries:
            former = "" if entry.fingerprint in today else "  (a former root)"
            yield [("  - ", "red"), (f"{change.store.kind:<{_KINDS}}  ", "bold"), (change.store.place, "")]
            yield [(f"      {one_line(entry.name)}", ""), (former, "yellow")]


def theirs_lines(anchors: Sequence[Anchor], seen: Sequence[Seen], columns: int | None) -> Iterator[Line]:
    """Where somebody else has put one of the roots, which stays."""
    for one in seen:
        for anchor in anchors:
            found, entries = one.of(anchor)
            if found in (Standing.THEIRS, Standing.DISTRUSTED):
                names = ", ".join(one_line(entry.name) for entry in entries)
                yield _store_line(one, ("!", "yellow"))
                text = f"holds {anchor.address} as {names}: it was not put there by scaffold, and stays"
                yield from (plain(f"      {line}") for line in fitted(text, columns, 6, 20))


def left_out_lines(left_out: Sequence[LeftOut], as_root: str, columns: int | None) -> Iterator[Line]:
    """Each store that stays as it is, why, and what helps."""
    for one in left_out:
        yield [("  ! ", "yellow"), (f"{one.store.kind:<{_KINDS}}  ", "bold"), (one.store.place, "")]
        yield from _trouble(one.store.kind, one.why, as_root, columns)


def failed_lines(failed: Sequence[Failed], columns: int | None) -> Iterator[Line]:
    """Each change that could not be made, and why."""
    for store, error in failed:
        yield [("  ✗ ", "bold red"), (f"{store.kind:<{_KINDS}}  ", "bold"), (store.place, "")]
        yield from _told(f"failed: {error.message}", error.hint, columns)


def _trouble(kind: StoreKind, why: Obstacle, as_root: str, columns: int | None) -> Iterator[Line]:
    yield from _told(f"left as it is: {why.message}", f"{as_root} --store {kind}" if why.as_root else why.hint, columns)


def _told(text: str, hint: str | None, columns: int | None) -> Iterator[Line]:
    for line in fitted(one_line(text), columns, 6, 20):
        yield plain(f"      {line}")
    if hint is None:
        return
    for number, line in enumerate(fitted(one_line(hint), columns, 8, 20)):
        yield [("      → " if number == 0 else "        ", "bold"), (line, "bold")]


def list_lines(
    t: Topology,
    anchors: Sequence[Anchor],
    problems: Sequence[ScaffoldError],
    seen: Sequence[Seen],
    former: Sequence[Former],
    columns: int | None,
) -> Iterator[Line]:
    """Each root with every store; then what is there of former roots, and what cannot be read."""
    for anchor in anchors:
        yield from _whose(t, anchor, columns)
        yield from _labelled("SHA-256", anchor.fingerprint, columns)
        for one in seen:
            found, entries = one.of(anchor)
            yield from _store_lines(one, _MARKS[found], _held(found, entries), columns)
            if found in (Standing.THEIRS, Standing.DISTRUSTED):
                yield from _indented(f"as {', '.join(entry.name for entry in entries)}", columns, "", indent=6)
            if found is Standing.PARTIAL:
                yield [("      → scaffold trust install completes it", "bold")]
    yield from _problem_lines(problems, columns)
    yield from _former_lines(former, columns)
    yield from unknown_lines(former, t.name, columns)
    for one in seen:
        if one.unreadable is not None:
            yield [("  ? ", "yellow"), (f"{one.store.kind:<{_KINDS}}  ", "bold"), (one.store.place, "")]
            yield from _told(one.unreadable.message, one.unreadable.hint, columns)


def _problem_lines(problems: Sequence[ScaffoldError], columns: int | None) -> Iterator[Line]:
    for problem in problems:
        for number, line in enumerate(fitted(one_line(problem.message), columns, 2, 20)):
            yield [("! " if number == 0 else "  ", "yellow"), (line, "")]
        for number, line in enumerate(fitted(one_line(problem.hint), columns, 4, 20) if problem.hint else ()):
            yield [("  → " if number == 0 else "    ", "bold"), (line, "bold")]


def _former_lines(former: Sequence[Former], columns: int | None) -> Iterator[Line]:
    if known := [each for each in former if each.known]:
        yield [("Former roots of this topology:", "bold")]
        yield from _entry_lines(known, columns)
        yield plain("  → scaffold trust uninstall removes them, and today's")


def unknown_lines(former: Sequence[Former], topology: str, columns: int | None) -> Iterator[Line]:
    """What was installed for a topology of this name, and nothing here knows of; it stays unless that is asked for."""
    if unknown := [each for each in former if not each.known]:
        text = f"Installed for a topology called {topology}, but not from this folder."
        yield from _indented(text, columns, "bold", indent=0)
        yield from _entry_lines(unknown, columns)
        yield plain("  → scaffold trust uninstall --unknown removes them too")


def _entry_lines(former: Sequence[Former], columns: int | None) -> Iterator[Line]:
    for each in former:
        yield from _store_lines(each.seen, ("!", "yellow"), "", columns)
        yield from _indented(each.entry.name, columns, "", indent=6)


def list_json(anchors: Sequence[Anchor], seen: Sequence[Seen], former: Sequence[Former]) -> str:
    """`{"roots", "former", "unreadable"}`."""
    return dump(
        {
            "roots": [_root_value(anchor, seen) for anchor in anchors],
            "former": [
                {
                    **_store_value(each.seen),
                    "entry": each.entry.name,
                    "fingerprint_sha256": each.entry.fingerprint,
                    "known": each.known,
                }
                for each in former
            ],
            "unreadable": [
                {**_store_value(one), "why": one.unreadable.message} for one in seen if one.unreadable is not None
            ],
        }
    )


def _root_value(anchor: Anchor, seen: Sequence[Seen]) -> dict[str, Any]:
    limits = scope(anchor.certificate)
    return {
        "address": str(anchor.address),
        "subject": rfc2253(anchor.certificate.subject),
        "fingerprint_sha256": anchor.fingerprint,
        "not_after": anchor.certificate.not_valid_after_utc.isoformat(),
        "may_sign_for": list(limits.words),
        "anything": limits.everything,
        "stores": [
            {**_store_value(one), "state": found.value, "entries": [entry.name for entry in entries]}
            for one in seen
            for found, entries in [one.of(anchor)]
        ],
    }


def _store_value(seen: Seen) -> dict[str, str]:
    return {"store": seen.store.kind.value, "place": seen.store.place}


def _held(found: Standing, entries: Sequence[Entry]) -> str:
    copied = found is Standing.INSTALLED and all(entry.copied for entry in entries)
    return _COPIED if copied else _WORDS[found]


def _store_line(seen: Seen, mark: Span, words: str = "") -> Line:
    return [
        (f"  {mark[0]} ", mark[1]),
        (f"{seen.store.kind:<{_KINDS}}  ", "bold"),
        (f"{words:<{_STATES}}  " if words else "", "dim"),
        (seen.store.place, ""),
    ]


def _store_lines(seen: Seen, mark: Span, words: str, columns: int | None) -> Iterator[Line]:
    """The same, with a place that does not fit into the line below it."""
    *line, place = _store_line(seen, mark, words)
    if columns is None or sum(len(text) for text, _ in (*line, place)) <= columns:
        yield [*line, place]
    else:
        yield line
        yield [("      ", ""), place]


def _whose(t: Topology, anchor: Anchor, columns: int | None) -> Iterator[Line]:
    """The address of a root, its topology and its subject."""
    address = str(anchor.address)
    subject = f"of {t.name}: {one_line(rfc2253(anchor.certificate.subject))}"
    first, *more = fitted(subject, columns, len(address) + 1, 20)
    yield [(address, "bold"), (f" {first}", "")]
    yield from (plain(f"{'':{len(address) + 1}}{line}") for line in more)


def _labelled(label: str, text: str, columns: int | None, style: str = "") -> Iterator[Line]:
    for number, line in enumerate(fitted(one_line(text), columns, _LABELS + 2, 20)):
        shown = label if number == 0 else ""
        yield [(f"  {shown:<{_LABELS}}", "dim"), (line, style)]


def _indented(text: str, columns: int | None, style: str, indent: int = 2) -> Iterator[Line]:
    for line in fitted(one_line(text), columns, indent, 20):
        yield [(f"{' ' * indent}{line}", style)]
