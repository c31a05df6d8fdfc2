"""Passwords: from the environment, from a file, or made once and kept in a file of their own."""

from __future__ import annotations

import base64
import codecs
import os
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field

from scaffold.errors import SecretError, StoreError
from scaffold.pki.randomness import Randomness
from scaffold.store import files
from scaffold.store.layout import Layout
from scaffold.topology.model import EnvSecret, FileSecret, GeneratedSecret, Secret

_PASSWORD = "password"  # noqa: S105
_MOST_OCTETS = 1023
"""So long may a password be: OpenSSL reads no more of a line (`-passin file:`), and encrypts no key with more."""

_RANDOM_OCTETS = 24  # 192 bits, in 32 characters that no shell and no configuration file has a meaning for


@dataclass(frozen=True, slots=True)
class Secrets:
    """Where passwords come from. `environment` is `os.environ` where `cli` makes it; it is never shown."""

    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    def given(self, secret: EnvSecret | FileSecret, owner: str, what: str = _PASSWORD) -> bytes:
        """A password, or `what` else a person provides, in UTF-8. Raises SecretError where none can be had."""
        if isinstance(secret, FileSecret):
            return _of_file(secret, owner, what)
        where = f"the environment variable {secret.variable}"
        text = _as_written(self.environment.get(secret.variable, "")).rstrip("\r\n")
        return _checked(
            text,
            owner,
            where,
            f"set {secret.variable}, or use another source: {{env: NAME}}, {{file: PATH}} or {{generate: true}}",
            what,
        )

    def has(self, secret: Secret) -> bool:
        """Whether a password can be had as things are; one that is generated always can."""
        if isinstance(secret, GeneratedSecret):
            return True
        try:
            self.given(secret, "")
        except SecretError:
            return False
        return True


def _as_written(text: str) -> str:
    """What is in the environment is read by the locale: text in UTF-8 is the same under every one."""
    try:
        return os.fsencode(text).decode()
    except UnicodeError:
        return text


def _of_file(secret: FileSecret, owner: str, what: str = _PASSWORD) -> bytes:
    try:
        found = files.read_named(secret.path)
    except StoreError as error:
        raise SecretError(f"{owner}: its {what} cannot be read: {error}", hint=error.hint) from error
    if found is None:
        hint = (
            f"that file is missing: write the {what} into its first line, or use another source: {{env: NAME}} or "
            "{file: PATH}"
        )
        raise SecretError(f"{owner}: its {what} is not in {secret.path}", hint=hint)
    return _first_line(found.content, owner, str(secret.path), what)


def _first_line(content: bytes, owner: str, where: str, what: str = _PASSWORD) -> bytes:
    """Of a text in UTF-8, or in UTF-16 with its mark, as some editors and shells of Windows write it."""
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise SecretError(f"{owner}: {where} is not text in UTF-8", hint="save it as UTF-8") from error
    line = text.partition("\n")[0].removesuffix("\r")
    return _checked(line, owner, where, f"put the {what} into its first line", what)


def _checked(text: str, owner: str, where: str, hint: str, what: str) -> bytes:
    """A byte order mark (U+FEFF) is no part of a password; of control characters no two programs think alike."""
    password = text.removeprefix("\ufeff")
    if not password:
        raise SecretError(f"{owner}: its {what} is not in {where}", hint=hint)
    if any(unicodedata.category(character) == "Cc" for character in password):
        raise SecretError(f"{owner}: the {what} in {where} holds a control character", hint=f"choose another {what}")
    try:
        encoded = password.encode()
    except UnicodeEncodeError as error:  # how os.environ shows bytes that are no text
        raise SecretError(f"{owner}: {where} is not text in UTF-8", hint=hint) from error
    if what == _PASSWORD and len(encoded) > _MOST_OCTETS:
        long = f"{len(encoded):,} octets, and OpenSSL accepts at most {_MOST_OCTETS:,}"
        raise SecretError(f"{owner}: the password in {where} has {long}", hint="choose a shorter password")
    return encoded


def seen(secret: FileSecret) -> bytes | None:
    """The password in a person's file, where it can be had as things are; nobody is asked for it."""
    try:
        return _of_file(secret, "")
    except SecretError:
        return None


def kept(layout: Layout, path: str) -> bytes | None:
    """A password that was kept at `path`, or None where there is none yet. Raises SecretError, StoreError."""
    found = files.read(layout.at(path))
    return _first_line(found.content, path, layout.at(path)) if found is not None and found.content.strip() else None


def new(randomness: Randomness, whose: str) -> bytes:
    """A password that nobody has to type."""
    return base64.urlsafe_b64encode(randomness.octets(whose, "password", _RANDOM_OCTETS))
