"""What plan says of adopted CAs apart from what `openssl verify` can judge: dates, names, kinds, words and places."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest
from cryptography import x509

from scaffold.errors import ScaffoldError, TopologyError, TopologyErrors, WrongPassword
from scaffold.pki import keys
from scaffold.pki.randomness import OPERATING_SYSTEM
from scaffold.plan.model import Action
from scaffold.topology.model import KeyType
from tests.unit.adopting import NOW, Adopting, Made, Spec, crl, key_pem, make, name, without_end

ROOT = make(Spec("Partner Root", index=1))
CA = make(Spec(), ROOT)


@pytest.fixture
def adopting(household) -> Adopting:
    return Adopting(household)


def said(adopting: Adopting, text: str) -> bool:
    return any(text in note for note in adopting.notes())


def test_nothing_is_said_of_a_ca_as_it_should_be(adopting):
    adopting.bring(CA, [ROOT])
    adopting.apply()
    assert adopting.notes() == []


def test_without_adopted_cas_nothing_is_looked_at(household, monkeypatch):
    from scaffold.plan import adopted

    monkeypatch.setattr(adopted, "Adoption", None)
    household.apply()
    assert household.plan().changes == ()


# --- Dates --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"ends": timedelta(days=-1)}, "CN=Partner Root expired on"),
        ({"begins": timedelta(days=2)}, "CN=Partner Root is valid from"),
    ],
)
def test_below_a_path_that_is_not_valid_nothing_is_issued_and_the_rest_goes_on(adopting, more, words):
    sound = make(Spec("Partner Root", index=1))
    ca = make(Spec(), sound)
    adopting.bring(ca, [sound])
    adopting.apply()
    adopting.household.later(seconds=1)
    odd = make(Spec("Partner Root", index=1, **more))
    adopting.bring(ca, [odd])
    assert said(adopting, words), "the files there are kept, and a note says what it is worth"
    adopting.ask(names="localhost, another")
    with pytest.raises(TopologyError, match=f"server.accounts.certificate cannot be issued below ca.partner: {words}"):
        adopting.plan()


def test_a_ca_whose_clock_is_a_minute_ahead_is_forgiven(adopting):
    adopting.household.now = NOW
    adopting.bring(make(Spec(begins=timedelta(minutes=1))))
    adopting.apply()


def test_a_chain_that_ends_before_the_leaves_is_a_note(adopting):
    root = make(Spec("Partner Root", index=1, ends=timedelta(days=20)))
    ca = make(Spec(), root)
    adopting.bring(ca, [root])
    assert said(adopting, "is refused by everybody from")
    adopting.household.text = ""
    longer = make(Spec("Partner Root", index=1, ends=timedelta(days=200)))
    adopting.bring(ca, [longer])
    assert not said(adopting, "is refused by everybody from")


LEAVES = ("server.accounts.certificate", "client.teller.certificate")


def reasons_of_leaves(adopting: Adopting) -> list[tuple[str, str]]:
    adopting.write()
    return [adopting.household.planned()[address] for address in LEAVES]


def test_what_would_outlive_a_ca_that_now_ends_earlier_is_cut_to_its_end(adopting):
    adopting.bring(CA, [ROOT])
    adopting.apply()
    shorter = make(Spec(ends=timedelta(days=60)), ROOT)
    adopting.bring(shorter, [ROOT])
    assert reasons_of_leaves(adopting) == [(Action.UPDATE, "outlives-issuer")] * 2
    adopting.apply()
    for path in ("servers/accounts/tls/cert.pem", "clients/teller/tls/cert.pem"):
        leaf = adopting.household.certificate(path)
        assert leaf.not_valid_after_utc == shorter.certificate.not_valid_after_utc
    assert adopting.plan().changes == ()


def test_what_ends_before_a_ca_that_now_ends_earlier_stays(adopting):
    adopting.bring(CA, [ROOT])
    adopting.apply()
    adopting.bring(make(Spec(ends=timedelta(days=120)), ROOT), [ROOT])
    assert reasons_of_leaves(adopting) == [(Action.UPDATE, "chain")] * 2


# --- Names --------------------------------------------------------------------------------------------------------


def test_two_cas_of_one_name_are_mistaken_for_each_other(adopting):
    adopting.bring(make(Spec("own")))
    adopting.ask(cas="  own: {}", server="python", check=", trusts: [partner, own]")
    assert "server.accounts would confuse ca.own and ca.partner" in str(adopting.refusal())
    adopting.ask(check="")
    assert adopting.refusal() is None, "nobody meets both"
    adopting.ask(check=", trusts: [partner, own]")
    adopting.bring(make(Spec("theirs")))
    assert adopting.refusal() is None


def test_a_root_above_counts_too(adopting):
    root = make(Spec("OWN", index=1))
    adopting.bring(make(Spec(), root), [root])
    adopting.ask(cas="  own: {}", server="python", check=", trusts: [partner, own]")
    assert "would confuse ca.own and ca.partner" in str(adopting.refusal())


def test_a_leaf_has_not_the_name_of_a_ca_above_it(adopting):
    adopting.bring(make(Spec("teller")))
    assert "client.teller cannot be a client below ca.partner: CN=teller is a CA above it" in str(adopting.refusal())


@pytest.mark.parametrize(
    ("names", "refused"), [("localhost", True), ('localhost, "spiffe://corp.example/accounts"', False)]
)
def test_the_identity_counts_among_the_names(adopting, names, refused):
    only = x509.NameConstraints([x509.UniformResourceIdentifier("corp.example")], None)
    adopting.bring(make(Spec(names=only)))
    adopting.ask(names=names)
    said_of = str(adopting.refusal())
    assert ("server.accounts" in said_of) is refused
    assert ("client.teller" in said_of) is not refused, "whose identity is spiffe://bank/client/teller"


def test_the_place_is_what_is_refused(adopting):
    only = x509.NameConstraints([x509.DNSName("corp.example")], None)
    adopting.bring(make(Spec(names=only)))
    refusal = adopting.refusal()
    assert refusal is not None
    assert refusal.place.text[refusal.place.column - 1 :].startswith("names: [localhost]")
    assert str(refusal).startswith("server.accounts cannot be a server below ca.partner: CN=Partner CA does not permit")
    adopting.bring(make(Spec(purposes=(x509.oid.ExtendedKeyUsageOID.SERVER_AUTH,))))
    refusal = adopting.refusal()
    assert refusal is not None
    assert refusal.place.text[refusal.place.column - 1 :].startswith("partner, calls")


def test_an_ocsp_responder_has_a_name_too(adopting):
    alone = x509.NameConstraints([x509.DirectoryName(name("accounts")), x509.DirectoryName(name("teller"))], None)
    adopting.bring(make(Spec(names=alone)))
    assert adopting.refusal() is None
    adopting.ask(cas="publish: http://127.0.0.1:9080")
    assert "ca.partner can have no OCSP responder: CN=Partner CA does not permit" in str(adopting.refusal())


# --- External clients ---------------------------------------------------------------------------------------------

EXTERNAL = """
version: 1
name: bank
cas:
  own: {}
  partner: {existing: {certificate: ca.pem}}
servers:
  accounts: {template: %s, issuer: own, listen: "127.0.0.1:8443", names: [localhost]}
clients:
  auditor: {external: {issuer: partner, identity: "spiffe://partner.example/auditor"}, calls: [accounts]}
"""


@pytest.fixture
def external(household):
    def plan(made: Made, template: str = "kestrel"):
        (household.folder / "ca.pem").write_bytes(made.pem)
        household.text = EXTERNAL % template
        return household.plan()

    return plan


def test_an_external_client_is_held_against_what_is_known_of_it(external):
    host = x509.NameConstraints([x509.UniformResourceIdentifier("partner.example")], None)
    external(make(Spec(names=host)))
    elsewhere = x509.NameConstraints([x509.UniformResourceIdentifier("elsewhere.example")], None)
    with pytest.raises(TopologyError, match=r'client.auditor cannot be a client.*"spiffe://partner.example/auditor"'):
        external(make(Spec(names=elsewhere)))
    with pytest.raises(TopologyError, match="permits no clientAuth"):
        external(make(Spec(purposes=(x509.oid.ExtendedKeyUsageOID.SERVER_AUTH,))))
    subjects = x509.NameConstraints([x509.DirectoryName(name("whoever"))], None)
    external(make(Spec(names=subjects)))


# --- Kinds --------------------------------------------------------------------------------------------------------


def test_a_key_that_the_template_of_a_verifier_does_not_take(external):
    pem = OPERATING_SYSTEM.key("", KeyType.ML_DSA_65)
    with pytest.raises(TopologyError, match=r"cannot verify the ml-dsa-65 key of CN=Partner CA, from ca\.partner"):
        external(_signed_by_itself(pem))


def _signed_by_itself(key) -> Made:
    builder = x509.CertificateBuilder(
        name("Partner CA"), name("Partner CA"), key.public_key(), 1, NOW, NOW.replace(year=2040)
    )
    builder = builder.add_extension(x509.BasicConstraints(True, None), True)
    return Made(builder.sign(key, None), key)


def test_what_is_weak_is_a_note(adopting):
    adopting.bring(make(Spec(kind="k1")))
    assert said(adopting, "ca.partner is weak: CN=Partner CA has a key on secp256k1")
    adopting.bring(make(Spec(serial=0xAB << 184)))
    assert said(adopting, "serial number of more than 20 octets")
    adopting.bring(make(Spec(more=((x509.PolicyConstraints(0, None), True),))))
    assert said(adopting, "demands certificate policies")
    adopting.bring(make(Spec(more=((x509.PolicyConstraints(None, 0), True),))))
    assert not said(adopting, "demands certificate policies")


# --- Keys ---------------------------------------------------------------------------------------------------------


def test_an_encrypted_key_of_another_certificate_is_refused_before_anything_is_written(adopting):
    adopting.bring(CA, [ROOT])
    other = OPERATING_SYSTEM.key("", KeyType.EC_P256)
    (adopting.household.folder / "ca.key").write_bytes(
        keys.to_encrypted_pem(other, b"secret", lambda _, count: os.urandom(count))
    )
    brought = adopting.words["brought"]
    adopting.ask(brought=f"{brought}}}, key_password: {{env: PASSWORD}}, revocation: {{}}".removesuffix("}"))
    adopting.household.environment = {"PASSWORD": "secret"}
    adopting.write()
    planned = adopting.household.prepare()
    with pytest.raises(Exception, match="the key is not that of the CA certificate") as caught:
        adopting.household.carry_out(planned)
    assert not isinstance(caught.value, WrongPassword)
    assert not (adopting.household.out / "pki").exists()


def test_a_crl_that_never_ends_is_noted(adopting):
    adopting.bring(CA, [ROOT], [without_end(CA), crl(ROOT)])
    assert said(adopting, "ca.partner has a CRL of CN=Partner CA that never expires")
    adopting.bring(CA, [ROOT], [crl(CA), crl(ROOT)])
    assert not said(adopting, "never expires")


def test_crls_that_serve_nobody_are_noted(adopting):
    adopting.bring(CA, [ROOT], [crl(CA), crl(ROOT), crl(make(Spec("Other", index=2)))])
    assert said(adopting, "a CRL of CN=Other, which is no CA of this chain")
    adopting.bring(CA, [ROOT], [crl(CA), crl(ROOT)])
    assert not said(adopting, "left out")


# --- All at once --------------------------------------------------------------------------------------------------

TWO = """
version: 1
name: bank
cas:
  partner: {existing: {certificate: ca.pem, key: %(key)s, crl: %(crl)s}}
  other: {existing: {certificate: %(other)s}}
servers:
  accounts: {template: %(server)s, issuer: partner, listen: "127.0.0.1:8443", names: [localhost]}
clients:
  teller: {template: %(client)s, issuer: partner, calls: [accounts]}
"""
RIGHT = {"key": "ca.key", "crl": "ca.crl", "other": "ca.pem", "server": "nginx", "client": "curl"}
WRONG = {"key": "junk", "crl": "missing", "other": "folder"}


def mistakes(adopting: Adopting, **words: str) -> list[str]:
    adopting.household.text = TWO % {**RIGHT, **words}
    found: tuple[ScaffoldError, ...] = ()
    try:
        adopting.household.plan()
    except TopologyErrors as several:
        found = several.errors
    except TopologyError as alone:
        found = (alone,)
    assert all(error.place is not None and error.hint is not None for error in found)
    return [error.message for error in found]


@pytest.fixture
def two(adopting) -> Adopting:
    adopting.bring(make(Spec()), crl_files=[crl(make(Spec()))])
    (adopting.household.folder / "junk").write_text("junk")
    (adopting.household.folder / "folder").mkdir()
    return adopting


def test_mistakes_of_several_cas_are_told_at_once_and_in_order(two):
    assert mistakes(two) == []
    [key, lists, other] = mistakes(two, **WRONG)
    assert "junk is not a private key" in key
    assert "missing is not there" in lists
    assert "folder is not a regular file" in other


@pytest.mark.parametrize("field", WRONG)
def test_one_mistake_is_told_alone(two, field):
    assert len(mistakes(two, **{field: WRONG[field]})) == 1


def test_what_a_ca_forbids_and_what_a_template_cannot_are_told_together(two):
    only = x509.NameConstraints([x509.DNSName("corp.example")], None)
    two.bring(make(Spec(names=only)), crl_files=[crl(make(Spec()))])
    found = mistakes(two, client="curl, pfx: {password: {generate: true}}", other="folder")
    assert ["folder" in found[0], "localhost" in found[1], "reads no PFX" in found[2]] == [True] * 3
    assert len(found) == 3


def test_what_many_stumble_over_at_one_place_is_told_once(two):
    two.household.text = ""
    both = "nginx, check_revocation: crl"
    two.bring(make(Spec(usages=("key_cert_sign",))))
    second = 'third: {template: nginx, issuer: partner, listen: "127.0.0.1:8444", names: [localhost]'
    two.household.text = (TWO % {**RIGHT, "server": both}).replace(", crl: ca.crl", "")
    two.household.text = two.household.text.replace("clients:", f"  {second}, check_revocation: crl}}\nclients:")
    with pytest.raises(TopologyError, match="accounts checks CRLs") as caught:
        two.household.plan()
    assert not isinstance(caught.value, TopologyErrors)


def test_a_ca_that_cannot_be_read_is_no_namesake(two):
    found = mistakes(two, other="folder", server="python, trusts: [partner, other]")
    assert len(found) == 1


def test_a_link_that_leads_to_itself_is_refused(two):
    (two.household.folder / "loop").symlink_to("loop")
    assert len(mistakes(two, other="loop")) == 1
    (two.household.folder / "link").symlink_to("ca.pem")
    assert mistakes(two, other="link") == []


def test_cas_that_have_ended_are_told_at_once(two):
    ended = make(Spec(ends=timedelta(days=-1)))
    (two.household.folder / "ended.pem").write_bytes(ended.pem)
    two.household.text = """
version: 1
name: bank
cas:
  partner: {existing: {certificate: ended.pem, key: ca.key}}
  other: {existing: {certificate: ended.pem, key: ca.key}}
clients:
  teller: {template: curl, issuer: partner}
  second: {template: curl, issuer: partner}
  third: {template: curl, issuer: other}
"""
    with pytest.raises(TopologyErrors) as caught:
        two.household.plan()
    assert [error.message.partition(" cannot")[0] for error in caught.value.errors] == [
        "client.teller.certificate",
        "client.third.certificate",
    ]


# --- Each of them hides none of the others -------------------------------------------------------------------------

EKU = x509.oid.ExtendedKeyUsageOID


def everything_wrong(adopting: Adopting, *, ends: timedelta = timedelta(days=-1)) -> list[ScaffoldError]:
    """A CA with another key, other names and purposes than are asked for, that has ended and has no CRL of its own."""
    root = make(Spec("Corp Root", index=7))
    only = x509.NameConstraints([x509.DNSName("corp.example")], None)
    adopting.bring(make(Spec(names=only, purposes=(EKU.CODE_SIGNING,), ends=ends), root), [root], [crl(root)])
    (adopting.household.folder / "ca.key").write_bytes(key_pem(make(Spec(index=8))))
    adopting.ask(check=", check_revocation: crl")
    adopting.write()
    with pytest.raises(TopologyErrors) as caught:
        adopting.household.plan()
    return list(caught.value.errors)


def test_a_wrong_key_hides_neither_names_nor_purposes_nor_dates_nor_crls(adopting):
    found = everything_wrong(adopting)
    told = [error.message for error in found]
    assert any("ca.key is not the key of the certificate" in message for message in told)
    assert any("there is no CRL of CN=Partner CA" in message for message in told)
    assert any('does not permit "localhost"' in message for message in told)
    assert any("its extended key usage is codeSigning" in message for message in told)
    assert any("CN=Partner CA expired on" in message for message in told)
    places = [(error.place.line, error.place.column) for error in found]
    assert places == sorted(places)
    in_force = everything_wrong(adopting, ends=timedelta(days=300))
    assert len(in_force) == len(found) - 1
    assert not any("expired on" in error.message for error in in_force)


def test_all_files_that_are_missing_are_told_at_once(adopting):
    adopting.ask(brought=", chain: chain.pem, crl: ca.crl")
    adopting.write()
    with pytest.raises(TopologyErrors) as caught:
        adopting.household.plan()
    told = [error.message for error in caught.value.errors]
    assert [message.rpartition("/")[2] for message in told] == [
        f"{name} is not there" for name in ("ca.pem", "ca.key", "chain.pem", "ca.crl")
    ]


def test_a_chain_is_read_beside_a_certificate_that_cannot_be(adopting):
    adopting.bring(make(Spec()), [make(Spec("Other"))])
    for file in ("ca.pem", "chain.pem"):
        (adopting.household.folder / file).write_text("junk")
    adopting.write()
    with pytest.raises(TopologyErrors) as caught:
        adopting.household.plan()
    assert ["ca.pem" in caught.value.errors[0].message, "chain.pem" in caught.value.errors[1].message] == [True] * 2


def test_the_hint_of_a_purpose_speaks_of_no_names(adopting):
    adopting.bring(make(Spec(purposes=(EKU.CODE_SIGNING,))))
    adopting.write()
    with pytest.raises(TopologyErrors) as caught:
        adopting.household.plan()
    hints = {error.hint for error in caught.value.errors}
    assert len(hints) == 1
    (hint,) = hints
    assert "no other name helps" in hint
    assert "extended key usage has serverAuth and clientAuth" in hint


def test_an_identity_that_nobody_gave_points_to_the_trust_domain(adopting):
    only = x509.NameConstraints([x509.UniformResourceIdentifier("corp.example")], None)
    adopting.bring(make(Spec(names=only)))
    refusal = adopting.refusal()
    assert "`trust_domain`" in refusal.hint
    assert refusal.place.text.startswith("name: bank")
    adopting.ask(names='localhost, "spiffe://other.example/accounts"')
    adopting.write()
    with pytest.raises(TopologyErrors) as caught:
        adopting.household.plan()
    own = next(error for error in caught.value.errors if "server.accounts" in error.message)
    assert own.hint == "choose another issuer, or other names"
    assert "names: [localhost" in own.place.text
