"""What stands in `tls/` because `files` asks for it: made, kept as its sources are, put right, and gone again."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID

from scaffold.errors import StoreError, TopologyError
from scaffold.plan.make import look, plan_all
from scaffold.plan.model import Action
from scaffold.store import rights
from tests.handshake.elsewhere_lab import OpenSslCa
from tests.requirements import require, require_command
from tests.unit.conftest import Household
from tests.unit.revoking import renew, renew_due, revoke

BANK = """
version: 1
name: bank
cas:
  root: {{}}
  issuing: {{issuer: root}}
servers:
  db:
    {{template: files, issuer: issuing, listen: "127.0.0.1:5432", names: [db.internal]{db}}}
clients:
  api: {{template: files, issuer: issuing, calls: [db]{api}}}
{clients}
"""
TLS = "servers/db/tls"
ALL = ", files: {combined: true, truststore: true, names: {cert.pem: server.crt, key.pem: server.key}}"


def bank(household: Household, db: str = ALL, **more: str) -> Household:
    household.text = BANK.format(**{"api": "", "clients": "", "db": db, **more})
    return household


def tls(household: Household, name: str, of: str = TLS) -> Path:
    return household.out / of / name


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def applied(household: Household) -> Household:
    bank(household).apply()
    return household


# --- What is made ----------------------------------------------------------------------------------------------------


def test_a_combined_file_is_the_key_and_then_the_chain(applied: Household) -> None:
    key, chain = tls(applied, "key.pem").read_bytes(), tls(applied, "cert.pem").read_bytes()
    assert tls(applied, "combined.pem").read_bytes() == key + chain
    assert len(x509.load_pem_x509_certificates(chain)) == 2


def test_a_trust_store_holds_the_roots_and_opens_with_changeit(applied: Household) -> None:
    store = pkcs12.load_pkcs12(tls(applied, "truststore.p12").read_bytes(), b"changeit")
    assert store.key is None
    assert [one.certificate for one in store.additional_certs] == [applied.certificate("pki/root/ca.crt")]


def test_a_file_stands_under_its_other_name_too(applied: Household) -> None:
    assert tls(applied, "server.crt").read_bytes() == tls(applied, "cert.pem").read_bytes()
    assert tls(applied, "server.key").read_bytes() == tls(applied, "key.pem").read_bytes()


def test_whatever_holds_a_key_is_born_secret_and_left_out_of_git(applied: Household) -> None:
    for name in ("key.pem", "server.key", "combined.pem"):
        assert mode(tls(applied, name)) == 0o600
    committed = tls(applied, ".gitignore").read_text().splitlines()
    assert {"!/server.crt", "!/truststore.p12", "!/cert.pem"} <= set(committed)
    assert not {"!/server.key", "!/combined.pem", "!/key.pem"} & set(committed)


def test_no_record_says_anything_of_a_secret(household: Household) -> None:
    bank(household, ", pfx: {password: {env: P}}, files: {names: {pfx-password: password.txt}}")
    household.environment = {"P": "0000"}
    household.apply()
    assert tls(household, "password.txt").read_text() == "0000\n"
    records = (household.out / ".scaffold/projects.jsonl").read_text()
    assert '"servers/db/tls/password.txt":"copy"' in records.replace(" ", "")


def test_nothing_is_left_to_do_and_nothing_is_made_twice(applied: Household) -> None:
    before = applied.files()
    assert applied.plan().changes == ()
    applied.apply()
    assert applied.files() == before


# --- What follows ----------------------------------------------------------------------------------------------------


def test_a_renewed_certificate_is_carried_into_all_of_them(applied: Household) -> None:
    before, store = tls(applied, "server.crt").read_bytes(), tls(applied, "truststore.p12").read_bytes()
    renew(applied, "server.db")
    assert tls(applied, "server.crt").read_bytes() == tls(applied, "cert.pem").read_bytes() != before
    assert tls(applied, "combined.pem").read_bytes().endswith(tls(applied, "cert.pem").read_bytes())
    assert tls(applied, "truststore.p12").read_bytes() == store
    assert applied.plan().changes == ()


def test_what_is_due_takes_them_along(applied: Household) -> None:
    applied.later(days=80)
    renew_due(applied)
    assert tls(applied, "server.crt").read_bytes() == tls(applied, "cert.pem").read_bytes()


def test_a_certificate_that_is_merely_due_makes_no_drift_of_them(applied: Household) -> None:
    applied.later(days=80)
    (change,) = [one for one in applied.plan().changes if str(one.address) == "server.db.files"]
    assert change.can_wait


def test_a_crl_under_another_name_learns_of_a_revocation(household: Household) -> None:
    bank(household, ", check_revocation: crl, files: {names: {crl.pem: revoked.pem}}").apply()
    revoke(household, "client.api", replace=False)
    assert tls(household, "revoked.pem").read_bytes() == tls(household, "crl.pem").read_bytes()
    listed = x509.load_pem_x509_crl(tls(household, "revoked.pem").read_bytes())
    assert len(list(listed)) == 1


def test_a_new_root_is_carried_into_the_trust_store(applied: Household) -> None:
    (applied.out / "pki/root/ca.key").unlink()
    (applied.out / "pki/root/ca.crt").unlink()
    applied.apply()
    store = pkcs12.load_pkcs12(tls(applied, "truststore.p12").read_bytes(), b"changeit")
    assert [one.certificate for one in store.additional_certs] == [applied.certificate("pki/root/ca.crt")]


# --- What is put right -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["server.crt", "server.key", "combined.pem", "truststore.p12"])
def test_what_somebody_changed_is_made_again(applied: Household, name: str) -> None:
    tls(applied, name).write_bytes(b"something else")
    assert applied.planned() == {"server.db.files": (Action.UPDATE, "content")}
    applied.apply()
    assert tls(applied, name).read_bytes() != b"something else"
    assert applied.plan().changes == ()


@pytest.mark.parametrize("name", ["server.crt", "combined.pem", "truststore.p12"])
def test_what_somebody_took_away_comes_back(applied: Household, name: str) -> None:
    tls(applied, name).unlink()
    assert applied.planned() == {"server.db.files": (Action.UPDATE, "missing")}
    applied.apply()
    assert tls(applied, name).exists()


def test_a_secret_that_others_may_read_is_closed_again(applied: Household) -> None:
    tls(applied, "combined.pem").chmod(0o644)
    assert applied.planned() == {"server.db.files": (Action.UPDATE, "rights")}
    applied.apply()
    assert mode(tls(applied, "combined.pem")) == 0o600


# --- What is gone ----------------------------------------------------------------------------------------------------


def test_a_name_that_is_given_up_is_removed(applied: Household) -> None:
    bank(applied, ", files: {names: {cert.pem: other.crt}}").apply()
    assert sorted(path.name for path in tls(applied, "").iterdir() if not path.name.startswith(".")) == [
        "ca.pem", "cert.pem", "intermediates.pem", "key.pem", "other.crt",
    ]  # fmt: skip
    assert applied.plan().changes == ()


def test_without_files_nothing_of_them_is_left(applied: Household) -> None:
    bank(applied, "")
    assert ("server.db.files", Action.DELETE) in [(str(one.address), one.action) for one in applied.plan().changes]
    applied.apply()
    assert not tls(applied, "server.key").exists()
    assert not tls(applied, "combined.pem").exists()
    assert applied.plan().changes == ()


def test_with_its_server_all_of_it_goes(applied: Household) -> None:
    applied.text = "version: 1\nname: bank\ncas: {root: {}, issuing: {issuer: root}}\n"
    applied.apply()
    assert not (applied.out / "servers/db").exists()


# --- Rights and owners -----------------------------------------------------------------------------------------------


def test_a_group_may_read_what_it_is_given(household: Household) -> None:
    bank(household, ', pfx: {password: {generate: true}}, files: {mode: "0640", combined: true}').apply()
    for name in ("key.pem", "combined.pem", "bundle.pfx", "pfx-password"):
        assert mode(tls(household, name)) == 0o640
    assert mode(tls(household, "cert.pem")) == 0o644
    assert mode(tls(household, "")) == 0o750
    assert household.plan().changes == ()


def test_a_mode_that_changes_is_carried_out_though_nothing_else_does(household: Household) -> None:
    bank(household, "").apply()
    bank(household, ', files: {mode: "0440"}').apply()
    assert mode(tls(household, "key.pem")) == 0o440
    assert household.plan().changes == ()
    bank(household, "").apply()
    assert mode(tls(household, "key.pem")) == 0o600


def test_a_mode_that_somebody_changed_is_put_right(household: Household) -> None:
    bank(household, ', files: {mode: "0640"}').apply()
    tls(household, "key.pem").chmod(0o600)
    tls(household, "").chmod(0o700)
    household.apply()
    assert mode(tls(household, "key.pem")) == 0o640
    assert mode(tls(household, "")) == 0o750


def as_root() -> None:
    require(hasattr(os, "geteuid") and os.geteuid() == 0, "root, who may give files away")


def owners(household: Household) -> set[tuple[int, int]]:
    folder = tls(household, "")
    return {(one.stat().st_uid, one.stat().st_gid) for one in (folder.parent, folder, *folder.iterdir())}


def test_all_in_tls_and_the_folders_are_given_away(household: Household) -> None:
    as_root()
    bank(household, f"{ALL[:-1]}, chown: '4711:4712'}}, pfx: {{password: {{generate: true}}}}")
    assert not [note for note in household.plan().notes if "4711" in str(note)]
    household.apply()
    assert owners(household) == {(4711, 4712)}
    assert household.plan().changes == ()
    assert not [note for note in household.plan().notes if "4711" in str(note)]


def test_what_is_renewed_stays_with_its_owner(household: Household) -> None:
    as_root()
    bank(household, f"{ALL[:-1]}, chown: '4711:4712'}}").apply()
    renew(household, "server.db")
    assert owners(household) == {(4711, 4712)}


def test_what_belongs_to_somebody_else_is_given_back(household: Household) -> None:
    as_root()
    bank(household, ", files: {chown: '4711:4712'}").apply()
    os.chown(tls(household, "cert.pem"), 0, 0)
    os.chown(tls(household, "").parent, 0, 4712)
    assert household.planned() == {"server.db.files": (Action.UPDATE, "owner")}
    household.apply()
    assert owners(household) == {(4711, 4712)}


def test_a_group_alone_leaves_the_user(household: Household) -> None:
    as_root()
    bank(household, ", files: {chown: ':4712'}").apply()
    assert owners(household) == {(0, 4712)}


def test_a_file_with_a_second_name_is_not_given_away(household: Household) -> None:
    """Another of its names may be somebody else's secret."""
    as_root()
    bank(household, ", files: {chown: '4711:4712'}").apply()
    secret = household.folder / "secret"
    secret.write_text("of root")
    os.link(secret, tls(household, "extra.pem"))
    with pytest.raises(StoreError, match="more than one name"):
        household.apply()
    assert secret.stat().st_uid == 0


def test_a_user_that_there_is_not_is_an_error_before_anything_is_written(household: Household) -> None:
    bank(household, ", files: {chown: 'nobody-here:4712'}")
    with pytest.raises(TopologyError, match=r"server\.db: there is no user nobody-here on this machine") as caught:
        household.apply()
    assert caught.value.place is not None
    assert not household.out.exists()


def test_a_group_that_there_is_not_is_an_error_too(household: Household) -> None:
    bank(household, ", files: {chown: ':no-such-group'}")
    with pytest.raises(TopologyError, match="there is no group no-such-group"):
        household.plan()


def as_somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rights.os, "geteuid", lambda: 4713)
    monkeypatch.setattr(rights.os, "getegid", lambda: 4713)
    monkeypatch.setattr(rights.os, "getgroups", list)


def test_who_is_not_root_is_told_the_command(household: Household, monkeypatch: pytest.MonkeyPatch) -> None:
    as_somebody(monkeypatch)
    bank(household, ", files: {chown: '4711:4712'}")
    (said,) = [str(note) for note in household.plan().notes if "4711" in str(note)]
    assert f"sudo chown -R 4711:4712 {household.out}/servers/db/tls" in said
    household.apply()
    assert (4711, 4712) not in owners(household)
    assert household.plan().changes == ()


def test_who_is_not_root_takes_nothing_back(household: Household, monkeypatch: pytest.MonkeyPatch) -> None:
    """What this user wrote in the place of a key would be out of its owner's reach."""
    as_root()
    bank(household, ", files: {chown: '4711:4712'}").apply()
    before = tls(household, "cert.pem").read_bytes()
    as_somebody(monkeypatch)
    with pytest.raises(StoreError, match=r"belongs to 4711:4712, and this user cannot give a new file to that user"):
        renew(household, "server.db")
    assert tls(household, "cert.pem").read_bytes() == before


# --- What cannot be --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ("{mode: '0644'}", "are not the rights of a private key"),
        ("{mode: '0000'}", "are not the rights of a private key"),
        ("{mode: 'rw-'}", "are not the rights of a private key"),
        ("{chown: 'a b'}", "is not a user and group"),
        ("{chown: ':'}", "is not a user and group"),
        ("{names: {cert.pem: ../x}}", "is not a file's name"),
        ("{names: {cert.pem: .x}}", "is not a file's name"),
        ("{names: {cert.pem: x/y}}", "is not a file's name"),
        ("{names: {cert.pem: a, key.pem: A}}", "is in use already"),
        ("{names: {cert.pem: key.pem}}", "for a file of its own"),
        ("{names: {cert.pem: Key.pem}}", "for a file of its own"),
        ("{names: {cert.pem: allowed.x}}", "for a file of its own"),
        ("{names: {cert.pem: ca.web.pem}}", "for a file of its own"),
        ("{names: {crl.pem: x}}", "files.names has crl.pem, and its tls/ has no such file"),
        ("{names: {certs.pem: x}}", "files.names has certs.pem, and its tls/ has no such file"),
        ("{names: {bundle.pfx: x}}", "files.names has bundle.pfx, and its tls/ has no such file"),
        ("{client_combined: true}", "needs a second certificate, and there is none"),
        ("{client_truststore: true}", "needs a server that it calls, and there is none"),
        ("{anchor: leaf}", "is not the content of a trust file"),
        ("{owner: x}", "unknown key"),
    ],
)
def test_bad_input_is_one_clear_error_with_its_place(household: Household, files: str, said: str) -> None:
    with pytest.raises(TopologyError, match=said) as caught:
        bank(household, f", files: {files}").plan()
    assert caught.value.place is not None
    assert caught.value.hint is not None


def test_a_template_that_names_its_files_itself_takes_none_of_it(household: Household) -> None:
    bank(household)
    household.text = household.text.replace("db:\n    {template: files", "db:\n    {template: python")
    household.text = household.text.replace("api: {template: files", "api: {template: python")
    with pytest.raises(TopologyError, match='template "python" sets the names and rights of its files itself'):
        household.plan()


def test_a_default_is_for_those_who_can_use_it(household: Household) -> None:
    bank(
        household,
        "",
        clients="  web: {template: python, issuer: issuing, calls: [db]}\ndefaults: {files: {combined: true}}",
    )
    household.apply()
    assert tls(household, "combined.pem").exists()
    assert not tls(household, "combined.pem", "clients/web/tls").exists()


# --- One leaf for both, and two that differ --------------------------------------------------------------------------

CALLING = """
version: 1
name: bank
cas:
  root: {{}}
  issuing: {{issuer: root}}
  apart: {{}}
servers:
  a: {{template: files, issuer: issuing, listen: "127.0.0.1:1", names: [a.internal], calls: [b]{a}}}
  b: {{template: python, issuer: issuing, listen: "127.0.0.1:2", names: [b.internal]}}
"""


def purposes(certificate: x509.Certificate) -> set[x509.ObjectIdentifier]:
    return set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


BOTH = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}


def test_one_leaf_is_for_both_purposes_and_there_is_no_second(household: Household) -> None:
    household.text = CALLING.format(a=", client: same, files: {combined: true}")
    household.apply()
    leaf = household.certificate("servers/a/tls/cert.pem")
    assert purposes(leaf) == BOTH
    assert not (household.out / "servers/a/tls/client-cert.pem").exists()
    assert (household.out / "servers/a/tls/client-ca.pem").exists()
    assert household.plan().changes == ()


def test_without_it_each_leaf_has_its_own_purpose(household: Household) -> None:
    household.text = CALLING.format(a="")
    household.apply()
    assert purposes(household.certificate("servers/a/tls/cert.pem")) == {ExtendedKeyUsageOID.SERVER_AUTH}
    assert purposes(household.certificate("servers/a/tls/client-cert.pem")) == {ExtendedKeyUsageOID.CLIENT_AUTH}


def test_going_over_to_one_leaf_takes_the_second_away(household: Household) -> None:
    household.text = CALLING.format(a="")
    household.apply()
    household.text = CALLING.format(a=", client: same")
    household.apply()
    assert purposes(household.certificate("servers/a/tls/cert.pem")) == BOTH
    assert not (household.out / "servers/a/tls/client-key.pem").exists()


def test_the_second_certificate_can_be_another_cas_with_names_and_a_key_of_its_own(household: Household) -> None:
    second = "{issuer: apart, names: [a-out.internal], subject: {common_name: a out}, key: ec-p384}"
    household.text = CALLING.format(a=f", client: {second}, files: {{client_combined: true, client_truststore: true}}")
    household.apply()
    leaf = household.certificate("servers/a/tls/client-cert.pem")
    assert leaf.issuer == household.certificate("pki/apart/ca.crt").subject
    assert leaf.subject.rfc4514_string() == "CN=a out"
    assert leaf.public_key().curve.name == "secp384r1"  # type: ignore[union-attr]
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["a-out.internal"]
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://bank/server/a"]
    assert tls(household, "ca.pem", "servers/b/tls").read_bytes() == (household.out / "pki/apart/ca.crt").read_bytes()
    combined = tls(household, "client-combined.pem", "servers/a/tls").read_bytes()
    assert combined == b"".join(
        tls(household, name, "servers/a/tls").read_bytes() for name in ("client-key.pem", "client-cert.pem")
    )
    assert household.plan().changes == ()


@pytest.mark.parametrize(
    ("client", "said"),
    [
        ("both", "is neither same nor a second certificate"),
        ("{}", "a second certificate is empty"),
        ("{issuer: nobody}", "no such CA"),
        ("{names: ['spiffe://x/y']}", "it is the identity of a"),
        ("same, fault: expired", "a fault would affect both"),
        ("{lifetime: 1d}", "unknown key"),
    ],
)
def test_what_a_second_certificate_cannot_be(household: Household, client: str, said: str) -> None:
    household.text = CALLING.format(a=f", client: {client}")
    with pytest.raises(TopologyError, match=said):
        household.plan()


def test_one_leaf_is_for_templates_that_can_call_with_it(household: Household) -> None:
    household.text = CALLING.format(a=", client: same").replace("a: {template: files", "a: {template: python")
    with pytest.raises(TopologyError, match="calls with a second certificate alone"):
        household.plan()


def test_who_calls_nobody_has_no_second_certificate_to_speak_of(household: Household) -> None:
    household.text = CALLING.format(a=", client: {key: ec-p384}").replace(", calls: [b]", "")
    with pytest.raises(TopologyError, match="makes no calls with one"):
        household.plan()


# --- Where the key, or the certificate, is somebody else's ------------------------------------------------------------


def test_a_certificate_for_a_request_needs_no_key_here(household: Household) -> None:
    require_command("openssl")
    OpenSslCa.made(household.folder / "host", "Host").request("db", "/CN=db")
    bank(household, ", csr: host/db.csr, client: same, files: {truststore: true, names: {cert.pem: server.crt}}")
    household.apply()
    assert not tls(household, "key.pem").exists()
    assert purposes(household.certificate("servers/db/tls/server.crt")) == BOTH
    assert "YOUR-KEY.pem" in (household.out / "servers/db/README.md").read_text()
    assert household.plan().changes == ()


def test_without_a_key_nothing_can_hold_one(household: Household) -> None:
    require_command("openssl")
    OpenSslCa.made(household.folder / "host", "Host").request("db", "/CN=db")
    with pytest.raises(TopologyError, match="needs a private key, and there is none"):
        bank(household, ", csr: host/db.csr, files: {combined: true}").plan()


def test_a_certificate_from_elsewhere_is_laid_out_alike(household: Household) -> None:
    require_command("openssl")
    ca = OpenSslCa.made(household.folder / "public", "Public")
    ca.issue("db", "/CN=db.internal", "DNS:db.internal")
    existing = "{certificate: public/db.pem, chain: public/ca.pem, key: public/db.key, trust: public/root.pem}"
    bank(household, f"{ALL}, existing: {existing}")
    household.text = household.text.replace("db:\n    {template: files, issuer: issuing,", "db:\n    {template: files,")
    project = household.open()
    household.now = ca_now(ca)
    planned = plan_all(look(project.topology, project.kinds, project.layout, household.now))
    household.carry_out(planned)
    assert tls(household, "server.crt").read_bytes() == tls(household, "cert.pem").read_bytes()
    assert tls(household, "combined.pem").read_bytes().startswith(b"-----BEGIN PRIVATE KEY")


def ca_now(ca: OpenSslCa):  # type: ignore[no-untyped-def]
    """A moment at which what OpenSSL has just made is valid."""
    return x509.load_pem_x509_certificate((ca.folder / "db.pem").read_bytes()).not_valid_before_utc


# --- Whom the trust file holds ---------------------------------------------------------------------------------------


def test_an_anchor_at_the_issuing_ca_is_that_ca(household: Household) -> None:
    bank(household, ", files: {anchor: issuer}").apply()
    assert tls(household, "ca.pem").read_bytes() == (household.out / "pki/issuing/ca.crt").read_bytes()
    bank(household, "").apply()
    assert tls(household, "ca.pem").read_bytes() == (household.out / "pki/root/ca.crt").read_bytes()
