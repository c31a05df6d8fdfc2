"""A CA of somebody else's, and what it issues to servers and clients: files as they come from elsewhere."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.now(UTC).replace(microsecond=0)
SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH

_SERIALS = itertools.count(4_096)


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


@dataclass
class Issued:
    """A certificate with its key, and what stands above it without the root."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    above: list[x509.Certificate]

    def key_pem(
        self,
        form: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8,
        password: bytes | None = None,
    ) -> bytes:
        sealed = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        return self.key.private_bytes(serialization.Encoding.PEM, form, sealed)

    def full_chain(self) -> bytes:
        return pem([self.certificate, *self.above])


@dataclass
class Elsewhere:
    """A root and an intermediate below it."""

    called: str = "Public"
    by_the_letter: bool = True
    """Whether its CAs say what they may sign (RFC 5280 4.2.1.3 asks for it)."""
    more: Sequence[tuple[x509.ExtensionType, bool]] = ()
    """What its CAs say besides, and whether that is critical."""
    ends: timedelta = timedelta(days=3_650)
    root_key: ec.EllipticCurvePrivateKey = field(default_factory=new_key)
    key: ec.EllipticCurvePrivateKey = field(default_factory=new_key)

    def __post_init__(self) -> None:
        self.root = self._ca(f"{self.called} Root", self.root_key, f"{self.called} Root", self.root_key)
        self.intermediate = self._ca(f"{self.called} R1", self.key, f"{self.called} Root", self.root_key)

    def _ca(self, subject: str, key: ec.EllipticCurvePrivateKey, issuer: str, signer: ec.EllipticCurvePrivateKey):
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = self._builder(name(subject), key, name(issuer), signer, timedelta(days=-1), self.ends)
        builder = builder.add_extension(x509.BasicConstraints(True, None), True)
        for extension, critical in self.more:
            builder = builder.add_extension(extension, critical)
        return self._signed(builder.add_extension(usage, True) if self.by_the_letter else builder, signer)

    def _builder(self, subject, key, issuer, signer, begins, ends):
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(next(_SERIALS))
            .not_valid_before(NOW + begins)
            .not_valid_after(NOW + ends)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False)
        )

    @staticmethod
    def _signed(builder, signer):
        return builder.sign(signer, hashes.SHA256())

    def issue(
        self,
        *names: x509.GeneralName | str,
        purposes: Sequence[x509.ObjectIdentifier] = (SERVER, CLIENT),
        begins: timedelta = timedelta(hours=-1),
        ends: timedelta = timedelta(days=90),
        key: ec.EllipticCurvePrivateKey | None = None,
        subject: x509.Name | None = None,
        is_ca: bool = False,
        more: Sequence[tuple[x509.ExtensionType, bool]] = (),
    ) -> Issued:
        """A leaf as a public CA makes it: both purposes, a policy, pointers, and nothing that was asked for."""
        key = key or new_key()
        builder = self._builder(
            subject or name("leaf"), key, self.intermediate.subject, self.key, begins, ends
        ).add_extension(x509.BasicConstraints(is_ca, None), True)
        if names:
            sans = [x509.DNSName(each) if isinstance(each, str) else each for each in names]
            builder = builder.add_extension(x509.SubjectAlternativeName(sans), False)
        if purposes:
            builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), False)
        for extension, critical in more:
            builder = builder.add_extension(extension, critical)
        policy = x509.PolicyInformation(x509.ObjectIdentifier("2.23.140.1.2.1"), None)
        builder = builder.add_extension(x509.CertificatePolicies([policy]), False)
        return Issued(self._signed(builder, self.key), key, [self.intermediate])


def pem(certificates: Sequence[x509.Certificate]) -> bytes:
    return b"".join(each.public_bytes(serialization.Encoding.PEM) for each in certificates)


@dataclass(frozen=True)
class Source:
    """The folder that a client of a CA keeps its files in."""

    folder: Path
    ca: Elsewhere

    def put(self, issued: Issued, key: bytes | None = None) -> None:
        self.folder.mkdir(exist_ok=True)
        (self.folder / "fullchain.pem").write_bytes(issued.full_chain())
        (self.folder / "privkey.pem").write_bytes(issued.key_pem() if key is None else key)
        (self.folder / "privkey.pem").chmod(0o600)
        (self.folder / "roots.pem").write_bytes(pem([self.ca.root]))
