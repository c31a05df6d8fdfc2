"""CAs of other people, made in every way that they are made in the field, and `openssl verify` as the judge."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from scaffold.errors import TopologyError
from scaffold.pki import bundles, der, profiles
from scaffold.pki import crl as crls
from scaffold.pki.issue import Issuer, issue
from scaffold.pki.randomness import OPERATING_SYSTEM
from scaffold.plan.model import Plan
from scaffold.topology import load
from tests.requirements import require_command
from tests.unit.conftest import Household

NOW = datetime.now(UTC).replace(microsecond=0)

TOPOLOGY = """
version: 1
name: bank
cas:
  partner: {existing: {certificate: ca.pem, key: ca.key%(brought)s}}
%(cas)s
servers:
  accounts: {template: %(server)s, issuer: %(issuer)s, listen: "127.0.0.1:8443", names: [%(names)s]%(check)s}
clients:
  teller: {template: %(client)s, issuer: %(issuer)s, calls: [accounts]%(teller)s}
"""

KEYS = {
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p224": lambda: ec.generate_private_key(ec.SECP224R1()),
    "p192": lambda: ec.generate_private_key(ec.SECP192R1()),
    "p521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "k1": lambda: ec.generate_private_key(ec.SECP256K1()),
    "brainpool": lambda: ec.generate_private_key(ec.BrainpoolP256R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "rsa-1024": lambda: rsa.generate_private_key(65537, 1024),
    "rsa-1960": lambda: rsa.generate_private_key(65537, 1960),
    "rsa-1964": lambda: rsa.generate_private_key(65537, 1964),
    "rsa-2047": lambda: rsa.generate_private_key(65537, 2047),
    "rsa-2048": lambda: rsa.generate_private_key(65537, 2048),
    "dsa-2048": lambda: dsa.generate_private_key(2048),
}


@lru_cache(maxsize=64)
def key(kind: str, index: int = 0):
    """A key; the same for the same words, as some take long to make."""
    return KEYS[kind]()


def name(text: str | x509.Name) -> x509.Name:
    return text if isinstance(text, x509.Name) else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


ALL_USAGES = ("key_cert_sign", "crl_sign")
_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def key_usage(*names: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{each: each in names for each in _USAGES})


@dataclass(frozen=True)
class Made:
    """A CA of somebody: its certificate and key."""

    certificate: x509.Certificate
    key: object

    @property
    def pem(self) -> bytes:
        return bundles.pem(self.certificate)


@dataclass(frozen=True)
class Spec:
    """What a CA's certificate says; the defaults are what RFC 5280 asks for."""

    subject: str | x509.Name = "Partner CA"
    kind: str = "p256"
    index: int = 0
    usages: tuple[str, ...] | None = ALL_USAGES
    constraints: tuple[bool, int | None, bool] | None = (True, None, True)
    purposes: tuple[x509.ObjectIdentifier, ...] = ()
    names: x509.NameConstraints | None = None
    identifiers: tuple[str, ...] = ("ski", "aki")
    more: tuple[tuple[x509.ExtensionType, bool], ...] = ()
    begins: timedelta = timedelta(days=-30)
    ends: timedelta = timedelta(days=3000)
    serial: int = 0x1234


def make(spec: Spec, issuer: Made | None = None) -> Made:
    own = key(spec.kind, spec.index)
    signer = issuer.key if issuer is not None else own
    subject = name(spec.subject)
    builder = x509.CertificateBuilder(
        issuer.certificate.subject if issuer is not None else subject,
        subject,
        own.public_key(),
        spec.serial,
        NOW + spec.begins,
        NOW + spec.ends,
    )
    if spec.constraints is not None:
        is_ca, length, critical = spec.constraints
        builder = builder.add_extension(x509.BasicConstraints(is_ca, length), critical)
    if spec.usages is not None:
        builder = builder.add_extension(key_usage(*spec.usages), True)
    if spec.purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage(spec.purposes), False)
    if spec.names is not None:
        builder = builder.add_extension(spec.names, True)
    if "ski" in spec.identifiers:
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(own.public_key()), False)
    if "aki" in spec.identifiers and issuer is not None:
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        builder = builder.add_extension(authority, False)
    for value, critical in spec.more:
        builder = builder.add_extension(value, critical)
    algorithm = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Made(builder.sign(signer, algorithm), own)


def made_by_openssl(
    folder: Path, subject: str, *options: str, issuer: Made | None = None, config: str = "", encoding: str = "ascii"
) -> Made:
    """A CA that the openssl command has made: for digests, versions and strings that cryptography does not write."""
    openssl = require_command("openssl")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "c.cnf").write_bytes(
        f"[req]\ndistinguished_name=dn\nx509_extensions=ext\nprompt=no\n{config}\n[dn]\nCN={subject}\n[ext]\n"
        "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n"
        f"{'authorityKeyIdentifier=keyid' if issuer else ''}\n".encode(encoding)
    )
    signer: list[str] = []
    if issuer is not None:
        (folder / "i.pem").write_bytes(issuer.pem)
        (folder / "i.key").write_bytes(key_pem(issuer))
        signer = ["-CA", "i.pem", "-CAkey", "i.key"]
    words = [openssl, "req", "-x509", "-config", "c.cnf", "-days", "3000", "-out", "c.pem", "-keyout", "c.key"]
    keys = [] if "-key" in options or "-newkey" in options else ["-newkey", "rsa:2048"]
    subprocess.run([*words, *keys, "-nodes", *signer, *options], cwd=folder, check=True, capture_output=True)
    certificate = x509.load_pem_x509_certificate((folder / "c.pem").read_bytes())
    file = folder / "c.key" if "-key" not in options else folder / options[options.index("-key") + 1]
    return Made(certificate, serialization.load_pem_private_key(file.read_bytes(), None))


def version_1(folder: Path) -> Made:
    """A root from before there were extensions."""
    openssl = require_command("openssl")
    folder.mkdir(parents=True)
    words = ["req", "-newkey", "rsa:2048", "-nodes", "-keyout", "c.key", "-out", "c.csr", "-subj", "/CN=Version 1"]
    subprocess.run([openssl, *words], cwd=folder, check=True, capture_output=True)
    words = ["x509", "-req", "-in", "c.csr", "-signkey", "c.key", "-out", "c.pem", "-days", "3000"]
    subprocess.run([openssl, *words], cwd=folder, check=True, capture_output=True)
    certificate = x509.load_pem_x509_certificate((folder / "c.pem").read_bytes())
    return Made(certificate, serialization.load_pem_private_key((folder / "c.key").read_bytes(), None))


def key_pem(made: Made, style: str = "PKCS8") -> bytes:
    return made.key.private_bytes(
        serialization.Encoding.PEM, getattr(serialization.PrivateFormat, style), serialization.NoEncryption()
    )


def crl(
    made: Made,
    number: int | None = 1,
    serials: Iterable[int] = (),
    *,
    begins: timedelta = timedelta(days=-1),
    ends: timedelta | None = timedelta(days=300),
    scope: x509.IssuingDistributionPoint | None = None,
    more: Sequence[tuple[x509.ExtensionType, bool]] = (),
    issuer: str | None = None,
) -> crls.Crl:
    """A CRL that a CA of somebody has signed."""
    builder = x509.CertificateRevocationListBuilder().issuer_name(
        name(issuer) if issuer is not None else made.certificate.subject
    )
    builder = builder.last_update(NOW + begins).next_update(NOW + (ends or timedelta(days=1)))
    if number is not None:
        builder = builder.add_extension(x509.CRLNumber(number), False)
    if scope is not None:
        builder = builder.add_extension(scope, True)
    for value, critical in more:
        builder = builder.add_extension(value, critical)
    for serial in serials:
        entry = x509.RevokedCertificateBuilder(serial, NOW - timedelta(days=2)).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(made.key, hashes.SHA256())


def without_end(made: Made) -> crls.Crl:
    """A CRL that has no nextUpdate, which neither cryptography nor OpenSSL writes."""
    listed = next(der.elements(crl(made).tbs_certlist_bytes))
    times = (0x17, 0x18)
    parts, seen = [], 0
    for each in der.elements(listed.content):
        seen += each.tag in times
        if each.tag not in times or seen == 1:
            parts.append(each.encoded)
    said = der.element(der.SEQUENCE, *parts)
    algorithm = parts[1]
    signature = der.element(0x03, b"\0" + made.key.sign(said, ec.ECDSA(hashes.SHA256())))
    return crls.load(der.element(der.SEQUENCE, said, algorithm, signature))


def scope(**words: object) -> x509.IssuingDistributionPoint:
    plain: dict[str, object] = {
        "full_name": None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return x509.IssuingDistributionPoint(**{**plain, **words})


@dataclass
class Adopting:
    """A household that adopts a CA of somebody's: what lies in its folder, and what its topology asks."""

    household: Household
    words: dict[str, str] = field(
        default_factory=lambda: {
            "brought": "",
            "cas": "",
            "server": "nginx",
            "client": "curl",
            "issuer": "partner",
            "names": "localhost",
            "check": "",
            "teller": "",
        }
    )

    def bring(
        self, made: Made, chain: Iterable[Made] = (), crl_files: Iterable[crls.Crl] = (), *, field: str = "crl"
    ) -> None:
        """Puts the files there. The chain and the CRLs (as `field`) are named only where there are any."""
        folder = self.household.folder
        (folder / "ca.pem").write_bytes(made.pem)
        (folder / "ca.key").write_bytes(key_pem(made))
        above, lists = list(chain), list(crl_files)
        brought = ""
        if above:
            (folder / "chain.pem").write_bytes(b"".join(each.pem for each in above))
            brought += ", chain: chain.pem"
        if lists:
            (folder / "ca.crl").write_bytes(b"".join(map(crls.to_pem, lists)))
            brought += f", {field}: ca.crl"
        self.words["brought"] = brought

    def ask(self, **words: str) -> None:
        self.words.update(words)

    def plan(self) -> Plan:
        self.write()
        return self.household.plan()

    def write(self) -> None:
        self.household.text = TOPOLOGY % self.words

    def refusal(self) -> TopologyError | None:
        """Why plan refuses it, with nothing written."""
        try:
            self.plan()
        except TopologyError as error:
            refused = error
        else:
            return None
        assert refused.place is not None
        assert refused.hint is not None
        assert not self.household.out.exists()
        return refused

    def notes(self) -> list[str]:
        return [str(note) for note in self.plan().notes]

    def apply(self) -> None:
        self.write()
        self.household.apply()
        assert self.plan().changes == ()

    def judged(self, *, strict: bool = False) -> list[str]:
        """What `openssl verify` has against the leaves that stand there, as those verify them who meet them."""
        out, found = self.household.out, []
        for leaf, purpose, verifier in (
            ("servers/accounts", "sslserver", "clients/teller"),
            ("clients/teller", "sslclient", "servers/accounts"),
        ):
            options = ["-x509_strict"] if strict else []
            anchors = (out / verifier / "tls/ca.pem").read_bytes()
            lists = out / verifier / "tls/crl.pem"
            if lists.exists():
                options += ["-crl_check_all"]
                anchors += lists.read_bytes()
            found += verified(
                self.household.folder, (out / leaf / "tls/cert.pem").read_bytes(), anchors, purpose, options
            )
        return found


def verified(folder: Path, chain: bytes, anchors: bytes, purpose: str, options: Sequence[str] = ()) -> list[str]:
    """The errors of `openssl verify` at the security level of TLS on Debian; none where it says OK."""
    openssl = require_command("openssl")
    (folder / "judged.pem").write_bytes(chain)
    (folder / "anchors.pem").write_bytes(anchors)
    words = ["-auth_level", "2", "-purpose", purpose, "-no-CApath", "-no-CAstore", "-CAfile", "anchors.pem"]
    done = subprocess.run(
        [openssl, "verify", *words, *options, "-untrusted", "judged.pem", "judged.pem"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return []
    return [f"{purpose}: {line}" for line in done.stderr.splitlines() if line.startswith("error ")] or [done.stderr]


def errors_of_openssl(
    adopting: Adopting, ca: Made, chain: list[Made], *options: str, lists: Sequence[crls.Crl] = ()
) -> list[str]:
    """What OpenSSL says of what would be issued, whatever our plan says: made by `scaffold.pki` alone."""
    t = load.loads((TOPOLOGY % adopting.words).encode(), adopting.household.folder / "topology.yaml")
    path, signer = [ca, *chain], Issuer(ca.certificate, ca.key)
    signed_here: list[crls.Crl] = []
    for ours in (c for c in t.cas.values() if c.existing is None):
        own = OPERATING_SYSTEM.key("", ours.key)
        dates = {
            "not_before": adopting.household.now - timedelta(days=1),
            "not_after": ca.certificate.not_valid_after_utc,
        }
        certificate = issue(profiles.for_ca(t, ours), own.public_key(), signer, serial=77, **dates)
        path, signer = [Made(certificate, own), *path], Issuer(certificate, own)
        signed_here.append(crls.build(signer, 1, dates["not_before"], dates["not_after"], []))
    found: list[str] = []
    for profile in (profiles.for_server(t, t.servers["accounts"]), profiles.for_client_side(t, t.clients["teller"])):
        dates = {
            "not_before": adopting.household.now - timedelta(days=1),
            "not_after": adopting.household.now + timedelta(days=30),
        }
        leaf = issue(profile, key("p256", 99).public_key(), signer, serial=78, **dates)
        *between, root = [each.certificate for each in path]
        text = bundles.chain_pem([leaf, *between])
        anchors = bundles.pem(root) + b"".join(map(crls.to_pem, [*lists, *signed_here]))
        found += verified(adopting.household.folder, text, anchors, f"ssl{profile.role}", options)
    return found
