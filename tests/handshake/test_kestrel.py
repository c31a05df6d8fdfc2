"""The kestrel kind before real handshakes: who is drawn gets in, everybody else stays out."""

from __future__ import annotations

import http.client
import http.server
import json
import re
import socket
import ssl
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from scaffold.errors import VerifyError
from scaffold.pki import bundles, issue, keys
from scaffold.pki.profiles import CertificateProfile
from scaffold.running.ports import free_addresses
from scaffold.settings.values import Revocation
from scaffold.topology.model import Fault, KeyType, Subject
from tests.fresh import new_key, new_serial
from tests.handshake import dotnet_lab as lab
from tests.handshake.nginx_lab import (
    MODERN,
    WITHIN,
    Answer,
    Authority,
    Credential,
    address,
    allow,
    authority,
    brief,
    call_of,
    client,
    context_of,
    identity,
    now,
    server,
    until,
    upstream,
)
from tests.requirements import require_command

require_command("dotnet")

CLERK = ["reader", "approver"]

AGO = timedelta(minutes=-5)


@pytest.fixture(scope="module")
def other_root() -> Authority:
    """Another root that the server trusts."""
    return authority("Other Root")


@pytest.fixture(scope="module")
def desk(
    root: Authority, other_root: Authority, ca: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[lab.Project]:
    """A server with everything: PEM files, a health port, a server that it calls. The teller and a gateway may call."""
    health, called = free_addresses(2)
    allowed = [allow("teller", ca), allow("gate", ca, gateway=True, roles=["front"]), allow("clerk", ca, roles=CLERK)]
    made = lab.server_project(
        tmp_path_factory.mktemp("desk"), root, ca, allowed,
        roots=[other_root], files=lab.CALLING, calls=(call_of("the-vault", called.port, "vault.internal"),),
        health=address(health.port),
    )  # fmt: skip
    with lab.running(made.write({"greeting": '"it\'s"\n{{ 7 * 7 }} {0} </b> Ć'})) as running:
        yield running


@pytest.fixture(scope="module")
def bundled(root: Authority, ca: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[lab.Project]:
    """A server with its certificate in a PFX and nothing beyond."""
    folder = tmp_path_factory.mktemp("bundled")
    made = lab.server_project(folder, root, ca, [allow("teller", ca)], files=lab.PFX, tls=MODERN)
    with lab.running(made.write()) as running:
        yield running


def _as_desk() -> dict[str, object]:
    """What makes a server's code that of `desk`, so that it need not be built once more."""
    health, called = free_addresses(2)
    return {
        "files": lab.CALLING,
        "calls": (call_of("the-vault", called.port, "vault.internal"),),
        "health": address(health.port),
    }


def cut_off(project: lab.Project, caller: Credential | None, **how: object) -> None:
    """The handshake is refused: the connection ends, and nothing is answered."""
    with pytest.raises(OSError):  # noqa: PT011 - an alert, an end or a reset: all are OSError, and no answer is
        project.ask(caller, **how)


# --- Who gets in -----------------------------------------------------------------------------------------------------


def test_a_drawn_caller_is_named(desk: lab.Project, teller: Credential) -> None:
    answer = desk.ask(teller)
    assert answer.status == 200
    named = {"server": "desk", "caller": identity("teller"), "roles": [], "on_behalf_of": None}
    assert json.loads(answer.body) == {**named, "greeting": '"it\'s"\n{{ 7 * 7 }} {0} </b> Ć'}
    assert json.loads(desk.ask(teller, "/.mtls/caller").body) == named
    wrong = desk.ask(teller, "/.mtls/caller", method="POST")
    assert (wrong.status, wrong.headers["allow"]) == (405, "GET, HEAD")


def test_the_pfx_serves_with_its_whole_chain(bundled: lab.Project, teller: Credential, root: Authority) -> None:
    assert bundled.ask(teller).status == 200  # `ask` believes the root alone, so the intermediate was sent
    assert not (bundled.tls / "key.pem").exists()
    cut_off(bundled, None)


def test_a_caller_may_send_its_leaf_alone(desk: lab.Project, teller: Credential) -> None:
    assert desk.ask(teller.alone).status == 200


def test_http_2(desk: lab.Project, teller: Credential, tmp_path: Path) -> None:
    require_command("curl")
    teller.write(tmp_path / "cert.pem", tmp_path / "key.pem")
    shown = subprocess.run(
        ["curl", "-sS", "--http2", "-o", tmp_path / "body", "-w", "%{http_version} %{http_code}",
         "--cacert", desk.tls / "ca.pem", "--cert", tmp_path / "cert.pem", "--key", tmp_path / "key.pem",
         "--resolve", f"localhost:{desk.port}:127.0.0.1", f"https://localhost:{desk.port}/"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert shown.stdout == "2 200"
    assert json.loads((tmp_path / "body").read_text())["caller"] == identity("teller")


# --- Who stays out of TLS --------------------------------------------------------------------------------------------


def _self_signed() -> Credential:
    key = new_key(KeyType.EC_P256)
    profile = CertificateProfile(Subject(common_name="teller"), "client", (lab.uri("teller"),))
    dates = {"not_before": now() + AGO, "not_after": now() + timedelta(hours=1)}
    return Credential(issue.self_signed(profile, key, serial=new_serial(), **dates), key, ())


def _from_a_leaf(ca: Authority) -> Credential:
    signer = client(ca, "teller")
    below = Authority(issue.Issuer(signer.certificate, signer.key), (signer.certificate, *signer.chain))
    return client(below, "teller")


REFUSED = {
    "nothing": ("no certificate", lambda _root, _ca: None),
    "foreign root": ("PartialChain", lambda _root, _ca: client(authority("Lab Root"), "teller")),
    "foreign root, sent": ("UntrustedRoot", lambda _root, _ca: _with_root(authority("Lab Root"))),
    "foreign namesakes": ("", lambda _root, _ca: client(authority("Lab Issuing", authority("Lab Root")), "teller")),
    "self-signed": ("UntrustedRoot", lambda _root, _ca: _self_signed()),
    "expired": ("NotTimeValid", lambda _root, ca: client(ca, "teller", ends=AGO)),
    "not yet valid": ("NotTimeValid", lambda _root, ca: client(ca, "teller", starts=timedelta(minutes=30))),
    "a server's": ("NotValidForUsage", lambda _root, ca: client(ca, "teller", fault=Fault.WRONG_EKU)),
    "without purpose": ("it is for clients", lambda _root, ca: client(ca, "teller", fault=Fault.NO_EKU)),
    "issued by a leaf": ("InvalidBasicConstraints", lambda _root, ca: _from_a_leaf(ca)),
    "the root itself": ("", lambda root, _ca: Credential(root.certificate, root.issuer.key, ())),
}  # fmt: skip


def _with_root(ca: Authority) -> Credential:
    return replace(client(ca, "teller"), chain=(ca.certificate,))


@pytest.mark.parametrize("what", REFUSED)
def test_refused_in_the_handshake(
    what: str, desk: lab.Project, root: Authority, ca: Authority, teller: Credential
) -> None:
    reason, make = REFUSED[what]
    before = desk.refusals(reason)
    cut_off(desk, make(root, ca))
    until(lambda: desk.refusals(reason) > before)
    assert desk.ask(teller).status == 200


def test_without_the_intermediates_a_leaf_alone_is_refused(
    root: Authority, ca: Authority, teller: Credential, tmp_path: Path
) -> None:
    """The failing twin of the caller that sends its leaf alone: tls/intermediates.pem is what lets it in."""
    made = lab.server_project(tmp_path, root, ca, [allow("teller", ca)], intermediates=[], files=lab.PFX)
    with lab.running(made.write()) as project:
        assert project.ask(teller).status == 200
        cut_off(project, teller.alone)


def test_the_systems_roots_have_no_say(root: Authority, ca: Authority, teller: Credential, tmp_path: Path) -> None:
    """The sample trusted every root of the system."""
    foreign = authority("Foreign Root")
    (tmp_path / "system.pem").write_bytes(bundles.pem(foreign.certificate))
    made = lab.server_project(
        tmp_path / "desk", root, ca, [allow("teller", ca), allow("teller", foreign)], files=lab.PFX
    )
    with lab.running(made.write(), SSL_CERT_FILE=str(tmp_path / "system.pem")) as project:
        assert project.ask(teller).status == 200
        cut_off(project, client(foreign, "teller"))


# --- Who stays out of HTTP -------------------------------------------------------------------------------------------


def _two_names(ca: Authority) -> Credential:
    return lab.leaf(ca, "teller", "client", [lab.uri("teller"), lab.uri("gate")])


FORBIDDEN = {
    "not-allowed": ("may not call", lambda ca, _root, _other: client(ca, "stranger")),
    "sibling CA": ("may not call", lambda _ca, root, _other: client(authority("Sibling", root), "teller")),
    "namesake CA under another trusted root": (
        "may not call", lambda _ca, _root, other: client(authority("Lab Issuing", other), "teller"),
    ),
    "another trusted root": ("may not call", lambda _ca, _root, other: client(other, "teller")),
    "two URIs": ("exactly one URI", lambda ca, _root, _other: _two_names(ca)),
    "no names": ("exactly one URI", lambda ca, _root, _other: client(ca, "teller", fault=Fault.NO_SAN)),
    "identity in other case": ("may not call", lambda ca, _root, _other: client(ca, "Teller")),
}  # fmt: skip


@pytest.mark.parametrize("what", FORBIDDEN)
@pytest.mark.parametrize("path", ["/", "/.mtls/caller", "/accounts/1001", "/call/the-vault", "/no-such-path"])
def test_forbidden(
    what: str, path: str, desk: lab.Project, ca: Authority, root: Authority, other_root: Authority, teller: Credential
) -> None:
    reason, make = FORBIDDEN[what]
    answer = desk.ask(make(ca, root, other_root), path)
    assert answer.status == 403
    assert reason in json.loads(answer.body)["error"]
    assert desk.ask(teller, path).status != 403


def test_who_is_believed_about_others(desk: lab.Project, ca: Authority, teller: Credential) -> None:
    headers = [("X-Client-Subject", "CN=mallory"), ("X-Client-Issuer", "CN=Lab Issuing")]
    through_gateway = json.loads(desk.ask(client(ca, "gate"), headers=headers).body)
    assert through_gateway["on_behalf_of"] == {"subject": "CN=mallory", "issuer": "CN=Lab Issuing", "roles": []}
    assert json.loads(desk.ask(teller, headers=headers).body)["on_behalf_of"] is None
    assert through_gateway["roles"] == ["front"]
    twice = [*headers, ("X-Client-Subject", "CN=other")]
    assert json.loads(desk.ask(client(ca, "gate"), headers=twice).body)["on_behalf_of"] is None


@pytest.mark.parametrize("path", ["/", "/.mtls/caller"])
def test_a_caller_has_the_roles_of_its_edge(path: str, desk: lab.Project, ca: Authority) -> None:
    named = [("X-Client-Subject", "CN=mallory"), ("X-Client-Issuer", "CN=Lab Issuing")]
    forged = [*named, ("X-Client-Roles", "admin")]
    answer = json.loads(desk.ask(client(ca, "clerk"), path, headers=forged).body)
    assert (answer["roles"], answer["on_behalf_of"]) == (CLERK, None)

    def told(*values: str) -> list[str]:
        headers = [*named, *(("X-Client-Roles", value) for value in values)]
        answer = json.loads(desk.ask(client(ca, "gate"), path, headers=headers).body)
        assert answer["roles"] == ["front"]
        roles: list[str] = answer["on_behalf_of"]["roles"]
        return roles

    assert told("reader,x.Y_z-1") == told("reader , x.Y_z-1") == ["reader", "x.Y_z-1"]
    assert told() == told("a", "b") == told("a,,b") == told("a b") == told('"') == told("") == []


# --- Plaintext -------------------------------------------------------------------------------------------------------


def _plainly(port: int, path: str, **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=WITHIN) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_health_port_answers_healthz_alone(desk: lab.Project) -> None:
    health = desk.settings.health.port  # type: ignore[union-attr]
    assert _plainly(health, "/healthz") == (200, "ok")
    for path in ("/", "/accounts/1001", "/call/the-vault", "/healthz/", "/healthz/x"):
        assert _plainly(health, path, Host=f"localhost:{desk.port}")[0] == 404, path


def test_no_setting_makes_it_serve_without_tls(
    root: Authority, ca: Authority, teller: Credential, tmp_path: Path
) -> None:
    """The sample had a profile that served in plaintext, without any certificate."""
    plain, more = free_addresses(2)
    made = lab.server_project(tmp_path, root, ca, [allow("teller", ca)], files=lab.PFX).write()
    assert "http" not in (tmp_path / "Properties" / "launchSettings.json").read_text().replace("https", "")
    asked = {"ASPNETCORE_URLS": f"http://{plain}", "Kestrel__Endpoints__Plain__Url": f"http://{more}"}
    with lab.running(made, **asked) as project:
        assert project.ask(teller).status == 200
        for open_port in (plain.port, more.port):
            try:
                assert _plainly(open_port, "/accounts/1001") == (404, "")
            except urllib.error.URLError as error:
                assert isinstance(error.reason, ConnectionRefusedError)  # noqa: PT017


# --- The TLS profile -------------------------------------------------------------------------------------------------


def _tls12(context: ssl.SSLContext) -> None:
    context.maximum_version = ssl.TLSVersion.TLSv1_2


def test_modern_speaks_tls_1_3_alone(bundled: lab.Project, desk: lab.Project, teller: Credential) -> None:
    assert bundled.ask(teller).status == 200
    cut_off(bundled, teller, tune=_tls12)
    assert desk.ask(teller, tune=_tls12).status == 200


def test_intermediate_takes_its_own_ciphers_alone(desk: lab.Project, teller: Credential) -> None:
    def weak(context: ssl.SSLContext) -> None:
        _tls12(context)
        context.set_ciphers("ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA")

    cut_off(desk, teller, tune=weak)


# --- Sessions and connections ----------------------------------------------------------------------------------------


def test_a_resumed_session_is_validated_again(bundled: lab.Project, ca: Authority, root: Authority) -> None:
    @contextmanager
    def resumed(caller: Credential) -> Iterator[Callable[[], Answer]]:
        """How another session is resumed, after one was."""
        context, sessions = context_of(caller, root), list[ssl.SSLSession]()

        def resume() -> Answer:
            return bundled.ask(None, context=context, session=sessions[-1], keep=sessions)

        assert not bundled.ask(None, context=context, keep=sessions).resumed
        second = resume()
        assert (second.status, second.resumed) == (200, True)
        yield resume

    def has_ended(resume: Callable[[], Answer]) -> bool:
        try:
            resume()
        except OSError:
            return True
        return False

    with brief(ca, resumed) as (_, resume):
        before = bundled.refusals("NotTimeValid")
        until(lambda: has_ended(resume))
        until(lambda: bundled.refusals("NotTimeValid") > before)


def test_an_open_connection_does_not_outlive_the_certificate(desk: lab.Project, ca: Authority, root: Authority) -> None:
    @contextmanager
    def answered(caller: Credential) -> Iterator[Callable[[], int]]:
        with _kept_open(desk.port, caller, root) as get:
            assert get() == 200
            yield get

    with brief(ca, answered) as (_, get):
        until(lambda: _is_refused(get))


def _is_refused(get: Callable[[], int]) -> bool:
    """403 at once; a little later the connection itself ends, which may fall on this very request."""
    try:
        return get() == 403
    except OSError:
        return True


@contextmanager
def _kept_open(port: int, caller: Credential, root: Authority) -> Iterator[Callable[[], int]]:
    connection = http.client.HTTPSConnection("localhost", port, context=context_of(caller, root), timeout=WITHIN)

    def get() -> int:
        connection.request("GET", "/")
        response = connection.getresponse()
        response.read()
        return response.status

    try:
        yield get
    finally:
        connection.close()


# --- What changes in tls/ --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bundle", [False, True], ids=["pem", "pfx"])
def test_ten_renewals_under_traffic_fail_no_request(
    bundle: bool, root: Authority, ca: Authority, teller: Credential, tmp_path: Path
) -> None:
    """Short-lived certificates: that of the server, and its caller's, are replaced while requests come in."""
    made = lab.server_project(
        tmp_path, root, ca, [allow("teller", ca)], **({"files": lab.PFX} if bundle else _as_desk())
    ).write()
    with lab.running(made) as project:
        done, failures, served = threading.Event(), list[Exception](), list[bytes]()
        caller = teller

        def keep_asking() -> None:
            while not done.is_set():
                try:
                    answer = project.ask(caller)
                    assert answer.status == 200
                    served.append(answer.shown)
                except Exception as error:
                    failures.append(error)

        threads = [threading.Thread(target=keep_asking) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            for number in range(10):
                newest = lab.own(ca, "desk", "localhost")
                project.write_own(newest)
                caller = client(ca, "teller")
                if number % 2:  # every other time the service is left to see for itself that tls/ has changed
                    project.reload()
                until(lambda newest=newest: project.ask(teller).shown == newest.certificate.public_bytes(Encoding.DER))  # type: ignore[misc]
            until(lambda: bool(failures) or len(served) >= 50)
        finally:
            done.set()
            for thread in threads:
                thread.join()
        assert not failures


def test_what_cannot_be_loaded_is_said_and_the_old_serves_on(
    root: Authority, ca: Authority, teller: Credential, tmp_path: Path
) -> None:
    made = lab.server_project(tmp_path, root, ca, [allow("teller", ca)], **_as_desk()).write()
    with lab.running(made) as project:
        sound = project.ask(teller).shown
        project.put("key.pem", keys.to_pem(new_key(KeyType.EC_P256)))
        until(lambda: any("cannot be used" in line for line in project.lines))
        assert project.ask(teller).shown == sound
        newest = lab.own(ca, "desk", "localhost")
        project.write_own(newest)
        until(lambda: project.ask(teller).shown != sound)


def test_the_allow_list_and_the_roots_are_taken_without_a_restart(
    root: Authority, ca: Authority, teller: Credential, tmp_path: Path
) -> None:
    made = lab.server_project(tmp_path, root, ca, [allow("teller", ca)], files=lab.PFX).write()
    with lab.running(made) as project, _kept_open(project.port, teller, root) as get:
        assert get() == 200
        project.allow()
        until(lambda: get() == 403)  # on the connection that was open before
        assert project.ask(teller).status == 403
        project.allow(allow("teller", ca))
        until(lambda: get() == 200)
        project.put("ca.pem", bundles.pem(authority("Lab Root").certificate))
        until(lambda: not _answers(project, teller))


def _answers(project: lab.Project, caller: Credential) -> bool:
    try:
        return project.ask(caller).status == 200
    except OSError:
        return False


# --- Calling others --------------------------------------------------------------------------------------------------


def _vault_port(desk: lab.Project) -> int:
    return desk.settings.calls[0].port


def test_it_calls_a_server_that_proves_who_it_is(
    desk: lab.Project, teller: Credential, root: Authority, ca: Authority, tmp_path: Path
) -> None:
    with upstream(lab.own(ca, "the-vault", "vault.internal"), root, tmp_path, port=_vault_port(desk)):
        answer = desk.ask(teller, "/call/the-vault")
    assert answer.status == 200
    assert (answer.json["peer"], answer.json["path"]) == ([identity("desk")], "/.mtls/caller")
    assert desk.ask(teller, "/call/nobody").status == 404


FALSE = {
    "wrong name": ("another name", lambda ca: lab.own(ca, "the-vault", "other.internal")),
    "wrong identity": ("is not that of", lambda ca: lab.own(ca, "impostor", "vault.internal")),
    "foreign root": ("do not trust", lambda _: lab.own(authority("Lab Root"), "the-vault", "vault.internal")),
    "expired": ("NotTimeValid", lambda ca: server(ca, "the-vault", "vault.internal", ends=AGO)),
    "a client's": ("NotValidForUsage", lambda ca: server(ca, "the-vault", "vault.internal", fault=Fault.WRONG_EKU)),
    "without purpose": ("it is for servers", lambda ca: server(ca, "the-vault", "vault.internal", fault=Fault.NO_EKU)),
}  # fmt: skip


@pytest.mark.parametrize("what", FALSE)
def test_it_refuses_a_false_server(
    what: str, desk: lab.Project, teller: Credential, root: Authority, ca: Authority, tmp_path: Path
) -> None:
    reason, make = FALSE[what]
    with upstream(make(ca), root, tmp_path, port=_vault_port(desk)):
        answer = desk.ask(teller, "/call/the-vault")
    assert answer.status == 502
    assert reason in json.loads(answer.body)["error"]


def test_it_says_why_a_call_failed(
    desk: lab.Project, teller: Credential, root: Authority, ca: Authority, tmp_path: Path
) -> None:
    unreachable = desk.ask(teller, "/call/the-vault")
    assert (unreachable.status, "not reachable" in unreachable.body) == (502, True)
    with upstream(lab.own(ca, "the-vault", "vault.internal"), authority("Nobody's"), tmp_path, port=_vault_port(desk)):
        refused = desk.ask(teller, "/call/the-vault")
    assert (refused.status, "refused me" in refused.body) == (502, True)


# --- Keys ------------------------------------------------------------------------------------------------------------

KEYS = [key for key in KeyType if key in lab.SERVER.capabilities.keys]


def test_keys_of_its_own(root: Authority, ca: Authority, teller: Credential, tmp_path: Path) -> None:
    """Out of a PFX, one after the other in one server; the client's tests do the same out of PEM."""
    made = lab.server_project(tmp_path, root, ca, [allow("teller", ca)], key=KEYS[0], files=lab.PFX)
    with lab.running(made.write()) as project:
        assert project.ask(teller).shown == made.credential.certificate.public_bytes(Encoding.DER)
        for key in KEYS[1:]:
            own = lab.own(ca, "desk", "localhost", key=key)
            project.write_own(own)
            project.reload()
            until(lambda own=own: project.ask(teller).shown == own.certificate.public_bytes(Encoding.DER))  # type: ignore[misc]


def test_keys_of_callers_and_of_their_chain(root: Authority, ca: Authority, tmp_path: Path) -> None:
    roots = {key: authority(f"Root of {key}", key=key) for key in lab.SERVER.capabilities.peer_keys}
    issuing = {key: authority(f"Issuing of {key}", above, key=key) for key, above in roots.items()}
    made = lab.server_project(
        tmp_path, root, ca, [allow("teller", one) for one in issuing.values()],
        roots=list(roots.values()), intermediates=list(issuing.values()), files=lab.PFX,
    )  # fmt: skip
    with lab.running(made.write()) as project:
        for key, one in issuing.items():
            assert project.ask(client(one, "teller", key=key)).status == 200, key
            assert project.ask(client(one, "stranger", key=key)).status == 403, key


def test_an_ed25519_key_of_its_own_does_not_load(root: Authority, ca: Authority, tmp_path: Path) -> None:
    """Why the kind does not declare it. When this fails, .NET has learnt it."""
    assert KeyType.ED25519 not in lab.SERVER.capabilities.keys
    made = lab.server_project(tmp_path, root, ca, [], key=KeyType.ED25519, **_as_desk()).write()
    with pytest.raises(VerifyError), lab.running(made):
        pass
    assert any("1.3.101.112' is not a known key algorithm" in line for line in made.lines), made.lines


# --- Files that cannot be used ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def unusable(root: Authority, ca: Authority, tmp_path_factory: pytest.TempPathFactory) -> lab.Project:
    """A server that has not been started: the same code as `desk`."""
    return lab.server_project(tmp_path_factory.mktemp("unusable"), root, ca, [], **_as_desk()).write()


UNUSABLE = {
    "no certificate": ("cert.pem", None, "Could not find file"),
    "damaged certificate": ("cert.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n", "tls/cert.pem: "),
    "empty key": ("key.pem", b"", "the key does not match the certificate"),
    "another key": ("key.pem", keys.to_pem(new_key(KeyType.EC_P256)), "does not match the public key"),
    "damaged roots": (
        "ca.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "tls/ca.pem: ",
    ),
    "damaged allow list": ("allowed.json", b"{", "tls/allowed.json: "),
}  # fmt: skip


@pytest.mark.parametrize("what", UNUSABLE)
def test_what_cannot_be_used_at_the_start_ends_it_with_one_sentence(what: str, unusable: lab.Project) -> None:
    name, content, reason = UNUSABLE[what]
    kept = (unusable.tls / name).read_bytes()
    (unusable.tls / name).unlink()
    if content is not None:
        unusable.put(name, content)
    unusable.lines.clear()
    try:
        with pytest.raises(VerifyError, match="exit status 1"), lab.running(unusable):
            pass
    finally:
        unusable.put(name, kept)
    (said,) = unusable.lines
    assert said.startswith("This service cannot start as it lies here: ")
    assert reason in said


def test_a_taken_address_is_said_in_the_last_line(unusable: lab.Project) -> None:
    unusable.lines.clear()
    with socket.create_server(("127.0.0.1", unusable.port)), pytest.raises(VerifyError), lab.running(unusable):
        pass
    assert re.search(r"cannot start.*address already in use\.$", unusable.lines[-1]), unusable.lines


# --- Its own place for caches ----------------------------------------------------------------------------------------


def test_caches_of_revocation_are_nobody_elses(root: Authority, ca: Authority, tmp_path: Path) -> None:
    """They lie where SERVICE_HOME says, else in the project, and never in the HOME of whoever starts it."""
    with lab.crls() as (url, served):
        served["/root.crl"] = lab.crl_of(root)
        teller = lab.leaf(root, "teller", "client", [lab.uri("teller")], crl_url=f"{url}/root.crl")
        made = lab.server_project(
            tmp_path / "desk", root, ca, [allow("teller", root)], revocation=Revocation("crl"), files=lab.PFX
        ).write()
        for given, place in (("", made.folder / ".home"), (str(tmp_path / "given"), tmp_path / "given")):
            with lab.running(made, HOME=str(tmp_path / "user"), SERVICE_HOME=given) as project:
                assert project.ask(teller).status == 200
            assert list(place.rglob("*.crl")), place
        assert not list((tmp_path / "user").rglob("*.crl"))


# --- Secrets ---------------------------------------------------------------------------------------------------------


def test_the_password_comes_from_a_file_or_the_environment(
    root: Authority, ca: Authority, teller: Credential, tmp_path: Path
) -> None:
    made = lab.server_project(tmp_path, root, ca, [allow("teller", ca)], files=lab.PFX).write()
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path.parent.name not in ("tls",)]
    assert not [path for path in written if lab.PASSWORD.encode() in path.read_bytes()]
    (made.tls / "pfx-password").unlink()
    with pytest.raises(VerifyError), lab.running(made):
        pass
    with lab.running(made, PFX_PASSWORD=lab.PASSWORD) as project:
        assert project.ask(teller).status == 200
        command_line = Path(f"/proc/{project.service.pid}/cmdline").read_bytes()  # type: ignore[union-attr]
        assert lab.PASSWORD.encode() not in command_line


def test_git_ignores_a_bundle_that_lies_beside_the_code(desk: lab.Project) -> None:
    """The sample committed its own. What lies in tls/ is kept out by what apply writes there."""
    subprocess.run(["git", "init", "-q", desk.folder], check=True)
    secret = ["server.pfx", "Security/server.key"]
    ignored = subprocess.run(
        ["git", "-C", desk.folder, "check-ignore", *secret, "Program.cs"], capture_output=True, text=True, check=True
    )
    assert ignored.stdout.split() == secret
