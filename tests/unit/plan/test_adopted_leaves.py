"""Certificates that somebody else issues: taken over whenever their source has another, and told of what is wrong."""

from __future__ import annotations

import stat
import threading
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import PrivateFormat

from scaffold.errors import Overtaken, PlanError, SecretError, TopologyError, WrongPassword
from scaffold.pki.crl import Reason
from scaffold.plan.intents import Renew, Revoke
from scaffold.plan.make import plan_as_it_stands
from scaffold.plan.model import Action
from scaffold.plan.plan_subset import plan_due, plan_intents
from scaffold.plan.status import State, status
from scaffold.topology.address import Address
from tests.unit.conftest import Household
from tests.unit.elsewhere import CLIENT, NOW, SERVER, Elsewhere, Source, name, pem
from tests.unit.plan.test_odd_certificates import dated, written

PUBLIC = Elsewhere()
PARTNER = Elsewhere("Partner")

BANK = """
version: 1
name: bank
cas:
  root: {{}}
  issuing: {{issuer: root}}
servers:
  web:
    template: {kind}
    listen: "127.0.0.1:8443"
    names: [{names}]
    existing: {{certificate: live/fullchain.pem, key: live/privkey.pem, trust: live/roots.pem{more}}}
    {own}
  accounts: {{template: python, issuer: issuing, listen: "127.0.0.1:8444", names: [accounts.bank.internal]}}
clients:
  teller: {{template: python, issuer: issuing, calls: [web, accounts]}}
"""
WEB = Address.parse("server.web.certificate")


def bank(kind: str = "nginx", names: str = "www.bank.example", more: str = "", own: str = "") -> str:
    return BANK.format(kind=kind, names=names, more=more, own=own)


@pytest.fixture
def source(household: Household) -> Source:
    household.text = bank()
    household.now = NOW
    found = Source(household.folder / "live", PUBLIC)
    found.put(PUBLIC.issue("www.bank.example"))
    return found


def tls(household: Household, path: str) -> bytes:
    return (household.out / "servers/web/tls" / path).read_bytes()


def notes(household: Household) -> list[str]:
    return [str(note) for note in household.plan().notes]


def refused(household: Household) -> TopologyError:
    with pytest.raises(TopologyError) as caught:
        household.apply()
    assert caught.value.place is not None
    return caught.value


# --- Taken over ---------------------------------------------------------------------------------------------------


def test_it_is_taken_over_and_then_there_is_nothing_to_do(household: Household, source: Source) -> None:
    issued = PUBLIC.issue("www.bank.example")
    source.put(issued)
    household.apply()
    assert tls(household, "cert.pem") == issued.full_chain()
    assert tls(household, "key.pem") == issued.key_pem()
    assert stat.S_IMODE((household.out / "servers/web/tls/key.pem").stat().st_mode) == 0o600
    assert household.plan().changes == ()


def test_nothing_of_it_is_in_the_ledger(household: Household, source: Source) -> None:
    household.apply()
    assert WEB not in household.look().observed.ledger.by_address


@pytest.mark.parametrize(
    ("same_key", "action"), [(True, Action.RENEW), (False, Action.REPLACE)], ids=["same key", "new key"]
)
def test_a_renewal_at_the_source_is_taken_over(
    household: Household, source: Source, same_key: bool, action: Action
) -> None:
    first = PUBLIC.issue("www.bank.example", ends=timedelta(days=80))
    source.put(first)
    household.apply()
    second = PUBLIC.issue("www.bank.example", key=first.key if same_key else None)
    source.put(second)
    assert {str(one.address): one.action for one in household.plan().changes} == {str(WEB): action}
    household.apply()
    assert tls(household, "cert.pem") == second.full_chain()
    assert tls(household, "key.pem") == second.key_pem()


def test_another_certificate_over_the_same_key_that_ends_no_later_is_an_update(household, source) -> None:
    first = PUBLIC.issue("www.bank.example")
    source.put(first)
    household.apply()
    source.put(PUBLIC.issue("www.bank.example", "more.bank.example", key=first.key))
    assert [one.action for one in household.plan().changes] == [Action.UPDATE]


def test_renew_takes_it_over_as_what_is_due(household: Household, source: Source) -> None:
    household.apply()
    source.put(PUBLIC.issue("www.bank.example"))
    assert [one.address for one in plan_due(household.look()).planned.plan.changes] == [WEB]


def test_its_callers_trust_its_roots_for_it_alone(household: Household, source: Source) -> None:
    household.apply()
    folder = household.out / "clients/teller/tls"
    assert (folder / "ca.web.pem").read_bytes() == pem([PUBLIC.root])
    assert pem([PUBLIC.root]) not in (folder / "ca.accounts.pem").read_bytes()


def test_other_roots_in_its_file_vouch_for_it_too(household: Household, source: Source) -> None:
    (source.folder / "roots.pem").write_bytes(pem([PARTNER.root, PUBLIC.root]))
    household.apply()
    assert (household.out / "clients/teller/tls/ca.web.pem").read_bytes() == pem([PARTNER.root, PUBLIC.root])


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_a_key_in_any_form_becomes_pkcs8(household: Household, source: Source, form: PrivateFormat) -> None:
    issued = PUBLIC.issue("www.bank.example")
    source.put(issued, issued.key_pem(form))
    household.apply()
    assert tls(household, "key.pem") == issued.key_pem()


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_an_encrypted_key_is_opened_by_its_password(household: Household, source: Source, form: PrivateFormat) -> None:
    issued = PUBLIC.issue("www.bank.example")
    source.put(issued, issued.key_pem(form, b"secret"))
    household.text = bank(more=", key_password: {env: WEB_KEY}")
    with pytest.raises(SecretError, match="WEB_KEY"):
        household.apply()
    household.environment = {"WEB_KEY": "wrong"}
    with pytest.raises(WrongPassword):
        household.apply()
    assert not (household.out / "servers").exists()
    household.environment = {"WEB_KEY": "secret"}
    household.apply()
    assert tls(household, "key.pem") == issued.key_pem()
    household.environment = {}
    assert household.plan().changes == ()


def test_an_encrypted_key_that_is_another_changes_nothing(household: Household, source: Source) -> None:
    issued = PUBLIC.issue("www.bank.example")
    source.put(issued, PUBLIC.issue("www.bank.example").key_pem(password=b"secret"))
    household.text = bank(more=", key_password: {env: WEB_KEY}")
    household.environment = {"WEB_KEY": "secret"}
    assert "is not the key of the certificate" in refused(household).message
    assert not (household.out / "servers").exists()


def test_certificates_may_stand_in_any_order(household: Household, source: Source) -> None:
    issued = PUBLIC.issue("www.bank.example")
    source.put(issued)
    text = pem([PUBLIC.root, PUBLIC.intermediate, PARTNER.intermediate, issued.certificate])
    (source.folder / "fullchain.pem").write_bytes(text)
    household.apply()
    assert tls(household, "cert.pem") == issued.full_chain()


def test_the_chain_may_stand_in_a_file_of_its_own(household: Household, source: Source) -> None:
    issued = PUBLIC.issue("www.bank.example")
    source.put(issued)
    (source.folder / "fullchain.pem").write_bytes(pem([issued.certificate]))
    assert "the certificate of CN=Public R1 is not there" in refused(household).message
    (source.folder / "chain.pem").write_bytes(pem([PUBLIC.intermediate]))
    household.text = bank(more=", chain: live/chain.pem")
    household.apply()
    assert tls(household, "cert.pem") == issued.full_chain()


def test_links_are_followed_as_certbot_lays_them(household: Household, source: Source) -> None:
    household.apply()
    archive = household.folder / "archive"
    archive.mkdir()
    issued = PUBLIC.issue("www.bank.example")
    (archive / "fullchain2.pem").write_bytes(issued.full_chain())
    (archive / "privkey2.pem").write_bytes(issued.key_pem())
    for each in ("fullchain", "privkey"):
        link = source.folder / f"{each}.new"
        link.symlink_to(f"../archive/{each}2.pem")
        link.replace(source.folder / f"{each}.pem")
    household.apply()
    assert tls(household, "cert.pem") == issued.full_chain()


def test_a_wildcard_is_for_one_label(household: Household, source: Source) -> None:
    source.put(PUBLIC.issue("*.bank.example"))
    household.apply()
    household.text = bank(names="deep.www.bank.example")
    assert "does not contain deep.www.bank.example" in refused(household).message


def test_rights_of_the_copy_are_put_right(household: Household, source: Source) -> None:
    household.apply()
    (household.out / "servers/web/tls/key.pem").chmod(0o644)
    assert household.planned() == {str(WEB): (Action.UPDATE, "rights")}
    household.apply()
    assert household.plan().changes == ()


def test_what_was_changed_in_the_copy_is_put_right(household: Household, source: Source) -> None:
    household.apply()
    (household.out / "servers/web/tls/cert.pem").write_bytes(PARTNER.issue("www.bank.example").full_chain())
    assert [one.address for one in household.plan().changes] == [WEB]
    household.apply()
    assert PUBLIC.intermediate.public_bytes != tls(household, "cert.pem")
    assert household.plan().changes == ()


def test_a_bundle_is_made_of_it(household: Household, source: Source) -> None:
    household.text = bank("kestrel", own="pfx: {password: {generate: true}}")
    household.apply()
    before = tls(household, "bundle.pfx")
    source.put(PUBLIC.issue("www.bank.example"))
    household.apply()
    assert tls(household, "bundle.pfx") != before
    assert household.plan().changes == ()


# --- What is wrong: one clear error, and nothing changed ----------------------------------------------------------


def wrong_key(source: Source) -> None:
    source.put(PUBLIC.issue("www.bank.example"), PUBLIC.issue("www.bank.example").key_pem())


def wrong_name(source: Source) -> None:
    source.put(PUBLIC.issue("ftp.bank.example"))


def no_name(source: Source) -> None:
    source.put(PUBLIC.issue())


def expired(source: Source) -> None:
    source.put(PUBLIC.issue("www.bank.example", begins=timedelta(days=-90), ends=timedelta(seconds=-1)))


def not_yet_valid(source: Source) -> None:
    source.put(PUBLIC.issue("www.bank.example", begins=timedelta(days=80)))


def for_clients(source: Source) -> None:
    source.put(PUBLIC.issue("www.bank.example", purposes=[CLIENT]))


def for_nothing(source: Source) -> None:
    source.put(PUBLIC.issue("www.bank.example", purposes=[]))


def of_a_ca(source: Source) -> None:
    source.put(PUBLIC.issue("www.bank.example", is_ca=True))


def of_another_root(source: Source) -> None:
    source.put(PARTNER.issue("www.bank.example"))


def without_roots(source: Source) -> None:
    (source.folder / "roots.pem").write_bytes(pem([PUBLIC.intermediate]))


def no_key(source: Source) -> None:
    (source.folder / "privkey.pem").unlink()


def a_key_that_links_to_itself(source: Source) -> None:
    no_key(source)
    (source.folder / "privkey.pem").symlink_to("privkey.pem")


def a_damaged_key(source: Source) -> None:
    (source.folder / "privkey.pem").write_text("-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n")


def a_damaged_certificate(source: Source) -> None:
    (source.folder / "fullchain.pem").write_bytes(PUBLIC.issue("www.bank.example").full_chain()[:400])


def a_date_in_no_calendar(source: Source) -> None:
    (source.folder / "fullchain.pem").write_bytes(written(dated(0x18, b"00000101000000Z")))


def an_encrypted_key(source: Source) -> None:
    issued = PUBLIC.issue("www.bank.example")
    source.put(issued, issued.key_pem(password=b"secret"))


def a_key_on_another_curve(source: Source) -> None:
    source.put(PUBLIC.issue("www.bank.example", key=ec.generate_private_key(ec.SECP256K1())))  # type: ignore[arg-type]


WRONG = [
    (wrong_key, "privkey.pem is not the key of the certificate in", "key"),
    (wrong_name, "does not contain www.bank.example: it contains ftp.bank.example", "names"),
    (no_name, "does not contain www.bank.example: it contains no name", "names"),
    (expired, "CN=leaf expired on", "certificate"),
    (not_yet_valid, "CN=leaf is valid from", "certificate"),
    (for_clients, "is not for serverAuth", "certificate"),
    (for_nothing, "does not say that it is for serverAuth", "certificate"),
    (of_a_ca, "has only certificates of CAs (basicConstraints CA:TRUE)", "certificate"),
    (of_another_root, "CN=Partner Root", "certificate"),
    (without_roots, "roots.pem holds no root", "trust"),
    (no_key, "privkey.pem is not there", "key"),
    (a_key_that_links_to_itself, "privkey.pem is a symbolic link", "key"),
    (a_damaged_key, "privkey.pem is not a private key", "key"),
    (a_damaged_certificate, "fullchain.pem", "certificate"),
    (a_date_in_no_calendar, "fullchain.pem is a certificate with an invalid date", "certificate"),
    (an_encrypted_key, "privkey.pem is encrypted", "key"),
    (a_key_on_another_curve, "of a type that is not supported here", "key"),
]


@pytest.mark.parametrize(("spoil", "words", "field"), WRONG, ids=lambda one: getattr(one, "__name__", ""))
def test_what_will_not_do_is_told_and_changes_nothing(household, source, spoil, words, field) -> None:
    household.apply()
    before = {path: path.read_bytes() for path in household.out.rglob("*") if path.is_file()}
    spoil(source)
    error = refused(household)
    assert words in error.message
    assert str(error).startswith("server.web: ")
    assert error.hint
    assert f"{field}:" in error.place.text
    assert {path: path.read_bytes() for path in household.out.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("spoil", "words"),
    [(spoil, words) for spoil, words, _ in WRONG if spoil is not without_roots],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_what_will_not_do_keeps_nobody_else_from_being_renewed(household, source, spoil, words) -> None:
    household.apply()
    spoil(source)
    household.now = NOW + timedelta(days=75)
    due = plan_due(household.look())
    addresses = {str(one.address) for one in due.planned.plan.changes}
    assert {"client.teller.certificate", "server.accounts.certificate"} <= addresses
    assert str(WEB) not in addresses
    said = [note.text for note in due.planned.plan.notes if "is not changed" in note.text]
    assert said
    assert not any(f"{WEB.entity}: " in text for text in said), "whose it is stands before the note"


def test_a_pair_that_is_being_replaced_is_read_again(household, source, monkeypatch) -> None:
    """The certificate is new and the key is still old, until somebody has waited."""
    from scaffold.store import brought_leaf

    household.apply()
    issued = PUBLIC.issue("www.bank.example")
    (source.folder / "fullchain.pem").write_bytes(issued.full_chain())
    waited = threading.Event()

    def replace_the_key(seconds: float) -> None:
        waited.set()
        (source.folder / "privkey.pem").write_bytes(issued.key_pem())

    monkeypatch.setattr(brought_leaf.time, "sleep", replace_the_key)
    household.apply()
    assert waited.is_set()
    assert tls(household, "cert.pem") == issued.full_chain()


def test_what_changed_after_the_plan_is_planned_again(household: Household, source: Source) -> None:
    planned = household.prepare()
    source.put(PUBLIC.issue("www.bank.example"))
    with pytest.raises(Overtaken, match=r"privkey\.pem has changed"):
        household.carry_out(planned)
    assert not (household.out / "servers").exists()


# --- What is said of it -------------------------------------------------------------------------------------------


def test_in_its_last_third_somebody_is_told(household: Household, source: Source) -> None:
    source.put(PUBLIC.issue("www.bank.example", begins=timedelta(days=-61), ends=timedelta(days=29)))
    household.apply()
    assert any("it is renewed where it is issued, not here" in note for note in notes(household))
    household.now = NOW + timedelta(days=30)
    assert any("is refused by everybody" in note for note in notes(household))


def test_nothing_is_said_before(household: Household, source: Source) -> None:
    household.apply()
    assert not any("where it is issued" in note for note in notes(household))


def test_a_key_that_everybody_can_read_is_said(household: Household, source: Source) -> None:
    (source.folder / "privkey.pem").chmod(0o644)
    household.apply()
    assert any("which every user of this machine can read" in note for note in notes(household))


def test_status_says_who_issues_it(household: Household, source: Source) -> None:
    household.apply()
    [web] = [one for one in status(household.prepare()).certificates if one.address == WEB]
    assert (web.state, web.detail) == (State.VALID, "issued elsewhere, by CN=Public R1")
    household.now = NOW + timedelta(days=61)
    [web] = [one for one in status(household.prepare()).certificates if one.address == WEB]
    assert web.state is State.DUE


def test_status_goes_on_when_the_source_will_not_do(household: Household, source: Source) -> None:
    household.apply()
    wrong_key(source)
    [web] = [one for one in status(plan_as_it_stands(household.look())).certificates if one.address == WEB]
    assert web.state is State.CHANGED
    said = f"its source is unusable: {source.folder}/privkey.pem is not the key of the certificate in "
    assert said in web.detail, "whose it is is said before"


@pytest.mark.parametrize("intent", [Renew(WEB.entity), Revoke(WEB.entity, Reason.KEY_COMPROMISE)])
def test_what_others_issue_is_renewed_and_revoked_there(household, source, intent) -> None:
    household.apply()
    with pytest.raises(PlanError, match="is issued elsewhere: it is renewed and revoked there"):
        plan_intents(household.look(), [intent])


def test_the_second_certificate_is_renewed_here(household: Household, source: Source) -> None:
    household.text = bank(own="calls: [accounts]\n    issuer: issuing")
    household.apply()
    planned = plan_intents(household.look(), [Renew(WEB.entity)])
    assert [str(one.address) for one in planned.plan.changes] == ["server.web.client-certificate"]


def test_a_leaf_that_was_issued_here_before_can_be_revoked(household: Household, source: Source) -> None:
    adopted = household.text
    household.text = adopted.replace("existing: {", "issuer: issuing\n    # existing: {")
    household.apply()
    household.text = adopted
    household.apply()
    planned = plan_intents(household.look(), [Revoke(WEB.entity, Reason.SUPERSEDED)])
    assert planned.plan.changes[0].action is Action.REVOKE


def test_it_is_issued_here_once_it_is_not_adopted_any_more(household: Household, source: Source) -> None:
    household.apply()
    household.text = household.text.replace("existing: {", "issuer: issuing\n    # existing: {")
    household.apply()
    certificate = x509.load_pem_x509_certificate(tls(household, "cert.pem"))
    assert certificate.issuer == name("issuing")
    assert household.plan().changes == ()


def test_what_is_inherited_is_for_what_is_issued_here(household: Household, source: Source) -> None:
    household.text = household.text.replace(
        "cas:\n", "publish: http://127.0.0.1:9080\ndefaults: {staple: true, must_staple: true}\ncas:\n"
    ).replace("template: python, issuer: issuing, listen", "template: nginx, issuer: issuing, listen")
    household.apply()
    assert not (household.out / "servers/web/tls/staple.der").exists()
    assert (household.out / "servers/accounts/tls/staple.der").exists()


@pytest.mark.parametrize(
    ("own", "words", "field"),
    [
        ("staple: true", "staple cannot be set for web: its certificate is made elsewhere", "staple"),
        ("fault: expired", "fault cannot be set for web: its certificate is made elsewhere", "fault"),
        ("csr: web.csr", "csr cannot be set for web: its certificate is made elsewhere", "csr"),
        (
            "lifetime: 5d",
            "lifetime cannot be set for web: its certificate is made elsewhere, and it makes no calls",
            "lifetime",
        ),
        (
            "issuer: issuing",
            "issuer cannot be set for web: its certificate is made elsewhere, and it makes no calls",
            "issuer",
        ),
    ],
)
def test_what_is_for_others_to_say_is_refused(household, source, own, words, field) -> None:
    household.text = bank(own=own)
    error = refused(household)
    assert words in error.message
    assert f"{field}:" in error.place.text


def test_roots_are_needed(household: Household, source: Source) -> None:
    household.text = household.text.replace(", trust: live/roots.pem", "")
    assert "web has no trust, the roots of its certificate" in refused(household).message


def test_a_server_has_no_identity_of_its_own_there(household: Household, source: Source) -> None:
    household.text = bank(more=', identity: "dns:www.bank.example"')
    assert "identity is how a client is known" in refused(household).message


def test_who_looks_servers_up_cannot_call_it(household: Household, source: Source) -> None:
    household.text = household.text.replace("calls: [web, accounts]", "calls: [web, accounts], check_revocation: crl")
    assert "the certificate of server.web is issued elsewhere" in refused(household).message


def test_it_is_drawn(household: Household, source: Source) -> None:
    from scaffold.view.graph import drawing

    [web] = [node for node in drawing(household.open().topology).nodes if node.label[0] == "web"]
    assert "issued elsewhere" in web.label


@pytest.mark.parametrize("own", ["", "tls: modern"], ids=["TLS 1.2", "TLS 1.3 alone"])
def test_a_key_that_a_template_refuses_in_tls_1_2_is_told(household: Household, source: Source, own: str) -> None:
    source.put(PUBLIC.issue("www.bank.example", key=ec.generate_private_key(ec.SECP521R1())))
    household.text = bank(own=own)
    if own:
        household.apply()
    else:
        assert "its ec-p521 key is refused in TLS 1.2, which it speaks with client.teller" in refused(household).message


def test_a_key_that_its_own_template_cannot_use_is_told(household: Household, source: Source) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    source.put(PUBLIC.issue("www.bank.example", key=key))
    household.text = bank("kestrel")
    assert 'template "kestrel" cannot use a ed25519 key of its own' in refused(household).message


@pytest.mark.parametrize("client", ["python", "curl"])
def test_a_chain_that_a_caller_refuses_by_the_letter_is_told(household, source, client) -> None:
    lax = Elsewhere("Lax", by_the_letter=False)
    Source(source.folder, lax).put(lax.issue("www.bank.example"))
    household.text = household.text.replace(
        "template: python, issuer: issuing, calls", f"template: {client}, issuer: issuing, calls"
    )
    if client == "curl":
        household.apply()
    else:
        assert "client.teller refuses its chain: CN=Lax R1 has no key usage" in refused(household).message


UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
ELSEWHERE = {
    "a name that its CA may not give": (
        Elsewhere("Narrow", more=[(x509.NameConstraints([x509.DNSName("other.example")], None), True)]), {},
        "CN=Narrow R1 does not permit \"www.bank.example\"",
    ),
    "a CA that has ended": (
        Elsewhere("Ended", ends=timedelta(seconds=-1)), {"ends": timedelta(days=1)}, "CN=Ended R1 expired on",
    ),
    "a CA with what nobody understands": (
        Elsewhere("Odd", more=[(UNKNOWN, True)]), {}, "CN=Odd R1 has a critical extension",
    ),
    "a leaf with what nobody understands": (PUBLIC, {"more": [(UNKNOWN, True)]}, "CN=leaf has a critical extension"),
}  # fmt: skip


@pytest.mark.parametrize("case", ELSEWHERE)
def test_what_stands_above_it_must_do(household: Household, source: Source, case: str) -> None:
    ca, more, words = ELSEWHERE[case]
    Source(source.folder, ca).put(ca.issue("www.bank.example", **more))  # type: ignore[arg-type]
    assert words in refused(household).message


def test_a_root_that_its_own_file_brings_vouches_for_nothing(household: Household, source: Source) -> None:
    issued = PARTNER.issue("www.bank.example")
    source.put(issued)
    (source.folder / "fullchain.pem").write_bytes(issued.full_chain() + pem([PARTNER.root]))
    error = refused(household)
    assert "its chain leads to CN=Partner Root, which is not in" in error.message
    assert "trust" in error.place.text


# --- Clients ------------------------------------------------------------------------------------------------------

CLIENTS = """
version: 1
name: bank
cas:
  root: {{}}
  partner: {{existing: {{certificate: r1.pem, chain: root.pem}}}}
servers:
  accounts: {{template: {kind}, issuer: root, listen: "127.0.0.1:8444", names: [localhost]}}
clients:
  robot:
    template: python
    issuer: partner
    calls: [accounts]
    existing: {{certificate: live/fullchain.pem, key: live/privkey.pem, identity: "{identity}"}}
"""
SUBJECT = name("robot")


@pytest.fixture
def robot(household: Household) -> Source:
    household.now = NOW
    (household.folder / "r1.pem").write_bytes(pem([PARTNER.intermediate]))
    (household.folder / "root.pem").write_bytes(pem([PARTNER.root]))
    found = Source(household.folder / "live", PARTNER)
    uri = x509.UniformResourceIdentifier("spiffe://partner.example/robot")
    found.put(PARTNER.issue("robot.partner.example", uri, subject=SUBJECT, purposes=[CLIENT]))
    return found


@pytest.mark.parametrize(
    ("kind", "identity"),
    [
        ("python", "spiffe://partner.example/robot"),
        ("python", "dns:robot.partner.example"),
        ("nginx", "subject:CN=robot"),
    ],
)
def test_a_client_is_known_by_what_its_certificate_says(household, robot, kind, identity) -> None:
    household.text = CLIENTS.format(kind=kind, identity=identity)
    household.apply()
    assert household.plan().changes == ()
    folder = household.out / "servers/accounts/tls"
    assert identity in (folder / ("allowed.json" if kind == "python" else "allowed.conf")).read_text()
    sent = (household.out / "clients/robot/tls/cert.pem").read_bytes()
    assert len(x509.load_pem_x509_certificates(sent)) == 2


@pytest.mark.parametrize(
    ("kind", "identity"),
    [
        ("python", "spiffe://partner.example/other"),
        ("python", "dns:other.partner.example"),
        ("nginx", "subject:CN=other"),
    ],
)
def test_a_client_that_is_somebody_else_is_told(household, robot, kind, identity) -> None:
    household.text = CLIENTS.format(kind=kind, identity=identity)
    error = refused(household)
    assert f"is not that of {identity}" in error.message
    assert "identity" in error.place.text


def test_a_client_of_another_ca_is_told(household: Household, robot: Source) -> None:
    household.text = CLIENTS.format(kind="python", identity="dns:robot.partner.example")
    robot.put(PUBLIC.issue("robot.partner.example", purposes=[CLIENT]))
    assert "issued by CN=Public R1, and not by ca.partner" in refused(household).message


def test_a_client_needs_its_purpose(household: Household, robot: Source) -> None:
    household.text = CLIENTS.format(kind="python", identity="dns:robot.partner.example")
    robot.put(PARTNER.issue("robot.partner.example", purposes=[SERVER]))
    assert "is not for clientAuth" in refused(household).message
