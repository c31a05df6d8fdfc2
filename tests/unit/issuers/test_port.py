"""Whoever stands behind the port: what it may add is no difference, what it does not declare is one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from cryptography import x509

from scaffold.apply import apply
from scaffold.errors import PkiError
from scaffold.issuers.local import LocalIssuer, self_signed
from scaffold.issuers.port import Issuance, Request, checked
from scaffold.pki import bundles, chains, keys, profiles
from scaffold.pki.issue import Issuer, new_serial, validity
from scaffold.pki.keys import signature_hash
from scaffold.pki.profiles import VERBATIM, Aspect, Difference, Latitude
from scaffold.pki.randomness import OPERATING_SYSTEM
from scaffold.plan.make import Planned, look, plan_all
from scaffold.store.secrets import Secrets
from scaffold.topology.model import KeyType
from tests.fresh import new_key
from tests.unit.conftest import BANK, Household
from tests.unit.pki.lab import NOW, TOPOLOGY, issuing_under, root_issuer

CLIENT = profiles.for_client_side(TOPOLOGY, TOPOLOGY.clients["teller"])
POLICY = x509.ObjectIdentifier("1.3.6.1.4.1.99999.1")
POLICIES = x509.OID_CERTIFICATE_POLICIES.dotted_string


@dataclass
class WithPolicy:
    """An issuer elsewhere, which stamps its policy on all that it signs."""

    ca: Issuer
    latitude: Latitude
    asked: int = 0

    def issue(self, request: Request) -> Issuance:
        self.asked += 1
        begins, ends = validity(request.lifetime, request.now, self.ca.not_after)
        says = profiles.extensions(request.profile, request.key, self.ca.authority)
        builder = x509.CertificateBuilder(
            self.ca.name,
            profiles.subject_name(request.profile.subject),
            request.key,
            new_serial(OPERATING_SYSTEM, request.whose),
            begins.replace(tzinfo=None),
            ends.replace(tzinfo=None),
            [*says, x509.Extension(x509.OID_CERTIFICATE_POLICIES, False, _policies())],
        )
        return Issuance(builder.sign(self.ca.key, signature_hash(self.ca.key)), (self.ca.certificate,))


class OverAnotherKey(WithPolicy):
    """An issuer that certifies a key of its own."""

    def issue(self, request: Request) -> Issuance:
        return super().issue(replace(request, key=new_key(KeyType.EC_P256).public_key()))


def _policies() -> x509.CertificatePolicies:
    return x509.CertificatePolicies([x509.PolicyInformation(POLICY, None)])


def issuing(household: Household) -> Issuer:
    key = keys.load((household.out / "pki/issuing/ca.key").read_bytes())
    return Issuer(household.certificate("pki/issuing/ca.crt"), key)


def planned(household: Household, elsewhere: WithPolicy) -> Planned:
    project = household.open()
    return plan_all(look(project.topology, project.kinds, project.layout, household.now, {"issuing": elsewhere}))


def reissued(household: Household, elsewhere: WithPolicy) -> None:
    """All leaves of the household, from `elsewhere`."""
    for leaf in (*household.out.glob("*/*/tls/cert.pem"), *household.out.glob("*/*/tls/key.pem")):
        leaf.unlink()
    apply(planned(household, elsewhere), Secrets())


def test_what_an_issuer_declares_to_add_is_no_difference(household):
    household.apply()
    elsewhere = WithPolicy(issuing(household), Latitude(extensions=frozenset({POLICIES})))
    reissued(household, elsewhere)
    assert elsewhere.asked == 2
    leaf = household.certificate("servers/accounts/tls/cert.pem")
    assert leaf.extensions.get_extension_for_class(x509.CertificatePolicies).value == _policies()
    assert planned(household, elsewhere).plan.changes == ()


@pytest.mark.parametrize("declared", [VERBATIM, Latitude(extensions=frozenset({"1.2.3"}))], ids=["nothing", "another"])
def test_what_it_does_not_declare_is_a_difference(household, declared):
    household.apply()
    elsewhere = WithPolicy(issuing(household), declared)
    reissued(household, elsewhere)
    changes = {str(change.address): change for change in planned(household, elsewhere).plan.changes}
    reason = changes["server.accounts.certificate"].reasons[0]
    assert (reason.code.code, reason.of) == ("extension", POLICIES)


def test_the_key_on_disk_is_not_opened_for_an_issuer_elsewhere(household):
    household.apply()
    elsewhere = WithPolicy(issuing(household), Latitude(extensions=frozenset({POLICIES})))
    (household.out / "pki/issuing/ca.key").write_bytes(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    household.text = BANK
    (household.out / "clients/teller/tls/cert.pem").unlink()
    (household.out / "clients/teller/tls/key.pem").unlink()
    whole = planned(household, elsewhere)
    leaf_alone = tuple(one for one in whole.plan.changes if str(one.address) == "client.teller.certificate")
    apply(replace(whole, plan=replace(whole.plan, changes=leaf_alone)), Secrets())
    assert household.certificate("clients/teller/tls/cert.pem")


def test_what_an_issuer_elsewhere_makes_over_another_key_is_not_put_in_place(household):
    household.apply()
    before = household.files()
    elsewhere = OverAnotherKey(issuing(household), VERBATIM)
    household.later(days=80)
    with pytest.raises(PkiError, match="has another key"):
        apply(planned(household, elsewhere), Secrets())
    path = "servers/accounts/tls/cert.pem"
    assert household.files()[path] == before[path]


def test_the_chain_that_an_issuer_gives_is_what_is_sent(household):
    household.apply()
    elsewhere = WithPolicy(issuing(household), Latitude(extensions=frozenset({POLICIES})))
    reissued(household, elsewhere)
    sent = bundles.load_certificates((household.out / "clients/teller/tls/cert.pem").read_bytes())
    assert sent[1:] == (elsewhere.ca.certificate,)


def test_a_declared_aspect_may_be_said_otherwise_and_no_other():
    root = root_issuer()
    made = local(root).issue(request()).certificate
    moved = replace(CLIENT, crl_url="http://127.0.0.1:1/elsewhere.crl", must_staple=True)
    found = [one.aspect for one in profiles.differences(moved, made)]
    assert found == [Aspect.MUST_STAPLE, Aspect.CRL_POINTER]
    latitude = Latitude(aspects=frozenset({Aspect.CRL_POINTER}))
    assert [one.aspect for one in profiles.differences(moved, made, latitude)] == [Aspect.MUST_STAPLE]


def test_what_may_be_added_may_not_be_said_otherwise_where_it_is_asked_for():
    latitude = Latitude(extensions=frozenset({POLICIES}))
    assert latitude.allows(Difference(Aspect.EXTENSION, found="a policy", of=POLICIES))
    assert not latitude.allows(Difference(Aspect.EXTENSION, found="a policy", wanted="another", of=POLICIES))
    assert not latitude.allows(Difference(Aspect.EXTENSION, wanted="a policy", of=POLICIES))


# --- The key on disk ------------------------------------------------------------------------------------------------


def local(ca: Issuer) -> LocalIssuer:
    return LocalIssuer(ca, (ca.certificate,), OPERATING_SYSTEM)


def request(lifetime: timedelta = timedelta(days=1)) -> Request:
    return Request("client.teller.certificate", CLIENT, new_key(KeyType.EC_P256).public_key(), lifetime, NOW)


def test_the_key_on_disk_says_what_is_asked_word_for_word():
    ca, asked = issuing_under(root_issuer()), request()
    made = local(ca).issue(asked)
    assert local(ca).latitude == VERBATIM
    assert profiles.differences(CLIENT, made.certificate) == []
    assert made.certificate.not_valid_after_utc == NOW + asked.lifetime
    assert made.chain == (ca.certificate,)
    assert chains.signed_by(made.certificate, ca.certificate)
    assert checked(made, asked, ca.certificate) is made


def test_nothing_outlives_the_key_on_disk():
    ca = root_issuer()
    assert local(ca).issue(request(timedelta(days=90_000))).certificate.not_valid_after_utc == ca.not_after


def test_a_root_is_signed_by_its_own_key():
    key = new_key(KeyType.ED25519)
    profile = profiles.CertificateProfile(CLIENT.subject, "ca")
    made = self_signed(Request("ca.root", profile, key.public_key(), timedelta(days=1), NOW), key, OPERATING_SYSTEM)
    assert chains.is_self_signed(made)
    assert profiles.differences(profile, made) == []


# --- What others made is read before it is believed -----------------------------------------------------------------


def test_a_certificate_over_another_key_is_refused():
    ca = root_issuer()
    with pytest.raises(PkiError, match=r"client\.teller\.certificate has another key"):
        checked(local(ca).issue(request()), request(), ca.certificate)


def test_a_certificate_of_another_ca_is_refused():
    ca, asked = root_issuer(), request()
    with pytest.raises(PkiError, match="not signed by its CA"):
        checked(local(ca).issue(asked), asked, root_issuer().certificate)
