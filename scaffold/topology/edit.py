"""Edits of the YAML's text: an entity more or less, and the edges of callers. All other lines stay as they are.

Each edit is a function from text to text; `checked` reads what came out and compares it with what was meant, so that a
way of writing that is not foreseen here is refused, and never changed into something else.
"""

from __future__ import annotations

import codecs
import functools
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scaffold.errors import TopologyError, TopologyErrors
from scaffold.topology import names
from scaffold.topology.address import Address, Role
from scaffold.topology.document import Document
from scaffold.topology.fields import Text
from scaffold.topology.language import CA, CALLS, CLIENT, SERVER
from scaffold.topology.load import values_of
from scaffold.topology.messages import Invalid, nearest, shown
from scaffold.topology.mistakes import Mistakes
from scaffold.topology.model import App, ReadyLine
from scaffold.topology.scalars import flow, listed, mapped, scalar
from scaffold.topology.written import LINE_BREAK, Value, Written

SECTIONS = tuple(role.section for role in Role)
TABLES = {Role.CA: CA, Role.SERVER: SERVER, Role.CLIENT: CLIENT}

WIDEST = 120
"""An entity in braces that would be wider than this is written line by line."""

_COMMENT = re.compile(r"([ \[\]{},:]*?)( {2,})(?=#)")
"""What is between a value and a comment that is set apart from it."""


@dataclass(frozen=True, slots=True)
class Braces:
    """A mapping that is written already, in YAML's flow style and on one line: `{greeting: hello}`."""

    text: str


def app_in_braces(app: App) -> Braces:
    """An app as the YAML has it; what it says by default is left out."""
    ready = {"line": app.ready.pattern} if isinstance(app.ready, ReadyLine) else app.ready and app.ready.path
    fields = {
        "template": app.template,
        "checkout": app.checkout,
        "directory": app.directory,
        "vars": app.vars,
        "run": app.run,
        "ready": ready,
    }
    return Braces(flow({name: value for name, value in fields.items() if value}))


Given = str | tuple[str, ...] | Braces
"""A field's value: one text, several, or a mapping."""

Values = dict[str, Any]
Calls = Mapping[str, tuple[str, ...]]
"""Who is called, and in which roles."""
Callers = Mapping[Address, tuple[str, ...]]
"""Who calls, and in which roles."""


@dataclass(frozen=True, slots=True)
class Splice:
    """`text` in place of what is from `start` up to `end`."""

    start: int
    end: int
    text: str


def check_name(name: str) -> None:
    """Raise TopologyError for what no CA, server or client can be called."""
    try:
        names.label(name)
    except Invalid as error:
        raise TopologyError(error.message, hint=error.hint) from None


def add(text: bytes, source: Path, new: Address, fields: Mapping[str, Given], callers: Callers) -> bytes:
    """The text with one entity more, and with an edge to it from each of `callers`.

    Raises TopologyError for a text that is no topology, for what is no name, where there is such an entity already, or
    no such caller, and for what is written in a way that cannot be edited line by line.
    """
    check_name(new.name)
    before = read(text, source)
    if new.name in before.get(new.role.section, {}):
        raise TopologyError(f"{new} exists already", hint="choose another name, or edit the topology by hand")
    written = as_written(text)
    # Edges come first: the last entity of the section may be given its list where the new one then follows.
    splices = [
        splice
        for caller, roles in callers.items()
        for splice in _edge(written, caller, new.name, roles, _calls(before, caller))
    ]
    splices.append(_entity(written, new, fields))
    after = spliced(text, written, splices)
    meant = _meant_with(before, new, _values_of_new(new, fields, source), callers)
    return checked(after, source, meant, f"{new} cannot be added to this file line by line")


def remove(text: bytes, source: Path, old: Address) -> bytes:
    """The text without an entity, and without the edges of its callers. Raises TopologyError, as `add` does."""
    before = read(text, source)
    if old.name not in before.get(old.role.section, {}):
        raise no_such(old, before)
    written = as_written(text)
    splices = [_without_entry(written, *section_of(written, old), old.name)]
    if old.role is Role.SERVER:
        splices += _without_edges(written, old.name)
    after = spliced(text, written, splices)
    return checked(after, source, _meant_without(before, old), f"{old} cannot be removed from this file line by line")


def no_such(address: Address, values: Values) -> TopologyError:
    """The error for an entity that there is not."""
    return TopologyError(
        f"there is no {address} in the topology", hint=nearest(str(address), map(str, _entities(values)))
    )


def entities(text: bytes, source: Path) -> list[Address]:
    """All that is in the text, as it is written."""
    return _entities(read(text, source))


def _entities(values: Values) -> list[Address]:
    return [Address(role, name) for role in Role for name in values.get(role.section, {})]


def callers_of(text: bytes, source: Path, old: Address) -> list[Address]:
    """Who has a server on the list of what it calls, as it is written."""
    if old.role is not Role.SERVER:
        return []
    values = read(text, source)
    return [
        Address(role, name)
        for role in (Role.SERVER, Role.CLIENT)
        for name, own in values.get(role.section, {}).items()
        if old.name in own.get("calls", ()) and Address(role, name) != old
    ]


@functools.lru_cache(maxsize=2)
def read(text: bytes, source: Path) -> Values:
    """What the text says, defaults not merged in: to be looked at, not changed, since it is read once for everybody.

    Raises TopologyError for what cannot be read.
    """
    mistakes = Mistakes()
    values = values_of(text, source, mistakes)
    mistakes.check()
    return values


def as_written(text: bytes) -> Written:
    """The text as values with their places."""
    return Written(text.decode("utf-8-sig"))


def spliced(text: bytes, written: Written, splices: Sequence[Splice]) -> bytes:
    """The text with all splices made. What is added at one place is in the order of `splices`."""
    pieces, at = [], 0
    for splice in sorted(splices, key=lambda splice: (splice.start, splice.end)):
        if splice.start < at:
            continue  # within what is taken out already: a server that calls itself
        pieces += [written.text[at : splice.start], splice.text]
        at = splice.end
    edited = "".join((*pieces, written.text[at:])).encode()
    return codecs.BOM_UTF8 + edited if text.startswith(codecs.BOM_UTF8) else edited


def checked(after: bytes, source: Path, meant: Values, refusal: str) -> bytes:
    """`after`, which says what was meant and nothing else. Raises TopologyError where it does not."""
    hint = "anchors, aliases and unusual ways of writing may be the reason: make this change by hand"
    try:
        said = read(after, source)
    except TopologyError:
        raise TopologyError(refusal, hint=hint) from None
    if said != meant:
        raise TopologyError(refusal, hint=hint)
    return after


def _meant_with(before: Values, new: Address, own: Values, callers: Callers) -> Values:
    meant = copied(before)
    meant.setdefault(new.role.section, {})[new.name] = own
    for caller, roles in callers.items():
        entity = meant[caller.role.section][caller.name]
        entity["calls"] = {**_calls(before, caller), new.name: roles}
    return meant


def _meant_without(before: Values, old: Address) -> Values:
    meant = copied(before)
    del meant[old.role.section][old.name]
    if old.role is not Role.SERVER:
        return meant
    for values in (*meant.get("servers", {}).values(), *meant.get("clients", {}).values(), meant.get("defaults", {})):
        if old.name in values.get("calls", ()):
            values["calls"] = {name: roles for name, roles in values["calls"].items() if name != old.name}
        if old.name in values.get("doors", ()):
            values["doors"] = {name: door for name, door in values["doors"].items() if name != old.name}
    return meant


def copied(values: Values) -> Values:
    again = dict(values)
    for section in SECTIONS:
        if section in values:
            again[section] = {name: dict(own) for name, own in values[section].items()}
    if "defaults" in values:
        again["defaults"] = dict(values["defaults"])
    return again


def _values_of_new(new: Address, fields: Mapping[str, Given], source: Path) -> Values:
    """What the fields of a new entity say. Raises TopologyError, without a place, for what they cannot hold."""
    entries = [f"{name}: {_flow(value)}" for name, value in fields.items()]
    document = Document(mapped(entries).encode(), source)
    try:
        read: Values = TABLES[new.role].read(document.root, document)
    except TopologyError as error:
        raise _without_places(error) from None
    return read


def callers_in_braces(text: str, source: Path) -> Calls:
    """Roles by caller, as `calls` has them by server. Raises TopologyError, without a place, for anything else."""
    document = Document(text.encode(), source)
    try:
        return replace(CALLS, item=_CALLER).read(document.root, document)
    except TopologyError as error:
        raise _without_places(error) from None


_CALLER = Text("a server or client", str)


def _without_places(error: TopologyError) -> TopologyError:
    """The error of a text that is in no file."""
    if isinstance(error, TopologyErrors):
        return TopologyErrors([TopologyError(one.message, hint=one.hint) for one in error.errors])
    return TopologyError(error.message, hint=error.hint)


def _calls(before: Values, caller: Address) -> Calls:
    """Whom a caller calls, and in which roles, by its own list or by the one that it inherits."""
    members = before.get(caller.role.section, {})
    if caller.name not in members:
        raise TopologyError(f"there is no {caller} in the topology", hint="--called-by takes servers and clients")
    own: Calls = members[caller.name].get("calls", before.get("defaults", {}).get("calls", {}))
    return own


def section_of(written: Written, address: Address) -> tuple[Value, Value]:
    """The key and the mapping of what has the role of `address`."""
    section = address.role.section
    return mapping_of(section, written.root.entry(section))


def mapping_of(what: str, found: tuple[Value, Value] | None) -> tuple[Value, Value]:
    """Key and value of `what`. Raises TopologyError unless that is a mapping, written out."""
    if found is None or found[1].kind != "mapping":
        raise TopologyError(
            f"{what} is not written as a mapping of its own",
            hint="write the mapping out instead of an alias or merge, or make this change by hand",
        )
    return found


# What is added


def _entity(written: Written, new: Address, fields: Mapping[str, Given]) -> Splice:
    section = new.role.section
    if written.root.entry(section) is None:
        return _new_section(written, section, new.name, fields)
    key, members = section_of(written, new)
    if members.flow and not members.children and written.column(key.start) == written.column(written.root.start):
        lines = _Manner(written, section).lines(new.name, fields)
        start = written.text.rindex(":", key.end, members.start) + 1
        return Splice(start, members.end, "".join(written.line_break + line for line in lines))
    if members.flow:
        return _into_flow(written, members, _Manner(written, section).in_braces(new.name, fields))
    manner = _Manner(written, section)
    lines = manner.lines(new.name, fields)
    if manner.blank_between:
        lines = ["", *lines]
    return _as_lines(written, written.block_end(members), lines)


def _new_section(written: Written, section: str, name: str, fields: Mapping[str, Given]) -> Splice:
    """Behind the section before it: CAs, then servers, then clients."""
    manner = _Manner(written, section)
    if written.root.flow:
        return _into_flow(written, written.root, f"{section}: {{{manner.in_braces(name, fields)}}}")
    earlier = [found for other in SECTIONS[: SECTIONS.index(section)] if (found := written.root.entry(other))]
    key, value = earlier[-1] if earlier else written.root.pairs[-1]
    at = written.entry_end(key, value)
    indent = " " * written.column(written.root.start)
    return _as_lines(written, at, ["", f"{indent}{section}:", *manner.lines(name, fields)])


def _edge(written: Written, caller: Address, name: str, roles: tuple[str, ...], calls: Calls) -> Iterator[Splice]:
    _, entity = mapping_of(str(caller), section_of(written, caller)[1].entry(caller.name))
    found = entity.entry("calls")
    if found is None:
        yield _new_list(written, entity, {**calls, name: roles})
        return
    key, own = found
    if own.kind not in ("sequence", "mapping"):
        yield Splice(own.start, own.end, _written_calls({**calls, name: roles}))
    elif roles and own.kind == "sequence" and own.flow:
        _check_on_one_line(written, caller, own)
        yield aligned(written, Splice(own.start, own.end, _written_calls({**calls, name: roles})))
    elif roles and own.kind == "sequence":
        yield from _with_roles(written, key, own, f"{scalar(name)}: {listed([scalar(role) for role in roles])}")
    else:
        yield _one_more(written, own, name, roles)


def _one_more(written: Written, own: Value, name: str, roles: tuple[str, ...]) -> Splice:
    style = own.children[-1].style if own.kind == "sequence" and own.children else ""
    with_roles = f"{scalar(name)}: {listed([scalar(role) for role in roles])}"
    entry = with_roles if own.kind == "mapping" else scalar(name, style if style in ("'", '"') else "")
    if own.flow:
        return _into_flow(written, own, entry)
    line = " " * written.column(own.start) + ("" if own.kind == "mapping" else "- ") + entry
    return _as_lines(written, written.next_line(own.end), [line])


def _with_roles(written: Written, key: Value, own: Value, entry: str) -> Iterator[Splice]:
    """A list with a line for each name as a mapping, in which each may have roles, and with one more."""
    indent = " " * (0 if written.column(own.start) > written.column(key.start) else 2)
    for item in own.children:
        dash = written.text.rindex("-", written.line_start(item.start), item.start)
        yield aligned(written, Splice(dash, item.end, f"{indent}{written.text[item.start : item.end]}: []"))
    line = " " * written.column(own.start) + indent + entry
    yield _as_lines(written, written.next_line(own.end), [line])


def _check_on_one_line(written: Written, caller: Address, own: Value) -> None:
    """Raises TopologyError for a list in brackets over several lines: comments between them would be lost."""
    if LINE_BREAK.search(written.text[own.start : own.end]):
        raise TopologyError(
            f"the calls of {caller} are a list over several lines, where nobody can have a role",
            hint="write them as a mapping first, such as {accounts: [], billing: [reader]}",
        )


def _new_list(written: Written, entity: Value, calls: Calls) -> Splice:
    entry = f"calls: {_written_calls(calls)}"
    if entity.flow:
        return _into_flow(written, entity, entry)
    at = written.next_line(entity.end)
    return _as_lines(written, at, [" " * written.column(entity.start) + entry])


def _written_calls(calls: Calls) -> str:
    """A list, or a mapping where somebody has a role."""
    if not any(calls.values()):
        return listed([scalar(name) for name in calls])
    return mapped([f"{scalar(name)}: {listed([scalar(role) for role in roles])}" for name, roles in calls.items()])


def _into_flow(written: Written, collection: Value, entry: str) -> Splice:
    """Behind the last value in brackets or braces; on a line of its own where that one has one."""
    if not collection.children:
        return aligned(written, Splice(collection.start + 1, collection.end - 1, entry))
    last = collection.children[-1]
    first = collection.children[-2] if collection.kind == "mapping" else last
    before = written.text[written.line_start(first.start) : first.start]
    if before.strip() or written.line_start(first.start) <= collection.start:
        return aligned(written, Splice(last.end, last.end, f", {entry}"))
    return Splice(last.end, last.end, f",{written.line_break}{before}{entry}")


def aligned(written: Written, splice: Splice) -> Splice:
    """The same, with the comment at the end of its line where it was, as far as there is room."""
    rest = written.text[splice.end : written.line_end(splice.end)]
    if LINE_BREAK.search(written.text[splice.start : splice.end]) or not (found := _COMMENT.match(rest)):
        return splice
    longer = len(splice.text) - (splice.end - splice.start)
    spaces = " " * max(len(found[2]) - longer, 2)
    return Splice(splice.start, splice.end + len(found[0]), splice.text + found[1] + spaces)


def _as_lines(written: Written, at: int, lines: Sequence[str]) -> Splice:
    """Whole lines before the one that begins at `at`; at the end of a text that has no last line break, without one."""
    if at == len(written.text) and at != written.line_start(at):
        return Splice(at, at, "".join(written.line_break + line for line in lines))
    return Splice(at, at, "".join(line + written.line_break for line in lines))


class _Manner:
    """How the entities of a section are written, by the last of them that shows it; else by those of other sections."""

    def __init__(self, written: Written, section: str) -> None:
        self._written = written
        self._root_column = written.column(written.root.start)
        own = written.root.value(section)
        others = [value for other in SECTIONS if other != section and (value := written.root.value(other))]
        sections = [value for value in (own, *others) if value is not None and value.kind == "mapping"]
        blocks = [value for value in sections if not value.flow and value.children]
        self._members = [pair for value in sections for pair in reversed(value.pairs) if pair[1].kind == "mapping"]
        shown_by = [value for _, value in self._members if value.children]
        self._in_braces = bool(shown_by) and shown_by[0].flow
        self._spaced = self._in_braces and written.text[shown_by[0].start + 1] == " "
        column = written.column(blocks[0].start) if blocks else self._root_column + 2
        self._indent = " " * column
        self._step = " " * self._steps(column)
        self.blank_between = self._is_blank_between(blocks)

    def _steps(self, column: int) -> int:
        """By how much fields are indented more than the name of their entity."""
        for key, value in self._members:
            if not value.flow and value.children:
                return self._written.column(value.start) - self._written.column(key.start)
        return max(column - self._root_column, 1)

    def _is_blank_between(self, blocks: Sequence[Value]) -> bool:
        for block in blocks:
            if len(block.pairs) > 1:
                at = self._written.comments_above(block.pairs[-1][0])
                return self._written.blank_above(at) != at
        return False

    def lines(self, name: str, fields: Mapping[str, Given]) -> list[str]:
        fields = self._ordered(fields)
        line = f"{self._indent}{self.in_braces(name, fields)}"
        if not fields or (self._in_braces and len(line) <= WIDEST):
            return [line]
        lines = [f"{self._indent}{scalar(name)}:"]
        for field, value in fields.items():
            lines += self._field(field, value)
        return lines

    def in_braces(self, name: str, fields: Mapping[str, Given]) -> str:
        """`name: {field: value, …}`"""
        entries = [f"{field}: {self._value(field, value)}" for field, value in self._ordered(fields).items()]
        return f"{scalar(name)}: {mapped(entries, spaced=self._spaced)}"

    def _ordered(self, fields: Mapping[str, Given]) -> dict[str, Given]:
        """As the last entity has them; what that one lacks follows as it was given."""
        shown_by = next((value for _, value in self._members if value.children), None)
        order = [key.text for key, _ in shown_by.pairs] if shown_by is not None else []
        return {
            name: fields[name] for name in sorted(fields, key=lambda n: order.index(n) if n in order else len(order))
        }

    def _field(self, field: str, value: Given) -> list[str]:
        indent = self._indent + self._step
        like = self._like(field, "sequence")
        if not isinstance(value, tuple) or not value or like is None or like[1].flow or not like[1].children:
            return [f"{indent}{field}: {self._value(field, value)}"]
        key, written = like
        hang = self._written.column(written.start) - self._written.column(key.start)
        quotes = written.children[-1].style
        items = [scalar(item, quotes) for item in value]
        return [f"{indent}{field}:", *(f"{indent}{' ' * max(hang, 0)}- {item}" for item in items)]

    def _value(self, field: str, value: Given) -> str:
        if not isinstance(value, tuple):
            like = self._like(field, "scalar")
            return _flow(value, like[1].style if like is not None else "")
        like = self._like(field, "sequence")
        if like is None or not like[1].children:
            return _flow(value)
        spaced = like[1].flow and self._written.text[like[1].start + 1] == " "
        return listed([scalar(item, like[1].children[-1].style) for item in value], spaced=spaced)

    def _like(self, field: str, kind: str) -> tuple[Value, Value] | None:
        """The last entry of the same field, or else of another list."""
        for _, member in self._members:
            found = member.entry(field)
            if found is not None and found[1].kind == kind:
                return found
        if kind == "sequence":
            for _, member in self._members:
                for pair in reversed(member.pairs):
                    if pair[1].kind == kind and pair[1].children:
                        return pair
        return None


def _flow(value: Given, quotes: str = "") -> str:
    if isinstance(value, tuple):
        return listed([scalar(item) for item in value])
    return value.text if isinstance(value, Braces) else scalar(value, quotes)


# What is taken out


def _without_entry(written: Written, key: Value, members: Value, name: str) -> Splice:
    """Without the entry `name` of `members`, which are under `key`, and the comments that are its own."""
    pairs = members.pairs
    index = next((i for i, (own, _) in enumerate(pairs) if own.kind == "scalar" and own.text == name), None)
    if index is None:
        raise TopologyError(
            f"{shown(name)} comes from a merge", hint="it is merged in with <<: make this change by hand"
        )
    if members.flow:
        return _out_of_flow(written, members, [(own.start, value.end) for own, value in pairs], index)
    own, value = pairs[index]
    start, end = written.comments_above(own), written.entry_end(own, value)
    return _out_of_block(written, key, members, start, end, index, len(pairs))


def _without_edges(written: Written, name: str) -> list[Splice]:
    """Every list of calls, and of doors, that is written out loses `name`; aliases of it follow."""
    places = [written.root.value("defaults")]
    for section in ("servers", "clients"):
        members = written.root.value(section)
        places += [value for _, value in members.pairs] if members is not None else []
    splices = []
    for place, field in itertools.product(places, ("calls", "doors")):
        found = place.entry(field) if place is not None else None
        if found is None:
            continue
        key, calls = found
        if calls.kind == "mapping" and calls.entry(name) is not None:
            splices.append(_without_entry(written, key, calls, name))
        elif calls.kind == "sequence" and any(item.text == name for item in calls.children):
            splices.append(_without_item(written, key, calls, name))
    return splices


def _without_item(written: Written, key: Value, items: Value, name: str) -> Splice:
    index = next(i for i, item in enumerate(items.children) if item.text == name)
    item = items.children[index]
    if items.flow:
        return _out_of_flow(written, items, [(each.start, each.end) for each in items.children], index)
    start, end = written.line_start(item.start), written.next_line(item.end)
    return _out_of_block(written, key, items, start, end, index, len(items.children))


def _out_of_flow(written: Written, collection: Value, places: Sequence[tuple[int, int]], index: int) -> Splice:
    if len(places) == 1:
        start, end = collection.start + 1, collection.end - 1
    elif index + 1 < len(places):
        start, end = places[index][0], places[index + 1][0]
    else:
        start, end = places[index - 1][1], places[index][1]
    return aligned(written, Splice(start, end, ""))


def _out_of_block(written: Written, key: Value, block: Value, start: int, end: int, index: int, count: int) -> Splice:
    """Without the lines from `start` up to `end`, one of `count` entries, and the empty lines that set it apart."""
    if count == 1:
        empty = " {}" if block.kind == "mapping" else " []"
        colon = written.text.index(":", key.end) + 1
        rest = written.text[colon:start].rstrip()
        return Splice(colon, end, empty + rest + (written.line_break if written.ends_line(end) else ""))
    if index > 0:
        above = written.blank_above(start)
        return Splice(above if written.ends_line(end) else written.line_end(above - 1), end, "")
    return Splice(start, written.blank_below(end), "")
