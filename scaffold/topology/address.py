"""Addresses: what plans, records and people call a CA, a server, a client, or a part of one.

    ca.root    server.accounts    client.teller                 an entity of the topology
    ca.root.crl    server.accounts.certificate                  a part of it
    ca.issuing@2.certificate                                    a part of a CA's second generation

This module alone knows how an address is written: everywhere else it is a value with fields.
"""

from __future__ import annotations

import enum
import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from scaffold.errors import AddressError
from scaffold.topology.generations import FIRST, label
from scaffold.topology.messages import nearest, shown


class Role(enum.StrEnum):
    """What an entity is."""

    CA = "ca"
    SERVER = "server"
    CLIENT = "client"

    @property
    def section(self) -> str:
        """Where entities of the role are in the YAML: `cas`, `servers`, `clients`."""
        return f"{self.value}s"


class Part(enum.StrEnum):
    """What an entity consists of."""

    CERTIFICATE = "certificate"
    CRL = "crl"
    OCSP = "ocsp"
    """The certificate of a CA's OCSP responder."""
    CLIENT_CERTIFICATE = "client-certificate"
    """The second certificate of a server that calls others."""
    BUNDLE = "bundle"
    STAPLE = "staple"
    TRUST = "trust"
    """What is in `tls/` beside keys, certificates, bundle and staple."""
    FILES = "files"
    """What is made there of other files, and whose they all are."""
    PROJECT = "project"
    APP = "app"
    """The app of a person's own behind a front, as its template made it."""


_OF_PARTIES: Final = (
    Part.CERTIFICATE, Part.CLIENT_CERTIFICATE, Part.BUNDLE, Part.STAPLE, Part.TRUST, Part.FILES, Part.PROJECT,
)  # fmt: skip

_PARTS: Final[Mapping[Role, tuple[Part, ...]]] = {
    Role.CA: (Part.CERTIFICATE, Part.CRL, Part.OCSP),
    Role.SERVER: (*_OF_PARTIES, Part.APP),
    Role.CLIENT: _OF_PARTIES,
}

_GENERATION: Final = re.compile(r"[2-9]|[1-9][0-9]{1,5}")

_HINT: Final = "an address is ROLE.NAME or ROLE.NAME.PART, such as server.accounts or ca.root.crl"


@dataclass(frozen=True, slots=True, eq=False)
class Address:
    """An entity (`part` is None) or a part of it; `generation` is that of a CA, None for the first.

    Addresses are equal, and are ordered, as their texts are.
    """

    role: Role
    name: str
    part: Part | None = None
    generation: int | None = None
    _text: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        entity = f"{self.role.value}.{self.name}"
        if self.generation is not None:
            entity = f"{entity}@{self.generation}"
        object.__setattr__(self, "_text", entity if self.part is None else f"{entity}.{self.part.value}")

    def __str__(self) -> str:
        return self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __eq__(self, other: object) -> bool:
        return self._text == other._text if isinstance(other, Address) else NotImplemented

    def __lt__(self, other: Address) -> bool:
        return self._text < other._text

    @property
    def entity(self) -> Address:
        """The CA, server or client that it is a part of; that of every generation of a CA is the same."""
        return self if self.part is None and self.generation is None else Address(self.role, self.name)

    def with_part(self, part: Part) -> Address:
        """A part of the same entity, and of the same generation of it."""
        return Address(self.role, self.name, part, self.generation)

    @property
    def whole(self) -> Address:
        """The server or client, or the generation of a CA, that it is a part of."""
        return self if self.part is None else Address(self.role, self.name, None, self.generation)

    @property
    def label(self) -> str:
        """The name of the entity, with the generation of a CA: `issuing`, `issuing@2`."""
        return label(self.name, self.generation)

    @classmethod
    def ca(cls, name: str, part: Part | None = None, generation: int = FIRST) -> Address:
        """A generation of the CA `name`, or a part of it."""
        return cls(Role.CA, name, part, None if generation == FIRST else generation)

    @classmethod
    def labelled(cls, label: str) -> Address:
        """The generation of a CA that has this label. Raises AddressError for what is none."""
        return cls.parse(f"{Role.CA.value}.{label}")

    @classmethod
    def server(cls, name: str, part: Part | None = None) -> Address:
        """The server `name`, or a part of it."""
        return cls(Role.SERVER, name, part)

    @classmethod
    def client(cls, name: str, part: Part | None = None) -> Address:
        """The client `name`, or a part of it."""
        return cls(Role.CLIENT, name, part)

    @staticmethod
    def parse(text: str, known: Iterable[Address] = ()) -> Address:
        """The address that is written so.

        Whether there is such an entity is not looked at. Raises AddressError with a hint: the nearest of `known`, or
        of the words that could be meant.
        """
        try:
            return _parsed(text)
        except AddressError as error:
            hint = nearest(text, map(str, known)) or error.hint
            raise AddressError(error.message, hint=hint) from None


@functools.lru_cache(maxsize=1 << 16)
def _parsed(text: str) -> Address:
    """The same text comes again and again: records name the same addresses as the topology."""
    start, _, rest = text.partition(".")
    entity, dot, end = rest.partition(".")
    name, at, number = entity.partition("@")
    if not name or (dot and not end) or "." in end:
        raise AddressError(f"no such address {shown(text)}", hint=_HINT)
    role = _role(text, start)
    generation = _generation(text, role, number) if at else None
    return Address(role, name, _part(text, role, end) if end else None, generation)


def _role(text: str, word: str) -> Role:
    try:
        return Role(word)
    except ValueError:
        raise AddressError(f"no such address {shown(text)}", hint=nearest(word, Role)) from None


def _part(text: str, role: Role, word: str) -> Part:
    parts = _PARTS[role]
    if word not in parts:
        raise AddressError(f"no such address {shown(text)}", hint=nearest(word, parts))
    return Part(word)


def _generation(text: str, role: Role, number: str) -> int:
    """Of a CA, from 2 on: the first has no number."""
    if role is not Role.CA or not number.isdecimal() or not number.isascii() or number[0] == "0" or number == "1":
        raise AddressError(
            f"no such address {shown(text)}", hint="generations of a CA are written ca.NAME@2, ca.NAME@3"
        )
    return int(number)
