"""Which line of a rendered project makes which check: declared by its template, and found by reading the project."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


class Point(enum.StrEnum):
    """What a line of a project decides of a handshake."""

    OWN_CERTIFICATE = "own-certificate"
    """Which certificate a server shows."""
    TLS_VERSION = "tls-version"
    DEMANDS_CERTIFICATE = "demands-certificate"
    CALLER_CHAIN = "caller-chain"
    """To which roots a caller's certificate must lead; then the others of a caller."""
    CALLER_VALIDITY = "caller-validity"
    CALLER_PURPOSE = "caller-purpose"
    CALLER_CRL = "caller-crl"
    CALLER_OCSP = "caller-ocsp"
    CALLER_ALLOWED = "caller-allowed"
    CLIENT_CERTIFICATE = "client-certificate"
    """Which certificate is shown to a server that is called; then what is checked of that server."""
    CALLEE_CHAIN = "callee-chain"
    CALLEE_NAME = "callee-name"
    CALLEE_VALIDITY = "callee-validity"
    CALLEE_PURPOSE = "callee-purpose"
    CALLEE_CRL = "callee-crl"
    CALLEE_OCSP = "callee-ocsp"


Lines = Mapping[Point, Mapping[str, tuple[str, ...]]]
"""For each point the files of the project, and the text of the lines of each."""

NO_LINES: Final[Lines] = MappingProxyType({})

PEER, IDENTITY = "{peer}", "{identity}"
"""In what is in a line: the name of the other side, and the identity of the caller."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file, which is relative to the project; both as they are today."""

    file: str
    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Peer:
    """Whom a line is about, where it is about anybody: what takes the places of `{peer}` and `{identity}`."""

    name: str
    identity: str


def parse(value: object) -> Lines:
    """What `_scaffold.lines` declares. Raises ValueError with what is wrong, as an error goes on."""
    if not isinstance(value, dict):
        raise ValueError('must map checks to files and texts: {"caller-chain": {"server.conf": "ca tls/ca.pem"}}')
    return MappingProxyType({_point(name): _files(name, files) for name, files in value.items()})


def _point(name: str) -> Point:
    try:
        return Point(name)
    except ValueError:
        raise ValueError(f'names "{name}", and it may name {", ".join(Point)}') from None


def _files(name: str, value: object) -> Mapping[str, tuple[str, ...]]:
    if not isinstance(value, dict) or not value:
        raise ValueError(f'must give for "{name}" a file')
    return MappingProxyType({file: _texts(name, file, texts) for file, texts in value.items()})


def _texts(name: str, file: str, value: object) -> tuple[str, ...]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise ValueError(f'must give for "{name}" the text of the line of {file}, or a list of texts')
    if any("\n" in text for text in texts):
        raise ValueError(f'must give for "{name}" text that is in one line of {file}')
    return tuple(texts)


def find(content: str, file: str, text: str, peer: Peer) -> Line | None:
    """The first line of a file in which `text` is, or None."""
    wanted = re.escape(text).replace(re.escape(PEER), re.escape(peer.name))
    wanted = wanted.replace(re.escape(IDENTITY), re.escape(peer.identity))
    # One name may begin like another.
    pattern = re.compile(wanted + (r"(?![\w./:-])" if text.endswith((PEER, IDENTITY)) else ""))
    return next((line for line in _lines(content, file) if pattern.search(line.text)), None)


def _lines(content: str, file: str) -> Iterator[Line]:
    for number, text in enumerate(content.splitlines(), 1):
        yield Line(file, number, text.strip())
