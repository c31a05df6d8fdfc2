"""What a field can hold: each type reads a YAML node and draws itself as JSON Schema, so that the two cannot differ.

A type's `read` returns the value, or raises `TopologyError` at the node that is wrong.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from scaffold.topology import names
from scaffold.topology.messages import Invalid, nearest, shown

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

    `written` is how a default stands in YAML, where that is not the value itself.
    `inherited`: whether it may stand in `defaults`, for every kind of entity that has it.
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
        raise document.error(node, f"the tag {shown(node.tag)} means nothing here", "leave it out")
    if document.is_null(node):
        raise document.error(node, f"there is no value where {what} is meant", "leave the key out, or give it a value")
    if node.id != "scalar":
        found = "a mapping" if node.id == "mapping" else "a list"
        raise document.error(node, f"{found} stands where {what} is meant")
    text: str = node.value
    return text


def _collection(node: Node, document: Document, kind: str, what: str) -> None:
    if node.tag:
        raise document.error(node, f"the tag {shown(node.tag)} means nothing here", "leave it out")
    if node.id == kind:
        return
    empty, written = ("{}", "a mapping") if kind == "mapping" else ("[]", "a list")
    if document.is_null(node):
        hint = f"write {empty} for one that says nothing more, or leave the key out"
        raise document.error(node, f"there is no value where {what} is meant", hint)
    raise document.error(node, f"{what} is meant here, which is written as {written}")


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

    def read(self, node: Node, document: Document) -> Any:
        text = _scalar(node, document, self.what)
        try:
            return self.words(text)
        except ValueError:
            raise document.error(node, f"{shown(text)} is not {self.what}", nearest(text, self.words)) from None

    def schema(self) -> Json:
        return {"enum": [word.value for word in self.words]}


@dataclass(frozen=True, slots=True)
class Flag:
    """`true` or `false`, and nothing else that YAML 1.1 took for it."""

    def read(self, node: Node, document: Document) -> bool:
        text = _scalar(node, document, "true or false")
        if node.style or text not in {"true", "false"}:
            raise document.error(node, f"{shown(text)} is neither true nor false")
        return text == "true"

    def schema(self) -> Json:
        return {"type": "boolean"}


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
    """A list without repetitions; two are the same where `identity` says so."""

    what: str
    item: Type
    least: int = 0

    def read(self, node: Node, document: Document) -> tuple[Any, ...]:
        _collection(node, document, "sequence", f"a list of {self.what}")
        values: list[Any] = []
        for child in node.value:
            value = self.item.read(child, document)
            if value in values:
                raise document.error(child, f"{shown(str(value))} stands twice on the list")
            values.append(value)
        if len(values) < self.least:
            raise document.error(
                node, f"the list of {self.what} is empty", "leave the key out, or say what belongs on it"
            )
        return tuple(values)

    def schema(self) -> Json:
        return {"type": "array", "items": self.item.schema(), "uniqueItems": True, "minItems": self.least}


@dataclass(frozen=True, slots=True)
class Named:
    """A mapping from names (DNS labels) to values."""

    what: str
    value: Type

    def read(self, node: Node, document: Document) -> dict[str, Any]:
        _collection(node, document, "mapping", self.what)
        values = {}
        for name, (key, child) in document.entries(node).items():
            if document.is_null(child):
                raise document.error(key, f"{shown(name)} has no value", f"{name[:63]}: {{}} takes all the defaults")
            try:
                values[names.label(name)] = self.value.read(child, document)
            except Invalid as error:
                raise document.error(key, error.message, error.hint) from None
        return values

    def schema(self) -> Json:
        return {
            "type": "object",
            "propertyNames": {"pattern": names.LABEL_PATTERN},
            "additionalProperties": self.value.schema(),
        }


@dataclass(frozen=True)
class Table:
    """A mapping with known keys. `build` makes a value of the keys that are written.

    `ref`: the table's name among the definitions of the schema. `alone`: exactly one of its keys is written.
    """

    what: str
    fields: tuple[Field, ...]
    build: Callable[[dict[str, Any]], Any] = dict
    ref: str | None = None
    alone: bool = False
    least: int = 0

    @cached_property
    def _known(self) -> dict[str, Field]:
        return {field.name: field for field in self.fields}

    def read(self, node: Node, document: Document) -> Any:
        _collection(node, document, "mapping", self.what)
        known = self._known
        values = {}
        for name, (key, child) in document.entries(node).items():
            field = known.get(name)
            if field is None:
                raise document.error(key, f"unknown key {shown(name)} in {self.what}", nearest(name, known))
            if document.is_null(child):
                raise document.error(key, f"{name} has no value", "leave the key out, or give it a value")
            values[name] = field.type.read(child, document)
        self._check(values, node, document)
        return self.build(values)

    def _check(self, values: dict[str, Any], node: Node, document: Document) -> None:
        for field in self.fields:
            if field.required and field.name not in values:
                raise document.error(node, f"{self.what} needs {field.name}", f"{field.name}: {_plain(field.doc)}")
        if self.alone and len(values) != 1:
            hint = " or ".join(f"{{{field.name}: …}}" for field in self.fields)
            raise document.error(node, f"{self.what} says exactly one of its keys", f"write {hint}")
        if len(values) < self.least:
            raise document.error(
                node, f"{self.what} is empty", f"known: {', '.join(field.name for field in self.fields)}"
            )

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


def _plain(doc: str) -> str:
    return doc[0].lower() + doc[1:].rstrip(".")


@dataclass(frozen=True, slots=True)
class Variables:
    """What a template's cookiecutter.json declares: scalars or lists of them, typed as in YAML 1.2's core schema."""

    def read(self, node: Node, document: Document) -> Mapping[str, object]:
        _collection(node, document, "mapping", "a mapping of variables")
        values: dict[str, object] = {}
        for name, (key, child) in document.entries(node).items():
            try:
                names.variable(name)
            except Invalid as error:
                raise document.error(key, error.message, error.hint) from None
            if child.id == "sequence" and not child.tag:
                values[name] = tuple(self._scalar(item, document) for item in child.value)
            else:
                values[name] = self._scalar(child, document)
        return MappingProxyType(values)

    def _scalar(self, node: Node, document: Document) -> object:
        text = _scalar(node, document, "text, a number, true or false")
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
        scalar = {"type": ["string", "number", "boolean"]}
        return {
            "type": "object",
            "propertyNames": {"pattern": names.VARIABLE_PATTERN},
            "additionalProperties": {"anyOf": [scalar, {"type": "array", "items": scalar}]},
        }
