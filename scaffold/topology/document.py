"""The YAML as a tree of nodes that know where they are: safe to read, whoever wrote it.

Nothing is constructed from tags. What a scalar means is decided later by its field's type from its text, so that
`country: NO` is Norway and `8443:10` no base-60 number, as in YAML 1.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from scaffold.errors import Place, TopologyError
from scaffold.topology.messages import shown
from scaffold.topology.mistakes import Mistakes
from scaffold.topology.syntax import syntax_hint

if TYPE_CHECKING:
    import yaml


class Mark(Protocol):
    """A position in the YAML; both count from 0."""

    line: int
    column: int


class Node(Protocol):
    """What a composed YAML node looks like.

    `id` is scalar, sequence or mapping; `tag` empty unless it was written; `value` the text, the list of nodes, or the
    list of pairs of nodes; a scalar's `style` empty where it is plain.
    """

    id: str
    tag: str
    value: Any
    style: str | None
    start_mark: Mark


MOST_BYTES = 16 * 1024 * 1024
MOST_VALUES = 1_000_000
"""Values in a file, its aliases followed: ten thousand services need about a quarter of it."""
DEEPEST = 50

_NESTS_DEEPER = f"the topology nests deeper than {DEEPEST} levels"
_TOO_DEEP = frozenset({"exceeded maximum nesting depth"})
"""What libyaml says of more than a thousand levels. It reads ahead, so that its limit may be met before ours."""

_UTF_16 = (b"\xff\xfe", b"\xfe\xff")

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})


class Document:
    """A composed YAML file. `root` is its top mapping; `base` the folder that paths in it are relative to."""

    def __init__(self, text: bytes, source: Path) -> None:
        """Raises `TopologyError` for what is not one UTF-8 YAML mapping within the limits above."""
        self.file = str(source)
        self.base = source.absolute().parent
        self._text = self._decode(text)
        self.root = self._compose()

    @cached_property
    def _lines(self) -> list[str]:
        return self._text.split("\n")

    def place(self, line: int, column: int) -> Place:
        """The position with its line's text; `line` and `column` count from 0, as the parser's marks do."""
        written = self._lines[line] if line < len(self._lines) else ""
        # One for one, so that a caret under the column still points at the right character.
        text = "".join(c if c.isprintable() else " " for c in written[:500]).rstrip()
        return Place(self.file, line + 1, column + 1, text)

    def place_of(self, node: Node) -> Place:
        return self.place(node.start_mark.line, node.start_mark.column)

    def error(self, node: Node, message: str, hint: str | None = None) -> TopologyError:
        """What is wrong with `node`, ready to be raised."""
        return TopologyError(message, place=self.place_of(node), hint=hint)

    def error_at_secret(self, node: Node, message: str, hint: str) -> TopologyError:
        """The same, where what is written may be a password: nothing is shown of the line from there on."""
        place = self.place_of(node)
        return TopologyError(message, place=replace(place, text=place.text[: place.column - 1] + "…"), hint=hint)

    def is_null(self, node: Node) -> bool:
        return node.id == "scalar" and not node.style and node.value in _NULLS

    def entries(self, node: Node, mistakes: Mistakes) -> dict[str, tuple[Node, Node]]:
        """Key node and value node by the key's text, merge keys (`<<`) followed: what is written here wins.

        A duplicate key, and one that is no plain text, is added to `mistakes` and left out.
        """
        found: dict[str, tuple[Node, Node]] = {}
        merged: list[Node] = []
        for key, value in node.value:
            if key.id != "scalar" or key.tag:
                mistakes.add(self.error(key, "a key must be plain text", _key_hint(key)))
                continue
            name = key.value
            if name == "<<" and not key.style:
                merged += value.value if value.id == "sequence" else [value]
            elif name in found:
                first = self.place_of(found[name][0])
                hint = f"it is in line {first.line} already: keep one of the two"
                mistakes.add(self.error(key, f"duplicate key {shown(name)}", hint))
            else:
                found[name] = key, value
        for mapping in merged:
            if mapping.id != "mapping":
                hint = "write `<<: *anchor`, where the anchor is on a mapping: `base: &anchor {key: ec-p256}`"
                mistakes.add(self.error(mapping, "only a mapping can be merged with <<", hint))
                continue
            for name, pair in self.entries(mapping, mistakes).items():
                found.setdefault(name, pair)
        return found

    def _decode(self, text: bytes) -> str:
        if len(text) > MOST_BYTES:
            raise TopologyError("the topology is larger than 16 MiB", place=Place(self.file, 1, 1))
        try:
            # splitlines() breaks lines where YAML does not (form feed); \r\n and \r are breaks to both.
            return text.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
        except UnicodeDecodeError as error:
            before = text[: error.start]
            line, column = before.count(b"\n"), error.start - (before.rfind(b"\n") + 1)
            where = Place(self.file, line + 1, column + 1)
            raise TopologyError("the topology is not UTF-8 text", place=where, hint=_encoding_hint(text)) from None

    def _compose(self) -> Node:
        import yaml

        start = Place(self.file, 1, 1)
        try:
            root: Node | None = _composer_class()(self._text, self._too_much).get_single_node()
        except yaml.MarkedYAMLError as error:
            raise self._not_yaml(error) from None
        except yaml.reader.ReaderError as error:
            line = self._text.count("\n", 0, error.position)
            column = error.position - (self._text.rfind("\n", 0, error.position) + 1)
            raise TopologyError(
                "the topology holds a control character", place=self.place(line, column), hint="remove it"
            ) from None
        except yaml.YAMLError:
            raise TopologyError("the topology is not YAML", place=start) from None
        if root is None or self.is_null(root):
            raise TopologyError("the topology is empty", place=start, hint="`scaffold init` writes a first one")
        if root.id != "mapping":
            hint = "begin with `version: 1` and `name: shop`, a line each; `scaffold init` writes a first one"
            raise self.error(root, "a topology is a mapping of version, name, cas, servers and clients", hint)
        if "*" in self._text and "&" in self._text:
            self._measure(root, {}, set())
        return root

    def _too_much(self, line: int, message: str) -> TopologyError:
        return TopologyError(message, place=self.place(line, 0))

    def _not_yaml(self, error: yaml.MarkedYAMLError) -> TopologyError:
        mark = _mark(error)
        where = self.place(mark.line, mark.column) if mark else Place(self.file, 1, 1)
        if error.context and "single document" in error.context:
            hint = "a topology is one document: leave out the line `---` and what follows it"
            return TopologyError("there is more than one YAML document in the file", place=where, hint=hint)
        if error.problem in _TOO_DEEP:
            return TopologyError(_NESTS_DEEPER, place=where)
        line = self._lines[where.line - 1] if where.line <= len(self._lines) else ""
        told = syntax_hint(f"{error.context or ''} {error.problem or ''}", line, where.column)
        return TopologyError(f"this is not YAML: {error.problem or error.context}", place=where, hint=told)

    def _measure(self, node: Node, seen: dict[int, tuple[int, int]], above: set[int]) -> tuple[int, int]:
        """How many values `node` stands for and how deep they nest, aliases followed; refuses bombs and loops."""
        if id(node) in above:
            hint = "write the value out; an alias can only repeat a value that is complete before it"
            raise self.error(node, "an alias is inside its own anchor", hint)
        if (known := seen.get(id(node))) is not None:
            return known
        if node.id == "scalar":
            children: list[Node] = []
        elif node.id == "sequence":
            children = node.value
        else:
            children = [part for pair in node.value for part in pair]
        above.add(id(node))
        measured = [self._measure(child, seen, above) for child in children]
        above.remove(id(node))
        size = 1 + sum(size for size, _ in measured)
        height = 1 + max((height for _, height in measured), default=0)
        if size > MOST_VALUES or height > DEEPEST:
            raise self.error(node, "its aliases make the topology far larger than it looks", "write it without aliases")
        seen[id(node)] = size, height
        return size, height


class Places(Mapping[tuple[str | int, ...], Place]):
    """Where each value is. Composes the file again when first asked, so that a good topology costs nothing."""

    def __init__(self, text: bytes, source: Path) -> None:
        self._text = text
        self._source = source
        self._known: dict[int, dict[str, tuple[Node, Node]]] = {}
        """Of each mapping that was asked about, by the `id` of its node, which the document keeps alive."""

    def __reduce__(self) -> tuple[type[Places], tuple[bytes, Path]]:
        return Places, (self._text, self._source)

    @cached_property
    def _document(self) -> Document:
        return Document(self._text, self._source)

    def _entries(self, node: Node) -> dict[str, tuple[Node, Node]]:
        """Whoever reads the values says what is wrong with the keys."""
        if id(node) not in self._known:
            self._known[id(node)] = self._document.entries(node, Mistakes())
        return self._known[id(node)]

    def __getitem__(self, path: tuple[str | int, ...]) -> Place:
        """A scalar's own place; a mapping's or a list's is its key."""
        document = self._document
        node = where = document.root
        for step in path:
            if isinstance(step, int) and node.id == "sequence" and 0 <= step < len(node.value):
                where = node = node.value[step]
            elif isinstance(step, str) and node.id == "mapping" and step in (entries := self._entries(node)):
                key, node = entries[step]
                where = node if node.id == "scalar" and not document.is_null(node) else key
            else:
                raise KeyError(path)
        return document.place_of(where)

    def __iter__(self) -> Iterator[tuple[str | int, ...]]:
        return self._walk(self._document.root, ())

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _walk(self, node: Node, path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
        children: list[tuple[str | int, Node]] = []
        if node.id == "mapping":
            children = [(name, value) for name, (_, value) in self._entries(node).items()]
        elif node.id == "sequence":
            children = list(enumerate(node.value))
        for step, child in children:
            yield (*path, step)
            yield from self._walk(child, (*path, step))


@cache
def _composer_class() -> Callable[..., Any]:
    """libyaml's composer where PyYAML has it, else its own, with no tag resolved and its appetite limited."""
    import yaml

    class Limits:
        """The hooks that a composer calls before and after each node, libyaml's included."""

        depth = values = line = 0
        too_much: Callable[[int, str], TopologyError]

        def descend_resolver(self, parent: Node | None, index: object) -> None:
            self.depth += 1
            self.values += 1
            if self.depth > DEEPEST:
                raise self.too_much(self._line(parent), _NESTS_DEEPER)
            if self.values > MOST_VALUES:
                raise self.too_much(self._line(parent), "the topology holds more than a million values")

        def ascend_resolver(self) -> None:
            self.depth -= 1

        def resolve(self, kind: object, value: object, implicit: object) -> str:
            return ""

        @staticmethod
        def _line(parent: Node | None) -> int:
            return parent.start_mark.line if parent is not None else 0

    if yaml.__with_libyaml__:

        class FastComposer(Limits, yaml.CBaseLoader):
            def __init__(self, text: str, too_much: Callable[[int, str], TopologyError]) -> None:
                yaml.CBaseLoader.__init__(self, text)
                self.too_much = too_much

        return FastComposer

    class PlainComposer(Limits, yaml.BaseLoader):
        def __init__(self, text: str, too_much: Callable[[int, str], TopologyError]) -> None:
            yaml.BaseLoader.__init__(self, text)
            self.too_much = too_much

    return PlainComposer


def _mark(error: yaml.MarkedYAMLError) -> Mark | None:
    """Where it went wrong: where the key, quote or bracket begins that a later line shows to be unfinished."""
    problem, context = error.problem_mark, error.context_mark
    if problem is None or context is None:
        return problem or context
    said = error.context or ""
    if "alias" in said or "anchor" in said:
        return context
    begun = any(word in said for word in ("simple key", "flow", "quoted"))
    return context if begun and problem.line != context.line else problem


def _encoding_hint(text: bytes) -> str:
    found = "it is UTF-16: " if text.startswith(_UTF_16) else ""
    return f'{found}save it as UTF-8 (`iconv -t UTF-8`, or your editor\'s "save with encoding")'


def _key_hint(key: Node) -> str:
    """`{{ name }}: x` and `? [a]` are what people write; a tag is the other case."""
    return "leave the tag out" if key.id == "scalar" else "put quotes around a text that begins with { or ["
