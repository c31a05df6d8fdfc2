"""The YAML as it is written: where each value begins and ends, in which style, so that a part of it can be edited."""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
"""YAML 1.1 section 5.4."""


@dataclass(slots=True)
class Value:
    """A scalar, mapping, sequence or alias, from `start` up to `end`: what follows a block's last value is not in it.

    `children` are keys and values in turn, or items. `text` is a scalar's content. `style` is a scalar's: empty, or
    one of `'`, `"`, `|`, `>`; or `flow` or `block`.
    """

    kind: str
    style: str
    start: int
    end: int
    text: str = ""
    children: list[Value] = field(default_factory=list)

    @property
    def flow(self) -> bool:
        return self.style == "flow"

    @property
    def pairs(self) -> list[tuple[Value, Value]]:
        """Keys and values of a mapping; none of what is no mapping."""
        if self.kind != "mapping":
            return []
        return list(zip(self.children[::2], self.children[1::2], strict=True))

    def entry(self, name: str) -> tuple[Value, Value] | None:
        """The key and the value that are written under `name`; merge keys are not followed."""
        return next(((key, value) for key, value in self.pairs if key.kind == "scalar" and key.text == name), None)

    def value(self, name: str) -> Value | None:
        found = self.entry(name)
        return found[1] if found is not None else None


class Written:
    """A text of one YAML document that is known to be sound. `root` is its top value."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._starts = [0, *(found.end() for found in LINE_BREAK.finditer(text))]
        found = LINE_BREAK.search(text)
        self.line_break = found[0] if found is not None else "\n"
        self.root = self._read()

    def _read(self) -> Value:
        import yaml

        loader = yaml.CBaseLoader if yaml.__with_libyaml__ else yaml.BaseLoader
        events = iter(yaml.parse(self.text, loader))
        first = next(event for event in events if isinstance(event, yaml.NodeEvent))
        return self._value(first, events)

    def _value(self, event: Any, events: Iterator[Any]) -> Value:
        name = type(event).__name__
        start, end = self._offset(event.start_mark), self._offset(event.end_mark)
        if name == "AliasEvent":
            return Value("alias", "", start, end, event.anchor)
        if name == "ScalarEvent":
            style = event.style or ""
            return Value("scalar", style, start, self._end_of_scalar(style, start, end), event.value)
        return self._collection(event, events, start)

    def _collection(self, event: Any, events: Iterator[Any], start: int) -> Value:
        import yaml

        kind = "mapping" if isinstance(event, yaml.MappingStartEvent) else "sequence"
        children = []
        for inner in events:
            if isinstance(inner, yaml.CollectionEndEvent):
                break
            children.append(self._value(inner, events))
        if event.flow_style:
            # An anchor or a tag is before the bracket, and the mark is at it.
            bracket = self._offset(event.end_mark) - 1
            return Value(kind, "flow", bracket, self._offset(inner.end_mark), children=children)
        end = max((child.end for child in children), default=start)
        return Value(kind, "block", self._start_of_block(kind, start, children), end, children=children)

    def _start_of_block(self, kind: str, start: int, children: Sequence[Value]) -> int:
        """Where the first key or hyphen is: an anchor may be a line above it."""
        if not children or kind == "mapping":
            return children[0].start if children else start
        line = self.line(children[0].start)
        return self.line_start(children[0].start) + len(line) - len(line.lstrip())

    def _end_of_scalar(self, style: str, start: int, end: int) -> int:
        """Block scalars end with a line break, and with the empty lines behind it where `+` keeps them."""
        if style not in ("|", ">"):
            return end
        if "+" in self.text[start : self.line_end(start)]:
            return end - len(self.line_break) if self.text[:end].endswith(self.line_break) else end
        return start + len(self.text[start:end].rstrip())

    def _offset(self, mark: Any) -> int:
        line: int = min(mark.line, len(self._starts) - 1)
        column: int = mark.column
        return min(self._starts[line] + column, len(self.text))

    def _line(self, offset: int) -> int:
        return bisect.bisect_right(self._starts, offset) - 1

    def line_start(self, offset: int) -> int:
        """Where the line of `offset` begins."""
        return self._starts[self._line(offset)]

    def next_line(self, offset: int) -> int:
        """Where the line after that of `offset` begins; the end of the text where there is none."""
        line = self._line(offset) + 1
        return self._starts[line] if line < len(self._starts) else len(self.text)

    def line_end(self, offset: int) -> int:
        """Where the line of `offset` ends, its break left out."""
        line = self.text[self.line_start(offset) : self.next_line(offset)]
        return self.line_start(offset) + len(LINE_BREAK.sub("", line))

    def ends_line(self, offset: int) -> bool:
        """Whether a line break is before `offset`: the last line of a text may have none."""
        return self.line_start(offset) == offset

    def line(self, offset: int) -> str:
        return self.text[self.line_start(offset) : self.line_end(offset)]

    def column(self, offset: int) -> int:
        return offset - self.line_start(offset)

    def block_end(self, block: Value) -> int:
        """Where a line can follow a block as its own: after its last value, and after comments indented like it."""
        return self._after(block.end, self.column(block.start))

    def entry_end(self, key: Value, value: Value) -> int:
        """Where the lines of an entry of a block end, with the comments that are indented more than its key."""
        return self._after(max(key.end, value.end), self.column(key.start) + 1)

    def _after(self, end: int, column: int) -> int:
        found = at = self.next_line(end)
        while at < len(self.text):
            line = self.line(at)
            if line.strip() and not line.lstrip().startswith("#"):
                break
            if line.strip() and len(line) - len(line.lstrip()) >= column:
                found = self.next_line(at)
            at = self.next_line(at)
        return found

    def comments_above(self, key: Value) -> int:
        """Where the comment lines directly above a key begin that are indented like it; its own line without any."""
        at, column = self.line_start(key.start), self.column(key.start)
        while at > 0:
            above = self.line_start(at - 1)
            line = self.line(above)
            if not line.lstrip().startswith("#") or len(line) - len(line.lstrip()) != column:
                break
            at = above
        return at

    def blank_above(self, at: int) -> int:
        """Where the empty lines directly above the line that begins at `at` begin."""
        while at > 0 and not self.line(at - 1).strip():
            at = self.line_start(at - 1)
        return at

    def blank_below(self, at: int) -> int:
        """Where the empty lines end that begin at `at`."""
        while at < len(self.text) and not self.line(at).strip():
            at = self.next_line(at)
        return at
