"""What need not be worked out again: a leaf that was in order, and what a project is rendered from.

What the checks of a certificate read is named byte for byte: the files of the certificate and its key, what is wanted,
the issuer and what is sent behind the leaf. The clock decides by two moments that are worked out when it is examined,
and what the ledger says is asked each time. So an answer is the same with a memo or without one.

CAs are examined always, and so is what is broken on purpose, over the key of a request, or changed by what a person
asks for.

The settings of a project are derived from the topology, its kinds and the facts about its CAs, and from nothing else:
while those are the same, so is what the project is rendered from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from scaffold.kinds.catalogue import Kind
from scaffold.pki.issue import BACKDATE
from scaffold.pki.profiles import VERBATIM
from scaffold.plan import own_text
from scaffold.plan.authorities import Authorities, Generation
from scaffold.plan.checks import Examined
from scaffold.plan.desired import IssuedCertificate, RootCertificate
from scaffold.plan.trust_files import Project
from scaffold.plan.unknown import Unknown
from scaffold.store.examined import Entry, Examination, Remembered
from scaffold.store.files import Found
from scaffold.store.ledger import Ledger
from scaffold.store.observation import Observation
from scaffold.topology.address import Address
from scaffold.topology.model import Topology


@dataclass(slots=True)
class Memo:
    """Of one plan: what is remembered when it begins, and of that what holds; and what it has examined itself.

    Without anything to remember, not even an empty record, nothing is taken for granted and nothing kept.
    """

    remembered: Remembered | None
    ledger: Ledger
    now: datetime
    held: dict[str, Entry] = field(default_factory=dict)
    examined: dict[str, Examination] = field(default_factory=dict)
    source: bytes | None = None
    """Of what all settings are derived, once that is known."""
    inputs: dict[str, str] = field(default_factory=dict)
    """Of the projects that are as derived, by the address of a server or client."""
    _derived: Mapping[str, str] = field(default_factory=dict)

    def derive_from(self, source: bytes | None) -> None:
        """From here on settings are derived from `source`: what is remembered of another one does not count."""
        self.source = source
        if self.remembered is not None and source is not None and self.remembered.is_derived_from(source):
            self._derived = self.remembered.derivation.inputs

    def is_rendered_from(self, source: Project, recorded: str | None) -> bool:
        """Whether the inputs that are recorded of a project are those of `source`."""
        address = str(source.party.address)
        if recorded is None or (self._derived.get(address) != recorded and recorded != source.inputs):
            return False
        self.inputs[address] = recorded
        return True

    def is_in_order(
        self, asked: IssuedCertificate, issuer: Generation, behind: bytes | Unknown, observed: Observation
    ) -> bool:
        """Whether `asked` was examined as it is there, and an examination would find nothing again.

        `behind` is what is sent after it. Raises StoreError for what cannot be read.
        """
        entry = self._entry(asked)
        if self.remembered is None or entry is None or isinstance(behind, Unknown) or not _is_lasting(asked, issuer):
            return False
        certificate, key = observed.file(asked.paths.certificate), observed.key_file(asked.paths.key)
        if certificate is None or key is None:
            return False
        signer = _signer(self.ledger, entry.fingerprint)
        if not self.remembered.holds(entry, _content(asked, certificate.content, key, issuer, behind, signer)):
            return False
        self.held[str(asked.address)] = entry
        return True

    def _entry(self, asked: IssuedCertificate) -> Entry | None:
        """What is remembered of `asked`, if that counts today and no revocation has come since."""
        entry = self.remembered.entries.get(str(asked.address)) if self.remembered is not None else None
        if entry is None or not entry.begins <= self.now.timestamp() < entry.ends:
            return None
        if entry.fingerprint not in self.ledger.issued:
            return None
        revoked = (asked.ca, entry.serial) in self.ledger.revoked or self.ledger.withdrawn(asked.address) is not None
        return None if revoked or self._is_compromised(entry) else entry

    def _is_compromised(self, entry: Entry) -> bool:
        """Whether somebody else may have the key: another certificate over it was revoked for that."""
        issued = self.ledger.issued.get(entry.fingerprint)
        return issued is not None and (issued.address, issued.key) in self.ledger.compromised_keys

    def take(self, one: Examined, behind: bytes | Unknown, observed: Observation) -> None:
        """Keeps a leaf that was found in order."""
        key = observed.key_file(one.desired.paths.key) if self.remembered is not None else None
        if key is not None and (found := examination(one, behind, key)) is not None:
            self.examined[str(one.desired.address)] = found


def source_of(t: Topology, kinds: Mapping[Address, Kind], authorities: Authorities) -> bytes | None:
    """The digest of all that settings are derived from; None where a key is not made yet, or no text is known.

    `t` must be as its text says: what is altered after it was read is not in there.
    """
    facts, *others = authorities.facts
    if others or not t.text:
        return None
    # Values of plain types print alike exactly when they are alike.
    parts = (own_text.digest(), t.text, "".join(kind.digest for kind in kinds.values()).encode(), repr(facts).encode())
    return _digest(parts)


def examination(one: Examined, behind: bytes | Unknown, key: Found) -> Examination | None:
    """What may be remembered of a leaf that is in order, with its `key` and what is sent after it.

    Begins and ends are those of the checks of its life: from then on it is valid and not too long, until it is due.
    """
    asked, issuer, certificate = one.desired, one.issuer, one.real
    if isinstance(asked, RootCertificate) or issuer is None or isinstance(behind, Unknown):
        return None
    if one.asked_for or not _is_lasting(asked, issuer):
        return None
    signer, ends = _signer(one.ledger, one.fingerprint), certificate.not_valid_after_utc
    begins = max(certificate.not_valid_before_utc, ends - asked.lifetime - BACKDATE)
    return Examination(
        _content(asked, one.certificate.content, key, issuer, behind, signer),
        f"{certificate.serial_number:x}",
        one.fingerprint,
        begins.timestamp(),
        (ends - asked.window).timestamp(),
    )


def _signer(ledger: Ledger, fingerprint: str) -> str:
    """The key that has signed a certificate, as far as the ledger knows it."""
    recorded = ledger.issued.get(fingerprint)
    return "" if recorded is None else recorded.issuer_key


def _is_lasting(asked: IssuedCertificate, issuer: Generation) -> bool:
    """Whether what is found of `asked` depends on nothing but content, the ledger and the clock."""
    return asked.fault is None and not asked.on_request and not issuer.new_key


def _content(
    asked: IssuedCertificate, certificate: bytes, key: Found, issuer: Generation, behind: bytes, signer: str
) -> bytes:
    """The digest of all that the checks of a leaf read, apart from the clock and the ledger's revocations."""
    latitude = "" if asked.latitude is VERBATIM else repr(asked.latitude)
    address, paths, kind = str(asked.address), asked.paths, asked.key.value
    life, window, profile = asked.lifetime, asked.window, asked.profile
    # Values of plain types print alike exactly when they are alike.
    wanted = (
        address, paths.certificate, paths.key, asked.issuer, kind, life, window, profile, latitude, key.mode, signer,
        asked.key_mode,
    )  # fmt: skip
    parts = (own_text.digest(), repr(wanted).encode(), certificate, key.content, issuer.digest, behind)
    return _digest(parts)


def _digest(parts: tuple[bytes, ...]) -> bytes:
    lengths = " ".join([str(len(part)) for part in parts]).encode()
    return hashlib.sha256(b"\0".join((lengths, *parts))).digest()
