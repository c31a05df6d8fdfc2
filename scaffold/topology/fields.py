"""What a field can hold: each type reads a YAML node and draws itself as JSON Schema, so that the two cannot differ.

A type's `read` returns the value, or raises `TopologyError` at the node that is wrong.
"""

from __future__ import annotations

import dataclasses
import enum
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol

from scaffold.errors import TopologyError
from scaffold.topology import names
from scaffold.topology.messages import Invalid, nearest, shown
from scaffold.topology.mistakes import Mistakes

if TYPE_CHECKING:
    from scaffold.topology.document import Document, Node

Json = dict[str, Any]


class Type(Protocol):
    """What a field can hold."""

    def read(self, node: Node, document: Document) -> Any:
        """The value that `node` stands for."""

    def schema(self) -> Json:
        """The same in JSON Schema, draft 2020-12."""


@dataclass(frozen=True, slots=True)
class Field:
    """One key of a table. `default` is the value of what is left out, where it does not depend on anything else.

    `written` is how a default is in YAML, where that is not the value itself.
    `inherited`: whether it may be in `defaults`, for every kind of entity that has it.
    """

    name: str
    type: Type
    doc: str
    default: Any = None
    written: str | None = None
    required: bool = False
    inherited: bool = True


def _scalar(node: Node, document: Document, what: str) -> str:
    """The text of a scalar; lists, mappings, tags and null are refused."""
    if node.tag:
        raise document.error(node, f"the tag {shown(node.tag)} is not known here", "leave it out")
    if document.is_null(node):
        raise document.error(node, f"expected {what}, found nothing", "leave the key out, or give it a value")
    if node.id != "scalar":
        found = "a mapping" if node.id == "mapping" else "a list"
        raise document.error(node, f"expected {what}, found {found}", _scalar_hint(node))
    text: str = node.value
    return text


def _scalar_hint(node: Node) -> str:
    if node.id == "sequence" and len(node.value) == 1 and node.value[0].id == "scalar":
        return f"one value, without the brackets: {node.value[0].value[:60]}"
    if node.id == "mapping" and len(node.value) == 1 and node.value[0][0].id == "mapping":
        return "put quotes around a text that begins with {"
    return "write one value, without brackets, braces or hyphens"


def _collection(
    node: Node, document: Document, kind: str, what: str, example: str, separator: str | None = ","
) -> None:
    """Raise `TopologyError` for what is not a `kind` of node; `example` is how one is written.

    `separator` is what is between items where somebody writes them as one text; None is white space.
    """
    if node.tag:
        raise document.error(node, f"the tag {shown(node.tag)} is not known here", "leave it out")
    if node.id == kind:
        return
    empty = "{}" if kind == "mapping" else "[]"
    if document.is_null(node):
        hint = f"write {empty} for an empty one, or leave the key out"
        raise document.error(node, f"expected {what}, found nothing", hint)
    if kind == "sequence" and node.id == "scalar":
        example = f"[{', '.join(part.strip()[:60] for part in node.value.split(separator))}]"
    found = {"scalar": "text", "sequence": "a list"}.get(node.id, "a mapping")
    raise document.error(node, f"expected {what}, found {found}", f"write {example}")


@dataclass(frozen=True, slots=True)
class Text:
    """A scalar that `parse` understands; `parse` raises `Invalid`."""

    what: str
    parse: Callable[[str], Any]
    pattern: str | None = None

    def read(self, node: Node, document: Document) -> Any:
        text = _scalar(node, document, self.what)
        try:
            return self.parse(text)
        except Invalid as error:
            raise document.error(node, error.message, error.hint) from None

    def schema(self) -> Json:
        return {"type": "string", "minLength": 1} | ({"pattern": self.pattern} if self.pattern else {})


@dataclass(frozen=True, slots=True)
class Choice:
    """One of an enumeration's words."""

    what: str
    words: type[enum.StrEnum]
    elsewhere: Mapping[str, str] = dataclasses.field(default_factory=lambda: MappingProxyType({}))
    """Words that are none here, with what to do instead."""

    def read(self, node: Node, document: Document) -> Any:
        text = _scalar(node, document, self.what)
        try:
            return self.words(text)
        except ValueError:
            if text in self.elsewhere:
                raise document.error(node, f"{shown(text)} is not allowed here", self.elsewhere[text]) from None
            raise document.error(node, f"{shown(text)} is not {self.what}", nearest(text, self.words)) from None

    def schema(self) -> Json:
        return {"enum": [word.value for word in self.words]}


@dataclass(frozen=True, slots=True)
class Flag:
    """`true` or `false`, and nothing else that YAML 1.1 took for it."""

    def read(self, node: Node, document: Document) -> bool:
        text = _scalar(node, document, "true or false")
        if node.style or text not in {"true", "false"}:
            raise document.error(node, f"{shown(text)} is neither true nor false", _flag_hint(text))
        return text == "true"

    def schema(self) -> Json:
        return {"type": "boolean"}


def _flag_hint(text: str) -> str:
    if text.lower() in {"yes", "on", "y", "1", "true"}:
        return "write true"
    return "write false" if text.lower() in {"no", "off", "n", "0", "false"} else "write true or false"


@dataclass(frozen=True, slots=True)
class Exactly:
    """The one value that is allowed, as it is written."""

    what: str
    value: int | bool

    def read(self, node: Node, document: Document) -> int | bool:
        text = _scalar(node, document, self.what)
        if text != str(self.value).lower():
            raise document.error(node, f"{shown(text)} is not {self.what}", f"write {str(self.value).lower()}")
        return self.value

    def schema(self) -> Json:
        return {"const": self.value}


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number from `least` to `most`."""

    what: str
    least: int
    most: int

    def read(self, node: Node, document: Document) -> int:
        text = _scalar(node, document, self.what)
        if re.fullmatch(r"0|-?[1-9][0-9]{0,9}", text) and self.least <= int(text) <= self.most:
            return int(text)
        raise document.error(
            node, f"{shown(text)} is not {self.what}", f"a whole number from {self.least} to {self.most}"
        )

    def schema(self) -> Json:
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


@dataclass(frozen=True, slots=True)
class FilePath:
    """A path, relative to the topology file; read as an absolute one."""

    def read(self, node: Node, document: Document) -> Path:
        text = _scalar(node, document, "a path")
        try:
            return document.base / names.path_text(text)
        except Invalid as error:
            raise document.error(node, error.message, error.hint) from None

    def schema(self) -> Json:
        return {"type": "string", "minLength": 1}


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of `least` to `most` items, without repetitions unless it `repeats`.

    `separator` is what is between them where somebody writes one text; None is white space.
    """

    what: str
    item: Type
    least: int = 0
    most: int | None = None
    repeats: bool = False
    separator: str | None = ","

    def read(self, node: Node, document: Document) -> tuple[Any, ...]:
        _collection(node, document, "sequence", f"a list of {self.what}", "[…]", self.separator)
        values: list[Any] = []
        mistakes = Mistakes()
        for child in node.value:
            try:
                value = self.item.read(child, document)
            except TopologyError as error:
                mistakes.add(error)
                continue
            if value in values and not self.repeats:
                mistakes.add(
                    document.error(child, f"{shown(str(value))} is on the list twice", "leave one of the two out")
                )
            values.append(value)
        mistakes.check()
        if len(values) < self.least:
            raise document.error(node, f"the list of {self.what} is empty", "leave the key out, or add entries to it")
        if self.most is not None and len(values) > self.most:
            raise document.error(
                node, f"the list of {self.what} has {len(values)} entries", f"it may have at most {self.most}"
            )
        return tuple(values)

    def schema(self) -> Json:
        most = {} if self.most is None else {"maxItems": self.most}
        return {
            "type": "array",
            "items": self.item.schema(),
            "uniqueItems": not self.repeats,
            "minItems": self.least,
            **most,
        }


@dataclass(frozen=True, slots=True)
class NamesWithLists:
    """Names, each with a list of words: a mapping from one to the other, or a list of names whose lists are empty.

    `example` is how such a mapping is written.
    """

    what: str
    item: Text
    words: ListOf
    example: str

    def read(self, node: Node, document: Document) -> dict[str, tuple[Any, ...]]:
        """The words by name, in the file's order."""
        if node.id != "mapping" or node.tag:
            self._no_mappings_within(node, document)
            return dict.fromkeys(ListOf(self.what, self.item).read(node, document), ())
        values: dict[str, tuple[Any, ...]] = {}
        mistakes = Mistakes()
        for key, child in document.entries(node, mistakes).values():
            with mistakes.gathering():
                values[self.item.read(key, document)] = self._words(key, child, document)
        mistakes.check()
        return values

    def _no_mappings_within(self, node: Node, document: Document) -> None:
        for item in node.value if node.id == "sequence" else ():
            if item.id == "mapping":
                hint = f"{self.words.what} are written as one mapping: {self.example}"
                raise document.error(item, f"expected {self.item.what}, found a mapping", hint)

    def _words(self, key: Node, child: Node, document: Document) -> tuple[Any, ...]:
        if document.is_null(child):
            hint = f"{key.value[:63]}: [] has none, as in {self.example}"
            raise document.error(key, f"{shown(key.value)} has no value", hint)
        return self.words.read(child, document)

    def schema(self) -> Json:
        mapping = {
            "type": "object",
            "propertyNames": self.item.schema(),
            "additionalProperties": self.words.schema(),
        }
        return {"anyOf": [ListOf(self.what, self.item).schema(), mapping]}


@dataclass(frozen=True, slots=True)
class Named:
    """A mapping from names (DNS labels) to tables. `example` is one such name."""

    what: str
    value: Table
    example: str

    def read(self, node: Node, document: Document) -> dict[str, Any]:
        mistakes = Mistakes()
        values = self.read_on(node, document, mistakes)
        mistakes.check()
        return values

    def read_on(self, node: Node, document: Document, mistakes: Mistakes) -> dict[str, Any]:
        """Every entry, as far as it can be read: what is wrong is added to `mistakes`."""
        _collection(node, document, "mapping", self.what, f"{self.example}: {{…}}")
        values: dict[str, Any] = {}
        nameless: list[str] = []
        for name, (key, child) in document.entries(node, mistakes).items():
            try:
                value = self._value(name, key, child, document, mistakes)
            except TopologyError as error:
                mistakes.add(error)
                value = Partial()
            try:
                values[names.label(name)] = value
            except Invalid as error:
                nameless.append(name)
                mistakes.add(document.error(key, error.message, error.hint))
        return Partial(values, nameless, unknown=False) if nameless else values

    def _value(self, name: str, key: Node, child: Node, document: Document, mistakes: Mistakes) -> Any:
        if document.is_null(child):
            raise document.error(key, f"{shown(name)} has no value", f"{name[:63]}: {{}} takes all the defaults")
        return self.value.read_on(child, document, mistakes)

    def schema(self) -> Json:
        return {
            "type": "object",
            "propertyNames": {"pattern": names.LABEL_PATTERN},
            "additionalProperties": self.value.schema(),
        }


@dataclass(frozen=True)
class Table:
    """A mapping with known keys. `build` makes a value of the keys that are written.

    `ref`: the table's name among the definitions of the schema. `alone`: exactly one of its keys is written. `hints`:
    keys that are no field of it and may be written by mistake, each with what helps.
    """

    what: str
    fields: tuple[Field, ...]
    build: Callable[[dict[str, Any]], Any] = dict
    ref: str | None = None
    alone: bool = False
    least: int = 0
    hints: tuple[tuple[str, str], ...] = ()

    @cached_property
    def _known(self) -> dict[str, Field]:
        return {field.name: field for field in self.fields}

    def read(self, node: Node, document: Document) -> Any:
        mistakes = Mistakes()
        values = self.read_on(node, document, mistakes)
        mistakes.check()
        return self.build(values)

    def read_on(self, node: Node, document: Document, mistakes: Mistakes) -> dict[str, Any]:
        """The keys that can be read, as `Partial` where not all could: what is wrong is added to `mistakes`."""
        if node.id != "mapping" or node.tag:
            self._no_mapping(node, document)
        known, before = self._known, len(mistakes)
        values: dict[str, Any] = {}
        wrong: set[str] = set()
        unknown = False
        for name, (key, child) in document.entries(node, mistakes).items():
            field = known.get(name)
            if field is None:
                unknown = True
                mistakes.add(self._unknown(name, key, document))
                continue
            try:
                if document.is_null(child):
                    raise document.error(key, f"{name} has no value", "leave the key out, or give it a value")
                values[name] = _read_on(field.type, child, document, mistakes)
            except TopologyError as error:
                wrong.add(name)
                mistakes.add(error)
        mistakes.add_all(self._missing(values.keys() | wrong, node, document, unknown=unknown))
        return Partial(values, wrong, unknown=unknown) if len(mistakes) > before else values

    def _unknown(self, name: str, key: Node, document: Document) -> TopologyError:
        message = f"unknown key {shown(name)} in {self.what}"
        if self.alone:
            return document.error_at_secret(key, message, f"use {_one_of(self.fields)}")
        return document.error(key, message, dict(self.hints).get(name) or _key_hint(name, self._known))

    def _no_mapping(self, node: Node, document: Document) -> None:
        if self.alone and not (node.tag or document.is_null(node)):
            hint = f"use {_one_of(self.fields)}"
            raise document.error_at_secret(node, f"{self.what} may not be in the topology itself", hint)
        _collection(node, document, "mapping", self.what, f"{{{self.fields[0].name}: …}}")

    def _missing(
        self, written: Collection[str], node: Node, document: Document, *, unknown: bool
    ) -> Iterator[TopologyError]:
        """What is left out; an unknown key may be what is missed."""
        missing = [field for field in self.fields if field.required and field.name not in written]
        if not unknown:
            for field in missing:
                yield document.error(node, f"{self.what} needs {field.name}", f"{field.name}: {_plain(field.doc)}")
        if self.alone and (len(written) > 1 or not (written or unknown)):
            yield document.error(node, f"{self.what} has exactly one key", f"write {_one_of(self.fields)}")
        if len(written) < self.least and not unknown:
            hint = f"known: {', '.join(field.name for field in self.fields)}"
            yield document.error(node, f"{self.what} is empty", hint)

    def schema(self) -> Json:
        return {"$ref": f"#/$defs/{self.ref}"} if self.ref else self.definition()

    def definition(self) -> Json:
        """The table itself, where `schema` may only refer to it."""
        properties = {}
        for field in self.fields:
            properties[field.name] = field.type.schema() | {"description": field.doc}
            if field.written is not None or isinstance(field.default, str | bool):
                properties[field.name]["default"] = field.written or getattr(field.default, "value", field.default)
        drawn: Json = {"type": "object", "properties": properties, "additionalProperties": False}
        if required := [field.name for field in self.fields if field.required]:
            drawn["required"] = required
        if self.alone:
            drawn |= {"minProperties": 1, "maxProperties": 1}
        elif self.least:
            drawn["minProperties"] = self.least
        return drawn


@dataclass(frozen=True, slots=True)
class WordOr:
    """One word, which stands for `value`, or a table."""

    word: str
    value: Any
    table: Table

    def read(self, node: Node, document: Document) -> Any:
        if node.id != "scalar":
            return self.table.read(node, document)
        text = _scalar(node, document, f"{self.word} or {self.table.what}")
        if text != self.word:
            hint = f"write {self.word}, or {{{self.table.fields[0].name}: …}}"
            raise document.error(node, f"{shown(text)} is neither {self.word} nor {self.table.what}", hint)
        return self.value

    def schema(self) -> Json:
        return {"anyOf": [{"const": self.word}, self.table.schema()]}


@dataclass(frozen=True, slots=True)
class TextOr:
    """One text, or a table."""

    text: Text
    table: Table

    def read(self, node: Node, document: Document) -> Any:
        return self.text.read(node, document) if node.id == "scalar" else self.table.read(node, document)

    def schema(self) -> Json:
        return {"anyOf": [self.text.schema(), self.table.schema()]}


@dataclass(frozen=True, slots=True)
class Mapped:
    """A mapping from texts to values, no two of them to the same. `example` is how one is written."""

    what: str
    key: Text
    value: Text
    example: str

    def read(self, node: Node, document: Document) -> Mapping[str, Any]:
        _collection(node, document, "mapping", self.what, self.example)
        values: dict[str, Any] = {}
        taken: set[str] = set()
        mistakes = Mistakes()
        for key, child in document.entries(node, mistakes).values():
            with mistakes.gathering():
                found = self.value.read(child, document)
                folded = str(found).casefold()
                if folded in taken:
                    raise document.error(child, f"{shown(str(found))} is in use already", "give each its own")
                taken.add(folded)
                values[self.key.read(key, document)] = found
        mistakes.check()
        return MappingProxyType(values)

    def schema(self) -> Json:
        return {"type": "object", "propertyNames": self.key.schema(), "additionalProperties": self.value.schema()}


class Partial(dict[str, Any]):
    """What could be read of a table with a mistake in it.

    `wrong` are the keys that are written and cannot be read; `unknown`: whether a key is there that no table has.
    """

    def __init__(
        self, values: Mapping[str, Any] = MappingProxyType({}), wrong: Iterable[str] = (), *, unknown: bool = True
    ) -> None:
        super().__init__(values)
        self.wrong = frozenset(wrong)
        self.unknown = unknown

    def may_have(self, name: str) -> bool:
        """Whether `name` may have been meant, though it is not among what could be read."""
        return self.unknown or name in self.wrong


def _read_on(type_: Type, node: Node, document: Document, mistakes: Mistakes) -> Any:
    """As `read`, and what is only a mapping keeps what could be read of it."""
    if isinstance(type_, Named) or (isinstance(type_, Table) and type_.build is dict):
        return type_.read_on(node, document, mistakes)
    return type_.read(node, document)


def _one_of(fields: tuple[Field, ...]) -> str:
    """`{env: NAME}, {file: PATH} or {generate: true}`"""
    written = [f"{{{field.name}: {_EXAMPLES.get(field.name, '…')}}}" for field in fields]
    return f"{', '.join(written[:-1])} or {written[-1]}"


_EXAMPLES = {"env": "NAME", "file": "PATH", "generate": "true"}


def _key_hint(name: str, known: Iterable[str]) -> str | None:
    before, colon, after = name.partition(":")
    if colon and before in known and after:
        return f"a space follows the colon: `{before}: {after[:60]}`"
    return nearest(name, known)


def _plain(doc: str) -> str:
    return doc[0].lower() + doc[1:].rstrip(".")


JINJA: Final = ("{{", "{%", "{#")
"""What begins an expression, a statement or a comment of Jinja, unless a template says otherwise."""


@dataclass(frozen=True, slots=True)
class Variables:
    """What a template's cookiecutter.json declares: scalars or lists of them, typed as in YAML 1.2's core schema.

    `nested`: mappings and lists in one another as well, as any template of cookiecutter may have them.
    """

    nested: bool = False

    def read(self, node: Node, document: Document) -> Mapping[str, object]:
        _collection(node, document, "mapping", "a mapping of variables", "{greeting: hello}")
        values: dict[str, object] = {}
        mistakes = Mistakes()
        for name, (key, child) in document.entries(node, mistakes).items():
            try:
                (names.any_variable if self.nested else names.variable)(name)
                values[name] = self._value(child, document)
            except Invalid as error:
                mistakes.add(document.error(key, error.message, error.hint))
            except TopologyError as error:
                mistakes.add(error)
        mistakes.check()
        return MappingProxyType(values)

    def _value(self, node: Node, document: Document) -> object:
        if node.id == "sequence" and not node.tag:
            within = self._value if self.nested else self._scalar
            return tuple(within(item, document) for item in node.value)
        if self.nested and node.id == "mapping" and not node.tag:
            return self._mapping(node, document)
        return self._scalar(node, document)

    def _mapping(self, node: Node, document: Document) -> Mapping[str, object]:
        mistakes = Mistakes()
        entries = document.entries(node, mistakes)
        for name, (key, _) in entries.items():
            self._check_no_jinja(name, key, document)
        mistakes.check()
        return MappingProxyType({name: self._value(child, document) for name, (_, child) in entries.items()})

    def _check_no_jinja(self, text: str, node: Node, document: Document) -> None:
        """Of cookiecutter's answers: it renders each of them, which a topology has nobody's leave for."""
        found = [begins for begins in JINJA if begins in text]
        if self.nested and found:
            said = f"an answer may not hold {found[0]}: a template takes that for Jinja, and runs it"
            hint = "answers are data; what follows from other answers is worked out in the template"
            raise document.error(node, said, hint)

    def _scalar(self, node: Node, document: Document) -> object:
        text = _scalar(node, document, "text, a number, true or false")
        self._check_no_jinja(text, node, document)
        if node.style:
            return text
        if text in {"true", "True", "TRUE", "false", "False", "FALSE"}:
            return text.lower() == "true"
        if re.fullmatch(r"[-+]?(0|[1-9][0-9]{0,17})", text):
            return int(text)
        if re.fullmatch(r"[-+]?(0|[1-9][0-9]*)?\.[0-9]+([eE][-+]?[0-9]{1,2})?", text):
            return float(text)
        return text

    def schema(self) -> Json:
        if self.nested:
            return {"type": "object", "propertyNames": {"pattern": names.ANY_VARIABLE_PATTERN}}
        scalar = {"type": ["string", "number", "boolean"]}
        return {
            "type": "object",
            "propertyNames": {"pattern": names.VARIABLE_PATTERN},
            "additionalProperties": {"anyOf": [scalar, {"type": "array", "items": scalar}]},
        }
