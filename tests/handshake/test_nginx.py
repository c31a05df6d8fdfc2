"""The nginx kind before real handshakes: who is drawn gets in, everybody else stays out."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from scaffold.errors import VerifyError
from scaffold.pki import bundles
from scaffold.running.ports import free_addresses
from scaffold.settings.values import Files, Revocation
from scaffold.topology.model import Fault, KeyType, Subject
from tests.handshake.nginx_lab import (
    KIND,
    WITHIN,
    Authority,
    Credential,
    Project,
    address,
    allow,
    authority,
    client,
    context_of,
    crl_of,
    project,
    running,
    server,
    until,
)
from tests.requirements import require_command

require_command("nginx")

AGO = timedelta(minutes=-5)
AWKWARD = (
    "O'Brien & Sons, Ltd.",
    'the "big" one',
    "back\\slash \\E \\Q \\n",
    "$caller ${caller} {{ cookiecutter.name }}",
    "Ćao 日本 №5",
    "  spaces around  ",
    "#hash; <angle> = a+b",
    "(.*)|[a-z]{1,9}?^$",
    "SUCCESS issuing",
)


@pytest.fixture(scope="module")
def desk(root: Authority, ca: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A server that lets the teller in and nobody else."""
    made = project(tmp_path_factory.mktemp("desk"), root, ca, [allow("teller", ca)], health=health())
    with running(made.write()) as running_desk:
        yield running_desk


def health():
    (free,) = free_addresses(1)
    return address(free.port)


# --- Who gets in -----------------------------------------------------------------------------------------------------


def test_the_drawn_caller_is_let_in_and_named(desk: Project, teller: Credential) -> None:
    answer = desk.ask(teller)
    assert answer.status == 200
    named = {"server": "desk", "caller": "spiffe://lab/client/teller", "roles": [], "on_behalf_of": None}
    assert answer.json == {**named, "greeting": "hello"}
    assert desk.ask(teller, "/.mtls/caller").json == named
    assert answer.headers["strict-transport-security"] == "max-age=63072000"


def test_a_valid_caller_who_is_not_drawn_is_told_so(desk: Project, ca: Authority) -> None:
    answer = desk.ask(client(ca, "auditor"))
    assert answer.status == 403
    assert "not among the callers of desk" in answer.error


def test_a_leaf_without_its_intermediates_gets_in(desk: Project, teller: Credential) -> None:
    assert desk.ask(teller.alone).status == 200


def test_and_it_is_the_intermediates_file_that_lets_it_in(
    tmp_path: Path, root: Authority, ca: Authority, teller: Credential
) -> None:
    made = project(tmp_path, root, ca, [allow("teller", ca)])
    with running(made.write(change=lambda text: text.replace("ssl_trusted_certificate", "# "))):
        assert made.ask(teller).status == 200
        assert "unable to verify the first certificate" in made.ask(teller.alone).error


def rogue_foreign_root(root: Authority, ca: Authority) -> Credential:
    return client(authority("Lab Issuing", authority("Other Root")), "teller")


def rogue_same_names(root: Authority, ca: Authority) -> Credential:
    return client(authority("Lab Issuing", authority("Lab Root")), "teller")


def rogue_self_signed_issuer(root: Authority, ca: Authority) -> Credential:
    return client(authority("Lab Issuing"), "teller")


def rogue_expired(root: Authority, ca: Authority) -> Credential:
    return client(ca, "teller", ends=AGO)


def rogue_not_yet_valid(root: Authority, ca: Authority) -> Credential:
    return client(ca, "teller", starts=-AGO)


def rogue_server_certificate(root: Authority, ca: Authority) -> Credential:
    return client(ca, "teller", fault=Fault.WRONG_EKU)


def rogue_too_deep(root: Authority, ca: Authority) -> Credential:
    return client(authority("Lab Issuing", ca), "teller")


def rogue_issued_by_a_leaf(root: Authority, ca: Authority) -> Credential:
    from scaffold.pki.issue import Issuer

    other = client(ca, "auditor")
    return client(Authority(Issuer(other.certificate, other.key), (other.certificate, *other.chain)), "teller")


@pytest.mark.parametrize(
    ("rogue", "reason"),
    [
        (rogue_foreign_root, "unable to get"),
        (rogue_same_names, "unable to get|signature failure"),
        (rogue_self_signed_issuer, "unable to verify the first certificate"),
        (rogue_expired, "certificate has expired"),
        (rogue_not_yet_valid, "certificate is not yet valid"),
        (rogue_server_certificate, "unsuitable certificate purpose|unsupported certificate purpose"),
        (rogue_too_deep, "unable to get issuer certificate|chain too long"),
        (rogue_issued_by_a_leaf, "key usage does not include certificate signing|invalid CA certificate"),
    ],
)
def test_an_allowed_name_with_one_fault_stays_out(
    desk: Project, root: Authority, ca: Authority, rogue: Callable[[Authority, Authority], Credential], reason: str
) -> None:
    answer = desk.ask(rogue(root, ca))
    assert answer.status == 400
    assert any(each in answer.error for each in reason.split("|")), answer.error


def test_no_certificate_stays_out(desk: Project) -> None:
    answer = desk.ask(None)
    assert (answer.status, answer.json) == (400, {"error": "no client certificate was sent"})


def test_what_nginx_does_not_see_is_what_the_readme_says(desk: Project, root: Authority, ca: Authority) -> None:
    """A sibling that has the issuer's own name, and a certificate that says nothing of its purpose."""
    assert desk.ask(client(authority("Lab Issuing", root), "teller")).status == 200
    assert desk.ask(client(ca, "teller", fault=Fault.NO_EKU)).status == 200
    said = " ".join((desk.folder / "README.md").read_text().split())
    assert "a certificate of another CA below the same root that has the issuer's whole name" in said
    assert "a certificate without any extended key usage" in said


def test_the_root_that_signs_the_same_name_itself_gets_nobody_in(desk: Project, root: Authority) -> None:
    assert desk.ask(client(root, "teller")).status == 403


@pytest.mark.parametrize("name", ["TELLER", "Teller", "teller ", "xteller", "tellerx", "t.ller", ""])
def test_a_name_that_only_resembles_stays_out(desk: Project, ca: Authority, name: str) -> None:
    subject = Subject(common_name=name, organization="Contoso Bank", country="NL")
    assert desk.ask(client(ca, "teller", subject=subject)).status == 403


@pytest.mark.parametrize("subject", [Subject("teller"), Subject("teller", "Contoso Bank", "Desk", "NL")])
def test_a_subject_with_more_or_fewer_parts_stays_out(desk: Project, ca: Authority, subject: Subject) -> None:
    assert desk.ask(client(ca, "teller", subject=subject)).status == 403


def test_case_counts_because_the_names_are_regular_expressions(
    tmp_path: Path, root: Authority, ca: Authority, teller: Credential
) -> None:
    made = project(tmp_path, root, ca, [allow("teller", ca)])
    with running(made.write(change=lambda text: text.replace('"~^', '"~*^'))):
        assert made.ask(teller).status == 200
        assert made.ask(client(ca, "teller", subject=Subject("TELLER", "Contoso Bank", None, "NL"))).status == 200


def test_an_allow_list_of_nobody_lets_nobody_in(
    tmp_path: Path, root: Authority, ca: Authority, teller: Credential
) -> None:
    with running(project(tmp_path, root, ca, []).write()) as desk:
        assert desk.ask(teller).status == 403


def test_an_allow_list_opened_to_all_would_let_others_in(tmp_path: Path, root: Authority, ca: Authority) -> None:
    made = project(tmp_path, root, ca, [allow("teller", ca)])
    with running(made.write(change=lambda text: text.replace('default "";', "default anybody;"))):
        assert made.ask(client(ca, "auditor")).status == 200


def test_awkward_names_are_told_apart(tmp_path: Path, root: Authority, ca: Authority) -> None:
    subjects = {f"caller-{i}": Subject(name, 'Contoso "Bank", \\E$x', "Ć;") for i, name in enumerate(AWKWARD)}
    callers = {name: client(ca, name, subject=subject) for name, subject in subjects.items()}
    allowed = [allow(name, ca, caller) for name, caller in callers.items()]
    with running(project(tmp_path, root, ca, allowed).write()) as desk:
        for name, caller in callers.items():
            assert desk.ask(caller).json["caller"] == f"spiffe://lab/client/{name}", caller.dn
    with running(project(tmp_path / "without", root, ca, allowed[1:]).write()) as desk:
        assert desk.ask(callers["caller-0"]).status == 403


def test_an_awkward_issuer_is_the_same_issuer(tmp_path: Path, root: Authority) -> None:
    ca = authority('Q\\E "A", $b {č}', root, organization="日本; Ltd.")
    other = authority('q\\e "a", $b {č}', root, organization="日本; Ltd.")
    made = project(tmp_path, root, ca, [allow("teller", ca)])
    with running(made.write()) as desk:
        assert desk.ask(client(ca, "teller")).status == 200
        assert desk.ask(client(other, "teller")).status == 403


def test_a_root_that_issues_leaves_itself(tmp_path: Path, root: Authority) -> None:
    made = project(tmp_path, root, root, [allow("teller", root)], verify_depth=0)
    assert not (made.tls / "intermediates.pem").exists()
    with running(made.write()):
        assert made.ask(client(root, "teller")).status == 200
        assert made.ask(client(authority("Between", root), "teller")).status == 400
    made = project(tmp_path / "deeper", root, root, [allow("teller", root)], verify_depth=1)
    (made.tls / "intermediates.pem").write_bytes(bundles.pem(authority("Another", root).certificate))
    with running(made.write()):
        assert made.ask(client(authority("Between", root), "teller")).status == 403


def test_other_paths_are_not_there(desk: Project, ca: Authority, teller: Credential) -> None:
    assert desk.ask(teller, "/else").status == 404
    assert desk.ask(client(ca, "auditor"), "/else").status == 403
    assert desk.ask(None, "/else").status == 400


# --- Revocation ------------------------------------------------------------------------------------------------------


def checking(folder: Path, root: Authority, ca: Authority, crls: bytes, **changes: object) -> Project:
    """A server that checks CRLs, with these CRLs."""
    made = project(
        folder, root, ca, [allow("teller", ca)], revocation=Revocation("crl"), files=Files(crl="tls/crl.pem"), **changes
    )
    (made.tls / "crl.pem").write_bytes(crls)
    return made


@pytest.mark.parametrize("missing", ["root", "issuing"])
def test_without_the_crl_of_one_ca_nobody_gets_in(
    tmp_path: Path, root: Authority, ca: Authority, teller: Credential, missing: str
) -> None:
    crls = crl_of(ca) if missing == "root" else crl_of(root)
    with running(checking(tmp_path, root, ca, crls).write()) as desk:
        assert "unable to get certificate CRL" in desk.ask(teller).error


def test_a_forged_crl_lets_nobody_in(tmp_path: Path, root: Authority, ca: Authority, teller: Credential) -> None:
    with running(checking(tmp_path, root, ca, crl_of(root) + crl_of(authority("Lab Issuing", root))).write()) as desk:
        assert desk.ask(teller).status == 400


# --- TLS -------------------------------------------------------------------------------------------------------------


def at_most(version: ssl.TLSVersion) -> Callable[[ssl.SSLContext], None]:
    def tune(context: ssl.SSLContext) -> None:
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.maximum_version = version

    return tune


def only(cipher: str) -> Callable[[ssl.SSLContext], None]:
    def tune(context: ssl.SSLContext) -> None:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(cipher)

    return tune


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_intermediate_speaks_tls_1_2_and_nothing_below(desk: Project, teller: Credential) -> None:
    assert desk.ask(teller, tune=at_most(ssl.TLSVersion.TLSv1_2)).status == 200
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        desk.ask(teller, tune=at_most(ssl.TLSVersion.TLSv1_1))


def test_weak_ciphers_are_not_spoken(desk: Project, teller: Credential) -> None:
    assert desk.ask(teller, tune=only("ECDHE-ECDSA-AES128-GCM-SHA256")).status == 200
    with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"):
        desk.ask(teller, tune=only("ECDHE-ECDSA-AES128-SHA256"))


def test_groups_outside_the_profile_are_not_spoken(desk: Project, teller: Credential) -> None:
    def curve(name: str) -> Callable[[ssl.SSLContext], None]:
        return lambda context: context.set_ecdh_curve(name)

    assert desk.ask(teller, tune=curve("secp384r1")).status == 200
    with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"):
        desk.ask(teller, tune=curve("secp521r1"))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_never_resumed(
    tmp_path: Path, root: Authority, ca: Authority, teller: Credential, version: ssl.TLSVersion
) -> None:
    """A resumed session would bring back an old verdict: neither dates nor CRL are looked at again."""

    def resumed(desk: Project) -> bool:
        context = context_of(teller, root)
        context.maximum_version = version
        sessions: list[ssl.SSLSession] = []
        desk.ask(None, context=context, keep=sessions)
        return desk.ask(None, context=context, session=sessions[0]).resumed if sessions else False

    with running(project(tmp_path / "as-rendered", root, ca, [allow("teller", ca)]).write()) as desk:
        assert not resumed(desk)
    spoiled = project(tmp_path / "spoiled", root, ca, [allow("teller", ca)])
    spoiled.write(
        change=lambda text: text.replace("tickets off", "tickets on").replace("cache off", "cache shared:s:1m")
    )
    with running(spoiled) as desk:
        assert resumed(desk)


def test_plain_http_on_the_tls_port_is_told_so(desk: Project) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"http://127.0.0.1:{desk.port}/")
    assert refused.value.code == 400
    assert "TLS" in json.loads(refused.value.read())["error"]


def test_health_answers_in_the_clear_and_says_nothing_else(desk: Project) -> None:
    assert desk.settings.health is not None
    base = f"http://{desk.settings.health.literal}"
    with urllib.request.urlopen(f"{base}/healthz") as answer:
        assert (answer.status, answer.read()) == (200, b"ok")
    for path in ("/", "/healthz/", "/call/vault"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(base + path)
        assert refused.value.code == 404


# --- Key types -------------------------------------------------------------------------------------------------------

KEYS = (KeyType.RSA_2048, KeyType.RSA_3072, KeyType.EC_P256, KeyType.EC_P384, KeyType.EC_P521, KeyType.ED25519)


@pytest.mark.parametrize("kind", KEYS)
def test_key_types_as_declared(tmp_path: Path, kind: KeyType) -> None:
    """Root, CA, server and caller all of one type, in TLS 1.2 and 1.3. P-521 leaves fail in TLS 1.2: no such group."""
    root = authority("Lab Root", key=kind)
    ca = authority("Lab Issuing", root, key=kind)
    made = project(tmp_path, root, ca, [allow("teller", ca)])
    made.own = server(ca, "desk", "localhost", key=kind)
    teller = client(ca, "teller", key=kind)
    with running(made.write()) as desk:
        assert desk.ask(teller).status == 200
        if kind in KIND.capabilities.tls12_refuses:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                desk.ask(teller, tune=at_most(ssl.TLSVersion.TLSv1_2))
        else:
            assert desk.ask(teller, tune=at_most(ssl.TLSVersion.TLSv1_2)).status == 200


# --- run.sh ----------------------------------------------------------------------------------------------------------


def test_it_keeps_what_it_writes_in_its_run_folder(
    tmp_path: Path, root: Authority, ca: Authority, teller: Credential
) -> None:
    made = project(tmp_path, root, ca, [allow("teller", ca)]).write()
    before = set(tmp_path.rglob("*"))
    with running(made):
        made.ask(teller)
    assert set(tmp_path.rglob("*")) - before == {tmp_path / "run", tmp_path / "run" / "access.log"}
    (line,) = (tmp_path / "run" / "access.log").read_text().splitlines()
    assert json.loads(line)["caller"] == "spiffe://lab/client/teller"


def test_the_log_names_no_caller_whose_certificate_was_refused(desk: Project, ca: Authority) -> None:
    desk.ask(client(ca, "teller", ends=AGO), "/with-an-expired-certificate")
    log = desk.folder / "run" / "access.log"
    until(lambda: "/with-an-expired-certificate" in log.read_text())  # it is written once a second
    last = json.loads(log.read_text().splitlines()[-1])
    assert (last["caller"], last["verify"], last["status"]) == ("", "FAILED:certificate has expired", 400)


@pytest.mark.parametrize(
    "value", ["8443", "127.0.0.1:", ":8443", "127.0.0.1:84 43", "127.0.0.1:1; include x", "a\nb:1"]
)
def test_an_address_that_is_none_is_a_clear_error(tmp_path: Path, root: Authority, ca: Authority, value: str) -> None:
    made = project(tmp_path, root, ca, []).write()
    ended = subprocess.run(
        [made.folder / "run.sh"], env={**os.environ, "LISTEN": value}, capture_output=True, text=True, timeout=WITHIN
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("desk: LISTEN is not host:port: ")


def test_a_taken_port_is_a_clear_error(tmp_path: Path, root: Authority, ca: Authority) -> None:
    made = project(tmp_path, root, ca, []).write()
    with (
        socket.create_server(("127.0.0.1", made.port)),
        pytest.raises(VerifyError, match="Address already in use"),
        running(made),
    ):
        pass


def test_a_second_root_in_the_trust_file_lets_its_clients_be_verified(
    tmp_path: Path, root: Authority, ca: Authority
) -> None:
    """What the plan refuses, seen: nginx compares names, and a namesake under another trusted root passes."""
    other = authority("Other Root")
    namesake = authority("Lab Issuing", other)
    made = project(tmp_path, root, ca, [allow("teller", ca)]).write()
    with running(made):
        assert made.ask(client(namesake, "teller")).status == 400
    (made.tls / "ca.pem").write_bytes(bundles.chain_pem([root.certificate, other.certificate]))
    with running(made):
        assert made.ask(client(namesake, "teller")).status == 200
