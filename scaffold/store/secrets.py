"""Passwords: from the environment, from a file, or made once and kept in a file of their own."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field

from scaffold.errors import SecretError, StoreError
from scaffold.pki.randomness import Randomness
from scaffold.store import files
from scaffold.store.layout import Layout
from scaffold.topology.model import EnvSecret, FileSecret

_RANDOM_OCTETS = 24  # 192 bits, in 32 characters that no shell and no configuration file has a meaning for


@dataclass(frozen=True, slots=True)
class Secrets:
    """Where passwords come from. `environment` is `os.environ` where `cli` makes it; it is never shown."""

    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    def given(self, secret: EnvSecret | FileSecret, owner: str) -> bytes:
        """A password that a person provides for `owner`. Raises SecretError where it is not there or empty."""
        if isinstance(secret, EnvSecret):
            found = self.environment.get(secret.variable, "").encode()
            where, hint = (
                f"the environment variable {secret.variable}",
                f"set {secret.variable}, or name another source",
            )
        else:
            found = _first_line(secret, owner)
            where, hint = str(secret.path), "put the password into its first line"
        if not found:
            raise SecretError(f"{owner}: its password is not in {where}", hint=hint)
        return found


def _first_line(secret: FileSecret, owner: str) -> bytes:
    try:
        found = files.read(str(secret.path.resolve()))
    except StoreError as error:
        raise SecretError(f"{owner}: its password cannot be read: {error}", hint=error.hint) from error
    if found is None:
        raise SecretError(f"{owner}: its password is not in {secret.path}", hint="that file is not there")
    return found.content.partition(b"\n")[0].rstrip(b"\r")


def kept(layout: Layout, path: str) -> bytes | None:
    """A generated password that was kept at `path`, or None where there is none yet."""
    found = files.read(layout.at(path))
    return found.content.strip() or None if found is not None else None


def new(randomness: Randomness, whose: str) -> bytes:
    """A password that nobody has to type."""
    return base64.urlsafe_b64encode(randomness.octets(whose, "password", _RANDOM_OCTETS))
