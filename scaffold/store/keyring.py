"""The private keys of CAs: where each lies, which password opens it, and whether it is its certificate's.

What was opened is kept: an encrypted key takes a while to open, on purpose.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass

from cryptography import x509

from scaffold.errors import KeyNotHere, PkiError, SecretError, Unreadable, WrongPassword
from scaffold.pki import keys
from scaffold.pki.issue import Issuer
from scaffold.pki.keys import PrivateKey
from scaffold.pki.randomness import Randomness
from scaffold.store import files, secrets
from scaffold.store.layout import Layout, ca_paths
from scaffold.store.secrets import Secrets
from scaffold.topology.address import Address
from scaffold.topology.model import Ca, EnvSecret, FileSecret, GeneratedSecret, Topology


@dataclass(frozen=True, slots=True)
class KeyFile:
    """Where the key of a CA lies: its path on this machine, and how people are told of it."""

    path: str
    shown: str


def key_file(ca: Ca, layout: Layout, generation: int | None = None) -> KeyFile | None:
    """The file of the key of a CA's generation; None where the CA was adopted without it."""
    if ca.existing is None:
        path = ca_paths(ca.name, generation).key
        return KeyFile(layout.at(path), path)
    if ca.existing.key is None:
        return None
    path = os.path.realpath(ca.existing.key)
    return KeyFile(path, path)


class Keyring:
    """Opens the keys of a topology's CAs. May be used by several threads.

    Without `secrets` no password is looked for, and a key that one guards stays closed: a process that answers the
    network has no business with passwords.
    """

    def __init__(self, t: Topology, layout: Layout, secrets: Secrets | None) -> None:
        self._t = t
        self._layout = layout
        self._secrets = secrets
        self._lock = threading.RLock()
        self._keys: dict[Address, PrivateKey] = {}
        self._issuers: dict[Address, Issuer] = {}
        self._passwords: dict[Address, bytes] = {}

    def issuer(self, ca: Address, certificate: x509.Certificate) -> Issuer:
        """A generation of a CA with its key, which must be that of `certificate`.

        Raises KeyNotHere, SecretError where its password cannot be had, WrongPassword, Unreadable, PkiError where the
        key is another's, StoreError where the file may not be read.
        """
        with self._lock:
            known = self._issuers.get(ca)
            if known is not None and known.certificate == certificate:
                return known
            issuer = Issuer(certificate, self.key(ca))
            try:
                issuer.check()
            except PkiError as error:
                raise PkiError(error.message, hint="see `scaffold plan`") from error
            self._issuers[ca] = issuer
            return issuer

    def key(self, ca: Address) -> PrivateKey:
        """Its key, whatever its certificate is. Raises as `issuer` does."""
        with self._lock:
            if ca not in self._keys:
                self._keys[ca] = self._opened(ca)
            return self._keys[ca]

    def unlock(self, ca: Address) -> None:
        """Opens its key if a password guards it: what is tried first does not fail half-way.

        A key that is not there is nobody's concern yet. Raises as `issuer` does.
        """
        if (found := _content(self._file(ca))) is not None and keys.is_encrypted(found):
            self.key(ca)

    def install(self, ca: Address, key: PrivateKey) -> None:
        """From now on it has this key."""
        with self._lock:
            self._keys[ca] = key
            self._issuers.pop(ca, None)

    def password_to_write(self, ca: Address, randomness: Randomness) -> bytes | None:
        """The password under which its key is written; None where the topology wants none.

        A generated one is that which was kept, or else made now. Raises SecretError, StoreError.
        """
        if self._t.cas[ca.name].key_password is None:
            return None
        with self._lock:
            if ca not in self._passwords:
                self._passwords[ca] = self._found(ca) or secrets.new(randomness, str(ca))
            return self._passwords[ca]

    def _file(self, ca: Address) -> KeyFile | None:
        return key_file(self._t.cas[ca.name], self._layout, ca.generation)

    def _opened(self, ca: Address) -> PrivateKey:
        file = self._file(ca)
        content = _content(file)
        if file is None:
            raise KeyNotHere("its key is not in the topology", hint="give its key under `existing:`")
        if content is None:
            raise KeyNotHere(f"{file.shown} is not there", hint="restore it from a backup")
        try:
            return keys.load(content, self._password(ca, file) if keys.is_encrypted(content) else None)
        except Unreadable as error:
            raise Unreadable(f"{file.shown} is {error}", hint="restore it from a backup") from error
        except WrongPassword as error:
            raise WrongPassword(f"{file.shown}: {error}", hint=error.hint or self._hint(ca)) from error

    def _password(self, ca: Address, file: KeyFile) -> bytes | None:
        """The password of a key that is encrypted; None where none is looked for. Raises SecretError, WrongPassword."""
        if self._secrets is None:
            return None
        if self._t.cas[ca.name].key_password is None:
            hint = f"give {ca.entity} its `key_password` again, or decrypt {file.shown} with `openssl pkey`"
            raise WrongPassword("it is encrypted, and the topology names no password", hint=hint)
        if (password := self._found(ca)) is not None:
            return password
        raise SecretError(
            f"{ca}: its password is not in {ca_paths(ca.name, ca.generation).key_password}",
            hint="restore that file from a backup: nothing else opens the key",
        )

    def _found(self, ca: Address) -> bytes | None:
        """The password that is there; None where it is generated and none was kept."""
        match self._t.cas[ca.name].key_password:
            case EnvSecret() | FileSecret() as secret:
                return (self._secrets or Secrets()).given(secret, str(ca))
            case GeneratedSecret():
                return secrets.kept(self._layout, ca_paths(ca.name, ca.generation).key_password)
            case None:
                return None

    def _hint(self, ca: Address) -> str | None:
        match self._t.cas[ca.name].key_password:
            case EnvSecret(variable):
                return f"{variable} must hold the password of the key"
            case FileSecret(path):
                return f"the first line of {path} must be the password of the key"
            case GeneratedSecret():
                return f"restore {ca_paths(ca.name, ca.generation).key_password} from a backup"
            case None:
                return None


def _content(file: KeyFile | None) -> bytes | None:
    found = files.read(file.path) if file is not None else None
    return None if found is None else found.content
