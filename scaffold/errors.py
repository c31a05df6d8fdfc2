"""Every error a user can meet: what is wrong, where it is, and what to do about it.

    ScaffoldError
    ├── TopologyError            the YAML says something that cannot be
    │   ├── EntityError          of one server or client
    │   └── TopologyErrors       it says several such things
    ├── SecretError              a password that is asked for is not there
    ├── PkiError                 a key, certificate, CRL or bundle cannot be used
    │   ├── KeyNotHere           the private key of a CA is not at hand
    │   ├── Unreadable           the bytes are not what they should be
    │   └── WrongPassword        the bytes are encrypted and the password does not open them
    ├── KindError                a template folder is missing, malformed or cannot be rendered
    ├── StoreError               the output folder cannot be read or written
    │   └── Locked               another apply holds the lock
    ├── PlanError                the plan cannot be made, read, or is not that of today's world
    │   ├── Overtaken            the folder has changed between the plan and its execution
    │   └── AddressError         a text that is no address, such as `server.accounts.certificate`
    ├── PublishError             CRLs, OCSP and CA certificates cannot be served
    │   └── AddressTaken         the address is not free
    ├── TrustError               a store of trusted roots cannot be read or changed as it must be
    ├── VerifyError              a probe could not even be tried
    │   ├── PortTaken            nobody can listen where a server is to
    │   └── NotStarted           a server, or the app behind it, does not run
    └── NotInstalled             an optional part of this package is not installed

`cli` prints `str(error)` and exits 1; a traceback that reaches a user is a defect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """A position in a YAML file: line and column count from 1; `text` is the line itself, without its line break."""

    file: str
    line: int
    column: int
    text: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class ScaffoldError(Exception):
    """The root of the tree: a message in one sentence, and optionally a place in the YAML and a hint."""

    def __init__(self, message: str, *, place: Place | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.place = place
        self.hint = hint
        if hint is not None:
            self.add_note(f"hint: {hint}")  # which a traceback shows, as pytest's does

    def __str__(self) -> str:
        return self.message


class TopologyError(ScaffoldError):
    """The topology asks for something that cannot be."""

    @property
    def words(self) -> str:
        """The message, for where it is said already which server or client it is about."""
        return self.message


class EntityError(TopologyError):
    """It asks for something of a server or client that cannot be: `words` begin with neither its role nor its name."""

    def __init__(self, entity: str, words: str, *, place: Place | None = None, hint: str | None = None) -> None:
        super().__init__(f"{entity}: {words}", place=place, hint=hint)
        self._words = words

    @property
    def words(self) -> str:
        return self._words


class TopologyErrors(TopologyError):
    """Several mistakes in one topology. `errors` has at least two, in the order of the file.

    Whoever looks at one error alone sees the first.
    """

    def __init__(self, errors: Sequence[ScaffoldError]) -> None:
        first = errors[0]
        super().__init__(first.message, place=first.place, hint=first.hint)
        self.errors = tuple(errors)


class SecretError(ScaffoldError):
    """A password that an action needs cannot be had."""


class PkiError(ScaffoldError):
    """A key, certificate, CRL or bundle cannot be used."""


class KeyNotHere(PkiError):
    """The private key of a CA is not on this machine, or not where it should be."""


class Unreadable(PkiError):
    """The bytes are not a key, certificate, CRL or bundle of the kind that was expected."""


class WrongPassword(PkiError):
    """The bytes are encrypted, and the password is missing or does not open them."""


class KindError(ScaffoldError):
    """A template folder is missing, malformed, or cannot be rendered."""


class StoreError(ScaffoldError):
    """The output folder cannot be read or written as it must be."""


class Locked(StoreError):
    """Another apply holds the lock of the output folder."""


class PlanError(ScaffoldError):
    """A plan cannot be made, cannot be read, or was made for a world that has moved on."""


class Overtaken(PlanError):
    """The output folder, or what the plan was made from, has changed since.

    `path` is a file in that folder that somebody else has changed, `source` names what else has.
    """

    def __init__(
        self, message: str, *, path: str | None = None, source: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.path = path
        self.source = source


class AddressError(PlanError):
    """A text does not name a CA, server or client, nor a part of one."""


class PublishError(ScaffoldError):
    """CRLs, OCSP and CA certificates cannot be served where they should be."""


class AddressTaken(PublishError):
    """The address cannot be listened on: most often because somebody else does."""


class TrustError(ScaffoldError):
    """A root does not belong into a store of trusted roots, or the store cannot be read or changed as it must be."""


class VerifyError(ScaffoldError):
    """A probe could not even be tried."""


class PortTaken(VerifyError):
    """Nobody can listen where a server is to, whatever its files say."""


class NotStarted(VerifyError):
    """A server, or the app behind it, does not start, does not become ready, or has ended."""


class NotInstalled(ScaffoldError):
    """What is asked for needs an extra of this package that is not installed."""
