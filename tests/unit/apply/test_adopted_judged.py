"""What a CA of somebody else permits, by our plan and by `openssl verify`: they agree on every one.

For each CA here either plan refuses it, and OpenSSL refuses what it would have issued; or plan takes it, and OpenSSL
takes what it issues. What OpenSSL takes unless it is strict (`-x509_strict`) is a note, and refused of strict kinds.
"""

from __future__ import annotations

import ipaddress
import re
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.adopting import Adopting, Made, Spec, errors_of_openssl, made_by_openssl, make, name, version_1
from tests.unit.conftest import Household

SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
ANY, CODE = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE, ExtendedKeyUsageOID.CODE_SIGNING
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
NETWORK = x509.IPAddress(ipaddress.ip_network("10.0.0.0/8"))
ROOT = Spec("Partner Root", index=1)


def only(*names_: x509.GeneralName) -> x509.NameConstraints:
    return x509.NameConstraints(names_, None)


def but(*names_: x509.GeneralName) -> x509.NameConstraints:
    return x509.NameConstraints(None, names_)


def dns(text: str) -> x509.DNSName:
    return x509.DNSName(text)


def uri(text: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(text)


def in_organization(organization: str, common_name: str | None = None) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)]
    if common_name is not None:
        attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name))
    return x509.Name(attributes)


@pytest.fixture
def adopting(household) -> Adopting:
    return Adopting(household)


def judge(adopting: Adopting, ca: Made, chain: list[Made]) -> str | None:
    """Plan's refusal; that OpenSSL and it agree is asserted."""
    adopting.bring(ca, chain)
    refusal = adopting.refusal()
    errors = errors_of_openssl(adopting, ca, chain)
    assert (refusal is not None) == bool(errors), (str(refusal), errors)
    if refusal is not None:
        return str(refusal)
    strict = bool(errors_of_openssl(adopting, ca, chain, "-x509_strict"))
    assert any("strict" in note for note in adopting.notes()) is strict
    adopting.ask(server="python")
    assert (adopting.refusal() is not None) is strict, "the Python server verifies strictly"
    return None


CASES = {
    # what it says                                            refused of it
    "as it should be": (Spec(), {}, None),
    "permits another domain": (Spec(names=only(dns("corp.example"))), {}, 'does not permit "localhost".*corp.example'),
    "permits our domain": (Spec(names=only(dns("Corp.EXAMPLE"))), {"names": "a.corp.example"}, None),
    "permits our domain, and the common name is in another": (
        Spec(names=only(dns("corp.example"))),
        {"names": "a.corp.example", "teller": ", subject: {common_name: teller.bank.example}"},
        'client.teller cannot be a client.*"teller.bank.example"',
    ),
    "permits our domain, and the common name is in it": (
        Spec(names=only(dns("corp.example"))),
        {"names": "a.corp.example", "teller": ", subject: {common_name: teller.corp.example}"},
        None,
    ),
    "a dot is below alone": (Spec(names=only(dns(".corp.example"))), {"names": "corp.example"}, "does not permit"),
    "a dot, and below": (Spec(names=only(dns(".corp.example"))), {"names": "a.corp.example"}, None),
    "excludes our name": (Spec(names=but(dns("localhost"))), {}, "localhost is excluded"),
    "excludes all names": (Spec(names=but(dns(""))), {}, "is excluded"),
    "permits all names": (Spec(names=only(dns(""))), {}, None),
    "permits another network": (
        Spec(names=only(NETWORK)),
        {"names": "127.0.0.1"},
        "permitted IP addresses are 10.0.0.0/8",
    ),
    "permits our network": (Spec(names=only(NETWORK)), {"names": "10.1.2.3"}, None),
    "permits another host of mail": (
        Spec(names=only(x509.RFC822Name("corp.example"))),
        {"names": 'localhost, "email:ops@bank.example"'},
        "permitted mailboxes are corp.example",
    ),
    "permits our host of mail": (
        Spec(names=only(x509.RFC822Name("Bank.example"))),
        {"names": 'localhost, "email:ops@bank.example"'},
        None,
    ),
    "permits another host of URIs": (Spec(names=only(uri("corp.example"))), {}, "permitted URI hosts are corp.example"),
    "permits our trust domain": (Spec(names=only(uri("bank"))), {}, None),
    "permits a URI, which is no host": (Spec(names=only(uri("spiffe://bank"))), {}, "permitted URI hosts"),
    "permits another organization": (
        Spec(names=only(x509.DirectoryName(in_organization("Corp")))),
        {},
        "does not permit the subject CN=accounts.*begin with O=Corp",
    ),
    "excludes our subject": (
        Spec(names=but(x509.DirectoryName(name("ACCOUNTS")))),
        {},
        "does not permit the subject CN=accounts.*excluded",
    ),
    "permits names that we have none of": (
        Spec(names=only(x509.RegisteredID(x509.ObjectIdentifier("1.2.3")))),
        {},
        None,
    ),
    "permits nobody below": (
        Spec(constraints=(True, 0, True)),
        {"cas": "  sub: {issuer: partner}", "issuer": "sub"},
        "ca.sub cannot be a CA below.*permits no CA below it, and there would be 1",
    ),
    "permits one below": (
        Spec(constraints=(True, 1, True)),
        {"cas": "  sub: {issuer: partner}", "issuer": "sub"},
        None,
    ),
    "permits one below, and there are two": (
        Spec(constraints=(True, 1, True)),
        {"cas": "  sub: {issuer: partner}\n  deep: {issuer: sub}", "issuer": "deep"},
        "ca.deep cannot be a CA.*permits 1 CA.* there would be 2",
    ),
    "excludes our CA": (
        Spec(names=but(x509.DirectoryName(name("sub")))),
        {"cas": "  sub: {issuer: partner}", "issuer": "sub"},
        "ca.sub cannot be a CA below",
    ),
    "for servers alone": (
        Spec(purposes=(SERVER,)),
        {},
        "client.teller cannot be a client.*no clientAuth.*is serverAuth",
    ),
    "for clients alone": (Spec(purposes=(CLIENT,)), {}, "server.accounts cannot be a server.*no serverAuth"),
    "for both": (Spec(purposes=(SERVER, CLIENT, CODE)), {}, None),
    "for anything, which OpenSSL ignores": (Spec(purposes=(ANY,)), {}, "anyExtendedKeyUsage"),
    "for both and anything": (Spec(purposes=(ANY, SERVER, CLIENT)), {}, None),
    "signs no certificates": (Spec(usages=("crl_sign",)), {}, "not the certificate of a CA"),
    "signs no CRLs, and nobody checks": (Spec(usages=("key_cert_sign",)), {}, None),
    "no key usage": (Spec(usages=None), {}, None),
    "basic constraints that are not critical": (Spec(constraints=(True, None, False)), {}, None),
    "no subject key identifier": (Spec(identifiers=("aki",)), {}, None),
    "no authority key identifier": (Spec(identifiers=("ski",)), {}, None),
    "an unknown critical extension": (Spec(more=((UNKNOWN, True),)), {}, "critical extension.*1.2.3.4"),
    "an unknown extension": (Spec(more=((UNKNOWN, False),)), {}, None),
    "policies demanded": (Spec(more=((x509.PolicyConstraints(0, None), True),)), {}, None),
    "any policy inhibited": (Spec(more=((x509.InhibitAnyPolicy(0), True),)), {}, None),
    "a serial of 24 octets": (Spec(serial=0xAB << 184), {}, None),
    "RSA of 1024 bits": (Spec(kind="rsa-1024"), {}, "RSA key of 1024 bits"),
    "RSA just too short": (Spec(kind="rsa-1960"), {}, "RSA key of 1960 bits"),
    "RSA just long enough": (Spec(kind="rsa-1964"), {}, None),
    "P-192": (Spec(kind="p192"), {}, "secp192r1.*too short"),
    "P-224": (Spec(kind="p224"), {}, None),
    "secp256k1": (Spec(kind="k1"), {}, None),
    "Ed25519": (Spec(kind="ed25519"), {}, None),
}


@pytest.mark.parametrize("place", ["below a root", "a root"])
@pytest.mark.parametrize("case", CASES)
def test_plan_and_openssl_agree(adopting, case, place):
    spec, ask, expected = CASES[case]
    adopting.ask(**ask)
    if place == "a root":
        refusal = judge(adopting, make(spec), [])
    else:
        root = make(ROOT)
        refusal = judge(adopting, make(spec, root), [root])
    assert (refusal is None) is (expected is None)
    if refusal is not None:
        assert re.search(expected, refusal), refusal


@pytest.mark.parametrize(
    ("root", "expected"),
    [
        (Spec("Partner Root", index=1, names=only(dns("corp.example"))), 'CN=Partner Root does not permit "localhost"'),
        (Spec("Partner Root", index=1, purposes=(SERVER,)), "CN=Partner Root permits no clientAuth"),
        (Spec("Partner Root", index=1, constraints=(True, 0, True)), "CN=Partner Root permits no CA below it"),
        (Spec("Partner Root", index=1, usages=("crl_sign",)), "CN=Partner Root may not sign certificates"),
        (Spec("Partner Root", index=1, kind="rsa-1024"), "CN=Partner Root has an RSA key"),
        (Spec("Partner Root", index=1, more=((UNKNOWN, True),)), "CN=Partner Root has a critical extension"),
        (Spec("Partner Root", index=1, usages=None), None),
        (Spec("Partner Root", index=1, identifiers=()), None),
        (Spec("Partner Root", index=1, kind="dsa-2048"), None),
        (
            Spec("Partner Root", index=1, names=only(x509.DirectoryName(in_organization("Corp")))),
            "CN=Partner Root does not permit the subject CN=Partner CA",
        ),
    ],
    ids=str,
)
def test_every_certificate_of_the_chain_counts(adopting, root, expected):
    above = make(root)
    refusal = judge(adopting, make(Spec(), above), [above])
    assert (refusal is None) is (expected is None), refusal
    if expected is not None:
        assert expected in refusal


def test_without_basic_constraints_it_is_no_ca_though_openssl_lets_it_be_one(adopting):
    root = make(Spec("Partner Root", index=1, constraints=None))
    ca = make(Spec(), root)
    adopting.bring(ca, [root])
    assert "CN=Partner Root is not the certificate of a CA" in str(adopting.refusal())
    assert errors_of_openssl(adopting, ca, [root], "-x509_strict")


@pytest.mark.parametrize("digest", ["-md5", "-sha1"])
def test_a_root_may_have_an_old_signature_and_nothing_else_may(adopting, digest, tmp_path):
    root = make(Spec("Partner Root", kind="rsa-2048", index=1))
    old = made_by_openssl(tmp_path / "x", "Old", digest)
    adopting.household.now += timedelta(minutes=1)
    assert judge(adopting, old, []) is None
    adopting.ask(server="nginx")
    assert judge(adopting, make(Spec(), old), [old]) is None
    between = made_by_openssl(tmp_path / "y", "Between", digest, issuer=root)
    adopting.ask(server="nginx")
    assert "Between is signed with" in judge(adopting, between, [root])


def test_who_signs_a_new_key_of_its_own_does_not_lengthen_the_path(adopting):
    old = make(Spec("Partner Root", index=1, constraints=(True, 1, True)))
    new = make(Spec("Partner Root", index=2), old)
    assert judge(adopting, make(Spec(), new), [new, old]) is None
    short = make(Spec("Partner Root", index=1, constraints=(True, 0, True)))
    new = make(Spec("Partner Root", index=2), short)
    adopting.ask(server="nginx")
    assert "permits no CA below it, and there would be 1" in judge(adopting, make(Spec(), new), [new, short])


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (x509.AuthorityKeyIdentifier(None, [x509.DirectoryName(name("Partner Root"))], 0x1234), None),
        (x509.AuthorityKeyIdentifier(None, [x509.DirectoryName(name("Partner Root"))], 0x1235), "names another key"),
        (x509.AuthorityKeyIdentifier(b"\x02" * 20, None, None), "names another key"),
    ],
    ids=["its serial number", "another serial number", "another key"],
)
def test_the_authority_key_identifier_is_that_of_the_certificate_above(adopting, names, expected):
    root = make(ROOT)
    refusal = judge(adopting, make(Spec(identifiers=("ski",), more=((names, False),)), root), [root])
    assert refusal is None if expected is None else expected in (refusal or "")


def test_an_issuing_ca_may_have_a_new_key_that_its_older_one_signed(adopting):
    root = make(ROOT)
    older = make(Spec("Partner CA", index=2), root)
    assert judge(adopting, make(Spec("Partner CA", index=3), older), [older, root]) is None


def test_a_root_of_version_1(adopting, tmp_path):
    old = version_1(tmp_path / "x")
    adopting.household.now += timedelta(minutes=1)
    assert judge(adopting, old, []) is None
    assert "CN=Version 1 is a certificate of version 1" in str(adopting.refusal()), "by the strict server"
    adopting.ask(server="nginx")
    assert judge(adopting, make(Spec(), old), [old]) is None


@pytest.mark.parametrize(
    "config", ["string_mask=MASK:4", "string_mask=MASK:2", "string_mask=MASK:2048", "string_mask=MASK:256", ""]
)
def test_a_subject_in_any_type_of_string_is_named_octet_by_octet(adopting, config, tmp_path):
    old = made_by_openssl(tmp_path / "x", "Teletex CA", config=config)
    adopting.household.now += timedelta(minutes=1)
    assert judge(adopting, old, []) is None


def test_a_subject_in_latin_1_is_refused_with_the_reason(adopting, tmp_path):
    adopting.bring(made_by_openssl(tmp_path / "x", "Café", config="string_mask=MASK:4", encoding="latin-1"))
    assert "Latin-1 in a TeletexString" in str(adopting.refusal())


def test_keys_that_are_written_in_another_way(adopting, tmp_path):
    adopting.bring(made_by_openssl(tmp_path / "x", "PSS", "-newkey", "rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048"))
    assert "RSASSA-PSS alone" in str(adopting.refusal())


# --- Anything -----------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(
    [
        *map(dns, ("localhost", "corp.example", ".corp.example", "")),
        *map(uri, ("bank", ".bank", "corp.example")),
        x509.DirectoryName(name("accounts")),
        x509.DirectoryName(in_organization("Corp")),
        x509.RFC822Name("corp.example"),
    ]
)


@st.composite
def constraints(draw) -> x509.NameConstraints:
    permitted, excluded = draw(st.lists(NAMES, max_size=2)), draw(st.lists(NAMES, max_size=1))
    return x509.NameConstraints(permitted or (None if excluded else [dns("localhost")]), excluded or None)


SPECS = st.builds(
    Spec,
    kind=st.sampled_from(["p256", "p192", "rsa-1024", "rsa-2048", "ed25519"]),
    usages=st.sampled_from([("key_cert_sign", "crl_sign"), ("key_cert_sign",), ("crl_sign",), None]),
    constraints=st.tuples(st.just(True), st.sampled_from([None, 0, 1, 2]), st.booleans()),
    purposes=st.sampled_from([(), (SERVER,), (CLIENT,), (SERVER, CLIENT), (ANY,)]),
    names=st.none() | constraints(),
    identifiers=st.sampled_from([("ski", "aki"), ("ski",), ("aki",)]),
    more=st.sampled_from([(), ((UNKNOWN, True),), ((UNKNOWN, False),), ((x509.PolicyConstraints(0, 0), True),)]),
)


@st.composite
def chains_of_three(draw) -> list[Spec]:
    """A CA, the one above it and their root: most of them as they should be."""
    usual = Spec()
    found: list[Spec] = []
    for index, subject in enumerate(("Partner CA", "Partner Middle", "Partner Root"), 1):
        odd = draw(SPECS)
        fields = draw(
            st.sets(st.sampled_from(["kind", "usages", "constraints", "purposes", "names", "more"]), max_size=2)
        )
        words = {each: getattr(odd if each in fields else usual, each) for each in Spec.__dataclass_fields__}
        found.append(Spec(**{**words, "subject": subject, "index": index}))
    return found


@given(
    specs=chains_of_three(),
    below=st.sampled_from([("", "partner"), ("  sub: {issuer: partner}", "sub")]),
    asked=st.sampled_from(["localhost", "a.corp.example", 'localhost, "email:a@corp.example"']),
)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_a_chain_says_plan_and_openssl_agree(specs, below, asked):
    folder = Path(tempfile.mkdtemp())
    try:
        adopting = Adopting(Household(folder))
        adopting.ask(cas=below[0], issuer=below[1], names=asked)
        lowest, middle, top = specs
        root = make(top)
        between = make(middle, root)
        judge(adopting, make(lowest, between), [between, root])
    finally:
        shutil.rmtree(folder)
