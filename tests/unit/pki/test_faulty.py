"""Each fault is the one thing that is wrong: OpenSSL says which, or a parser does, and nothing else is the matter."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from scaffold.errors import PkiError
from scaffold.pki import broken, bundles, faulty, keys
from scaffold.pki.der import elements
from scaffold.pki.derived import Derived
from scaffold.pki.faulty import Faulty, Lineage
from scaffold.pki.issue import BACKDATE, Issuer, issue, self_signed
from scaffold.pki.keys import spki
from scaffold.pki.profiles import CertificateProfile, differences
from scaffold.pki.randomness import OPERATING_SYSTEM
from scaffold.topology.faults import ABOUT, OWN_CHAIN, AnyFault
from scaffold.topology.model import Fault, FileFault, KeyType, San, SanType, Subject
from tests.fresh import new_key, new_serial
from tests.requirements import require_command

NOW = datetime.now(UTC).replace(microsecond=0)
YEAR = timedelta(days=365)

SERVER = CertificateProfile(
    Subject("api server"), "server", (San(SanType.DNS, "api.example"), San(SanType.URI, "spiffe://lab/server/api"))
)
CLIENT = CertificateProfile(Subject("web client"), "client", (San(SanType.URI, "spiffe://lab/client/web"),))

NO_CA = {(79, 1), (26, 1), (32, 1), (82, 1), (25, 2)}
"""All of them say that what stands above is no CA: not by its constraints, nor its usage, nor its purpose."""

SAYS: dict[AnyFault, set[tuple[int, int]]] = {
    Fault.EXPIRED: {(10, 0)},
    Fault.NOT_YET_VALID: {(9, 0)},
    Fault.WRONG_CA: {(20, 0)},
    Fault.SELF_SIGNED: {(18, 0)},
    Fault.WRONG_EKU: {(26, 0)},
    Fault.UNKNOWN_CRITICAL: {(34, 0)},
    Fault.UNKNOWN_CA: {(20, 0)},
    Fault.ISSUED_BY_LEAF: NO_CA,
    Fault.EXPIRED_INTERMEDIATE: {(10, 1)},
    Fault.MISSING_INTERMEDIATE: {(20, 0)},
    Fault.ISSUER_NOT_A_CA: NO_CA,
    Fault.PATH_LENGTH: {(25, 2)},
    Fault.NAME_CONSTRAINTS: {(47, 0)},
    FileFault.WEAK_KEY: {(66, 0)},
    FileFault.SHA1_SIGNATURE: {(68, 0)},
}
"""The errors of OpenSSL at security level 2, each with its depth (openssl-verification-options(1)).

What is not here the verification of a chain lets pass: names, an absent purpose, and what takes a second look.
"""


def ca(name: str, parent: Issuer | None, path_length: int | None = None) -> Issuer:
    key = new_key(KeyType.EC_P256)
    profile = CertificateProfile(Subject(name), "ca", path_length=path_length)
    begins, ends = NOW - BACKDATE, NOW + 10 * YEAR
    serial = new_serial()
    if parent is None:
        return Issuer(self_signed(profile, key, serial=serial, not_before=begins, not_after=ends), key)
    made = issue(profile, key.public_key(), parent, serial=serial, not_before=begins, not_after=ends)
    return Issuer(made, key)


ROOT = ca("Root", None)
UPPER = ca("Upper", ROOT)
LOWER = ca("Lower", UPPER, 0)
ISSUING = ca("Issuing", ROOT, 0)
OTHER = ca("Other root", None)
LINEAGES = {
    "below an issuing CA": Lineage(ISSUING, (ISSUING.certificate,), ROOT, OTHER),
    "below the root": Lineage(ROOT, (), None, OTHER),
    "below two CAs": Lineage(LOWER, (LOWER.certificate, UPPER.certificate), UPPER, OTHER),
}

LINEAGE = LINEAGES["below an issuing CA"]


def made(fault: AnyFault, lineage: Lineage, profile: CertificateProfile = SERVER) -> Faulty:
    own = issue(
        profile,
        new_key(KeyType.EC_P256).public_key(),
        lineage.issuer,
        serial=new_serial(),
        not_before=NOW - BACKDATE,
        not_after=NOW + YEAR,
    )
    return faulty.make(
        profile,
        lineage,
        fault,
        whose="broken",
        lifetime=YEAR,
        now=NOW,
        randomness=OPERATING_SYSTEM,
        own=own,
    )


def errors(folder: Path, one: Faulty, profile: CertificateProfile, *roots: x509.Certificate) -> set[tuple[int, int]]:
    """The numbers and depths of all that `openssl verify` finds."""
    (folder / "leaf.pem").write_bytes(bundles.pem(one.certificate))
    (folder / "chain.pem").write_bytes(bundles.chain_pem(one.chain) or bundles.pem(ROOT.certificate))
    (folder / "roots.pem").write_bytes(bundles.chain_pem(roots))
    done = subprocess.run(
        ["openssl", "verify", "-x509_strict", "-auth_level", "2", "-purpose", f"ssl{profile.role}",
         "-attime", f"{NOW.timestamp():.0f}", "-no-CApath", "-CAfile", "roots.pem", "-untrusted", "chain.pem",
         "leaf.pem"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = {(int(number), int(depth)) for number, depth in re.findall(r"error (\d+) at (\d+) depth", done.stderr)}
    assert (done.returncode == 0) is (not found), done.stderr
    return found


CASES = [
    pytest.param(fault, lineage, profile, id=f"{fault} {name} {profile.role}")
    for fault in ABOUT
    for name, lineage in LINEAGES.items()
    for profile in (SERVER, CLIENT)
]


@pytest.mark.parametrize(("fault", "lineage", "profile"), CASES)
def test_openssl_says_what_is_wrong_and_nothing_else(
    tmp_path: Path, fault: AnyFault, lineage: Lineage, profile: CertificateProfile
) -> None:
    require_command("openssl")
    one = made(fault, lineage, profile)
    found = errors(tmp_path, one, profile, ROOT.certificate, OTHER.certificate)
    expected = SAYS.get(fault, set())
    assert found == expected if expected is not NO_CA else (79, 1) in found <= NO_CA


@pytest.mark.parametrize("profile", [SERVER, CLIENT], ids=["server", "client"])
@pytest.mark.parametrize("lineage", LINEAGES.values(), ids=LINEAGES)
@pytest.mark.parametrize(
    "fault", [Fault.EXPIRED_INTERMEDIATE, Fault.ISSUER_NOT_A_CA, Fault.PATH_LENGTH, Fault.NAME_CONSTRAINTS]
)
def test_the_certificate_below_a_faulty_chain_is_sound(
    tmp_path: Path, fault: Fault, lineage: Lineage, profile: CertificateProfile
) -> None:
    """Where the CA above it is trusted as it is, nothing is wrong."""
    require_command("openssl")
    one = made(fault, lineage, profile)
    anchor = one.chain[0]
    (tmp_path / "leaf.pem").write_bytes(bundles.pem(one.certificate))
    (tmp_path / "anchor.pem").write_bytes(bundles.pem(anchor))
    if fault in (Fault.NAME_CONSTRAINTS, Fault.ISSUER_NOT_A_CA):
        assert one.certificate.issuer == anchor.subject
        assert differences(replace(profile, crl_url=None), one.certificate) == []
        return
    at = f"{(NOW - timedelta(minutes=2)).timestamp():.0f}"
    done = subprocess.run(
        ["openssl", "verify", "-partial_chain", "-purpose", f"ssl{profile.role}", "-attime", at,
         "-no-CApath", "-trusted", "anchor.pem", "leaf.pem"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("fault", ABOUT)
@pytest.mark.parametrize("lineage", LINEAGES.values(), ids=LINEAGES)
def test_the_key_is_that_of_the_certificate_unless_that_is_the_fault(fault: AnyFault, lineage: Lineage) -> None:
    one = made(fault, lineage)
    assert (spki(one.certificate) == spki(one.key.public_key())) is (fault is not FileFault.KEY_MISMATCH)


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("lineage", LINEAGES.values(), ids=LINEAGES)
def test_what_is_made_shows_the_fault_and_what_is_sound_does_not(fault: Fault, lineage: Lineage) -> None:
    one = made(fault, lineage)
    profile, issuer = replace(SERVER, fault=fault), lineage.issuer.certificate
    later = NOW + timedelta(seconds=1)
    assert broken.shows(profile, one.certificate, issuer, later, one.chain)
    sound = issue(
        SERVER, one.key.public_key(), lineage.issuer, serial=1, not_before=NOW - BACKDATE, not_after=NOW + YEAR
    )
    shows = broken.shows(profile, sound, issuer, later, lineage.above)
    assert shows is (fault is Fault.REVOKED), "that it is revoked, only the list says"


@pytest.mark.parametrize(("fault", "other"), [(Fault.EXPIRED_INTERMEDIATE, Fault.PATH_LENGTH),
                                              (Fault.ISSUER_NOT_A_CA, Fault.EXPIRED_INTERMEDIATE),
                                              (Fault.NAME_CONSTRAINTS, Fault.ISSUER_NOT_A_CA),
                                              (Fault.PATH_LENGTH, Fault.NAME_CONSTRAINTS),
                                              (Fault.MISSING_INTERMEDIATE, Fault.EXPIRED_INTERMEDIATE),
                                              (Fault.WRONG_CA, Fault.UNKNOWN_CA),
                                              (Fault.UNKNOWN_CA, Fault.SELF_SIGNED),
                                              (Fault.UNKNOWN_CA, Fault.WRONG_CA)])  # fmt: skip
def test_one_fault_is_not_taken_for_another(fault: Fault, other: Fault) -> None:
    one = made(other, LINEAGES["below an issuing CA"])
    profile = replace(SERVER, fault=fault)
    assert not broken.shows(profile, one.certificate, ISSUING.certificate, NOW, one.chain)


@pytest.mark.parametrize("fault", sorted(OWN_CHAIN))
def test_a_fault_above_shows_on_what_is_signed_by_it_alone(fault: Fault) -> None:
    """The chain of another certificate says nothing of this one."""
    one, another = made(fault, LINEAGES["below an issuing CA"]), made(fault, LINEAGES["below an issuing CA"])
    later, issuer = NOW + timedelta(seconds=1), ISSUING.certificate
    profile = replace(SERVER, fault=fault)
    assert broken.shows(profile, one.certificate, issuer, later, one.chain)
    assert broken.shows(profile, one.certificate, issuer, later, another.chain) is (fault is Fault.MISSING_INTERMEDIATE)


def test_the_path_is_too_long_where_the_ca_above_the_signer_limits_it() -> None:
    one, another = (made(Fault.PATH_LENGTH, LINEAGES["below an issuing CA"]) for _ in range(2))
    profile = replace(SERVER, fault=Fault.PATH_LENGTH)

    def shows(certificate: x509.Certificate, *chain: x509.Certificate) -> bool:
        return broken.shows(profile, certificate, ISSUING.certificate, NOW, chain)

    lower, upper = one.chain[:2]
    assert shows(one.certificate, lower, upper)
    assert not shows(one.certificate, lower, another.chain[1]), "which has not signed it"
    sound = made(FileFault.KEY_MISMATCH, LINEAGES["below an issuing CA"]).certificate
    assert not shows(sound, ISSUING.certificate, ROOT.certificate), "which limits nothing"


def test_a_path_length_that_cannot_be_read_is_none() -> None:
    der = ISSUING.certificate.public_bytes(Encoding.DER)
    says = bytes.fromhex("30060101ff020100")
    assert der.count(says) == 1
    torn = x509.load_der_x509_certificate(der.replace(says, bytes.fromhex("30060101ff020200")))
    assert (broken.path_length(ISSUING.certificate), broken.path_length(torn)) == (0, None)


ANOTHER_SIGNER = OWN_CHAIN | {FileFault.SIBLING_CA, FileFault.SAME_NAME_CA}


@pytest.mark.parametrize("fault", [one for one in ABOUT if one not in ANOTHER_SIGNER])
@pytest.mark.parametrize("lineage", LINEAGES.values(), ids=LINEAGES)
def test_what_is_sent_after_it_is_what_a_sound_one_has(fault: AnyFault, lineage: Lineage) -> None:
    assert made(fault, lineage).chain == lineage.above


@pytest.mark.parametrize("fault", sorted(OWN_CHAIN))
def test_what_is_above_a_fault_in_the_chain_is_sent_and_nothing_more(fault: Fault) -> None:
    chain = made(fault, LINEAGES["below two CAs"]).chain
    assert chain[-1] == UPPER.certificate
    assert (LOWER.certificate in chain) is (fault is Fault.ISSUED_BY_LEAF)


@pytest.mark.parametrize("fault", sorted(OWN_CHAIN))
def test_a_ca_that_is_made_for_it_has_a_serial_of_its_own_and_outlives_nobody(fault: Fault) -> None:
    ends = ISSUING.not_after

    def once() -> Faulty:
        return faulty.make(
            SERVER, LINEAGE, fault, whose="x", lifetime=100 * YEAR, now=NOW, randomness=OPERATING_SYSTEM,
            own=ISSUING.certificate,
        )  # fmt: skip

    first, second = once(), once()
    assert all(one.not_valid_after_utc <= ends for one in (first.certificate, *first.chain[:-1]))
    if fault is not Fault.MISSING_INTERMEDIATE:
        assert first.chain[0].serial_number != second.chain[0].serial_number


def test_the_leaf_that_signs_is_a_sound_one_of_another_name() -> None:
    """Who checks revocation finds its pointer, and no second fault."""
    pointing = replace(SERVER, crl_url="http://ca.example/crl")
    another = made(Fault.ISSUED_BY_LEAF, LINEAGE, pointing).chain[0]
    assert another.subject.rfc4514_string() == "CN=another leaf"
    assert another.extensions.get_extension_for_class(x509.CRLDistributionPoints)
    with pytest.raises(x509.ExtensionNotFound):
        another.extensions.get_extension_for_class(x509.SubjectAlternativeName)


@pytest.mark.parametrize(("profile", "kind"), [(SERVER, x509.DNSName), (CLIENT, x509.UniformResourceIdentifier)])
def test_constraints_are_critical_and_on_the_names_that_matter(
    profile: CertificateProfile, kind: type[x509.GeneralName]
) -> None:
    found = (
        made(Fault.NAME_CONSTRAINTS, LINEAGE, profile).chain[0].extensions.get_extension_for_class(x509.NameConstraints)
    )
    assert found.critical
    assert [type(one) for one in found.value.permitted_subtrees or ()] == [kind]


def test_what_has_no_name_cannot_be_outside_of_constraints() -> None:
    with pytest.raises(PkiError, match="no name that constraints could forbid"):
        made(Fault.NAME_CONSTRAINTS, LINEAGE, replace(SERVER, sans=(San(SanType.IP, "127.0.0.1"),)))


def test_the_serial_that_is_asked_for_is_taken() -> None:
    """One that is to be called revoked."""
    key = new_key(KeyType.EC_P256)
    certificate, _ = faulty.issue(
        replace(SERVER, fault=Fault.REVOKED), key, LINEAGE, whose="x", lifetime=YEAR, now=NOW,
        randomness=OPERATING_SYSTEM, serial=4711,
    )  # fmt: skip
    assert certificate.serial_number == 4711


@pytest.mark.parametrize("fault", [FileFault.SIBLING_CA, FileFault.SAME_NAME_CA])
def test_a_ca_beside_the_issuer_has_its_place_its_name_and_no_pointers(fault: FileFault) -> None:
    """What the parent publishes says nothing of what this one issues."""
    one = made(fault, LINEAGES["below two CAs"], replace(SERVER, crl_url="http://ca.example/crl"))
    sibling = fault is FileFault.SIBLING_CA
    assert (one.chain[0].subject == LOWER.name) is not sibling
    assert one.chain[0].issuer == (UPPER if sibling else OTHER).name
    assert one.chain[1:] == ((UPPER.certificate,) if sibling else ())
    with pytest.raises(x509.ExtensionNotFound):
        one.certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints)


# --- What a parser sees --------------------------------------------------------------------------------------------


def test_a_name_holds_a_nul() -> None:
    names = made(Fault.NUL_IN_NAME, LINEAGE).certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.value.get_values_for_type(x509.DNSName) == ["api.example\0.api.example"]
    of_client = made(Fault.NUL_IN_NAME, LINEAGE, CLIENT).certificate.extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert of_client.value.get_values_for_type(x509.UniformResourceIdentifier) == [
        "spiffe://lab/client/web\0.spiffe://lab/client/web"
    ]


def test_a_server_without_a_dns_name_holds_no_nul() -> None:
    by_address = replace(SERVER, sans=(San(SanType.IP, "127.0.0.1"),))
    with pytest.raises(PkiError, match="no dns name"):
        made(Fault.NUL_IN_NAME, LINEAGE, by_address)


@pytest.mark.parametrize("kind", [KeyType.EC_P256, KeyType.RSA_2048, KeyType.ED25519])
def test_version_1_has_no_extensions_and_a_signature_that_holds(kind: KeyType) -> None:
    issuer = of_kind(kind)
    one = made(Fault.VERSION_1, Lineage(issuer, ()))
    assert one.certificate.version is x509.Version.v1
    assert len(one.certificate.extensions) == 0
    [tbs] = elements(one.certificate.tbs_certificate_bytes)
    assert {each.tag for each in elements(tbs.content)} == {0x02, 0x30}, "RFC 5280 4.1: no [0], no [3]"
    one.certificate.verify_directly_issued_by(issuer.certificate)


def of_kind(kind: KeyType) -> Issuer:
    key = new_key(kind)
    profile = CertificateProfile(Subject(f"{kind} root"), "ca")
    made = self_signed(profile, key, serial=new_serial(), not_before=NOW - BACKDATE, not_after=NOW + 10 * YEAR)
    return Issuer(made, key)


@pytest.mark.parametrize("kind", [KeyType.EC_P256, KeyType.EC_P384, KeyType.RSA_2048])
def test_sha_1_signs(kind: KeyType) -> None:
    issuer = of_kind(kind)
    certificate = made(FileFault.SHA1_SIGNATURE, Lineage(issuer, ())).certificate
    assert isinstance(certificate.signature_hash_algorithm, hashes.SHA1)
    from scaffold.pki import signatures

    named = "06092a864886f70d010105" + "0500" if kind is KeyType.RSA_2048 else "06072a8648ce3d0401"
    assert certificate.tbs_certificate_bytes.count(bytes.fromhex(named)) == 1, "RFC 4055 5, RFC 5758 3.2"
    assert signatures.verifies(certificate, issuer.certificate) is True
    assert signatures.verifies(certificate, ROOT.certificate) is False


def test_a_key_that_brings_its_own_hash_signs_with_no_sha_1() -> None:
    with pytest.raises(PkiError, match="never with SHA-1"):
        made(FileFault.SHA1_SIGNATURE, Lineage(of_kind(KeyType.ED25519), ()))


def test_the_weak_key_is_of_1024_bits() -> None:
    key = made(FileFault.WEAK_KEY, LINEAGE).certificate.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size == 1_024


def test_two_certificates_have_one_serial_and_one_issuer() -> None:
    own = issue(
        SERVER,
        new_key(KeyType.EC_P256).public_key(),
        ISSUING,
        serial=4711,
        not_before=NOW - BACKDATE,
        not_after=NOW + YEAR,
    )
    one = faulty.make(
        SERVER, LINEAGE, FileFault.SAME_SERIAL, whose="x", lifetime=YEAR, now=NOW, randomness=OPERATING_SYSTEM, own=own
    )
    assert (one.certificate.serial_number, one.certificate.issuer) == (4711, own.issuer)
    assert one.certificate != own


def test_a_namesake_needs_another_root() -> None:
    with pytest.raises(PkiError, match="no other root"):
        made(FileFault.SAME_NAME_CA, replace(LINEAGE, other_root=None))


@pytest.mark.parametrize("fault", sorted(OWN_CHAIN - {Fault.ISSUED_BY_LEAF}))
def test_where_no_ca_may_stand_below_and_none_above_is_at_hand_it_is_refused(fault: Fault) -> None:
    with pytest.raises(PkiError, match="path length is 0"):
        made(fault, Lineage(ISSUING, (ISSUING.certificate,)))


@pytest.mark.parametrize("fault", Fault)
def test_the_same_source_makes_the_same(fault: Fault) -> None:
    def once(seed: bytes) -> bytes:
        source = Derived(seed, "lab")
        key = source.key("x", KeyType.EC_P256)
        certificate, chain = faulty.issue(
            replace(SERVER, fault=fault), key, LINEAGE, whose="x", lifetime=YEAR, now=NOW, randomness=source
        )
        return bundles.chain_pem((certificate, *chain))

    assert once(b"seed") == once(b"seed") != once(b"another")


def test_nothing_shows_a_key() -> None:
    one = made(Fault.EXPIRED, LINEAGE)
    assert "…" in repr(one)
    assert keys.to_pem(one.key).decode() not in repr(one)
