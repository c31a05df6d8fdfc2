"""Where everything is in the output folder: names only, nothing is read or written here.

Paths are strings relative to the output folder, with `/`: that is how plans, records and views name files. `Layout.at`
turns one into a path of this machine.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from scaffold.topology.address import Role
from scaffold.topology.generations import FIRST

FOLDERS: Final = {Role.CA: "pki", Role.SERVER: "servers", Role.CLIENT: "clients"}
"""The folder of each sort of entity."""

RECORDS: Final = ".scaffold"
LEDGER: Final = ".scaffold/ledger.jsonl"
ARCHIVE: Final = ".scaffold/ledger.archive.jsonl"
PROJECTS: Final = ".scaffold/projects.jsonl"
BASES: Final = ".scaffold/bases"
EXAMINED: Final = ".scaffold/examined.json"
EXAMINED_KEY: Final = ".scaffold/examined.key"
LOCK: Final = ".scaffold/lock"
VERIFIED: Final = ".scaffold/verify.json"
HOLDER: Final = ".scaffold/lock.json"
GITIGNORE: Final = ".gitignore"
GITATTRIBUTES: Final = ".gitattributes"


@dataclass(frozen=True, slots=True)
class CaPaths:
    """The files of one CA. `chain` is its certificate, then its issuers' up to and including the root."""

    folder: str
    certificate: str
    der: str
    key: str
    key_password: str
    chain: str
    crl: str
    ignore: str


@dataclass(frozen=True, slots=True)
class CertificatePaths:
    """A leaf, followed by its intermediates without the root, and its key."""

    certificate: str
    key: str


@dataclass(frozen=True, slots=True)
class PartyPaths:
    """The files of a server or client under its own folder, which is copied to its host whole."""

    folder: str
    tls: str
    own: CertificatePaths
    client_side: CertificatePaths
    trust: str
    intermediates: str
    crl: str
    staple: str
    client_trust: str
    bundle: str
    bundle_password: str
    ignore: str
    run: str
    app: str

    @property
    def fixed_trust(self) -> tuple[str, ...]:
        """What may be in `tls/` whatever the kind renders, apart from keys, certificates and the bundle."""
        return (self.trust, self.intermediates, self.crl, self.staple, self.client_trust)

    def is_in_tls(self, path: str) -> bool:
        """Whether a file of the output folder is in `tls/`."""
        return path.startswith(f"{self.tls}/")


def ca_paths(name: str, generation: int | None = None) -> CaPaths:
    """The files of a generation of the CA `name`; None is the first, whose files never move."""
    folder = f"pki/{name}" if generation in (None, FIRST) else f"pki/{name}/{generation}"
    return CaPaths(
        folder=folder,
        certificate=f"{folder}/ca.crt",
        der=f"{folder}/ca.cer",
        key=f"{folder}/ca.key",
        key_password=f"{folder}/key-password",
        chain=f"{folder}/chain.pem",
        crl=f"{folder}/crl.pem",
        ignore=f"{folder}/{GITIGNORE}",
    )


def party_paths(role: Role, name: str) -> PartyPaths:
    """The files of the server or client `name`."""
    folder = f"{FOLDERS[role]}/{name}"
    tls = f"{folder}/tls"
    return PartyPaths(
        folder=folder,
        tls=tls,
        own=CertificatePaths(f"{tls}/cert.pem", f"{tls}/key.pem"),
        client_side=CertificatePaths(f"{tls}/client-cert.pem", f"{tls}/client-key.pem"),
        trust=f"{tls}/ca.pem",
        intermediates=f"{tls}/intermediates.pem",
        crl=f"{tls}/crl.pem",
        staple=f"{tls}/staple.der",
        client_trust=f"{tls}/client-ca.pem",
        bundle=f"{tls}/bundle.pfx",
        bundle_password=f"{tls}/pfx-password",
        ignore=f"{tls}/{GITIGNORE}",
        run=f"{folder}/run.sh",
        app=f"{folder}/app",
    )


@dataclass(frozen=True)
class Layout:
    """The output folder of one topology."""

    out: Path

    @cached_property
    def _prefix(self) -> str:
        return os.path.join(os.path.abspath(self.out), "")  # noqa: PTH100, PTH118 (a plan joins tens of thousands)

    def at(self, relative: str) -> str:
        """The path of `relative` on this machine."""
        return self._prefix + relative

    def path(self, relative: str) -> Path:
        """The same as a `Path`."""
        return Path(self.at(relative))
