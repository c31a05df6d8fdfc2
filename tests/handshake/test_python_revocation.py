"""The Python server asks whether a caller's certificate is revoked: by OCSP, and by CRLs that may be missing."""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.client
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from scaffold.pki import bundles, keys, ocsp
from scaffold.running.ports import free_addresses
from scaffold.settings.values import Files, Revocation
from tests.handshake.nginx_lab import (
    WITHIN,
    Answer,
    Authority,
    Credential,
    allow,
    ask,
    client,
    context_of,
    identity,
    server,
    until,
)
from tests.handshake.python_lab import place, running, server_folder
from tests.handshake.revocation_lab import HOUR, Responder, crls, responding, rules_of_the_false
from tests.requirements import require_command

require_command("openssl")

FALSE = ("stale", "of the future", "about another certificate", "signed by a client", "signed by a foreign responder",
         "unauthorized", "try later", "garbage", "nothing", "503")  # fmt: skip
OPEN = "LET IN UNCHECKED"


@pytest.fixture
def responder(ca) -> Iterator[Responder]:
    with responding(ca) as made:
        yield made


@dataclass
class Desk:
    """A running server, and what it has logged."""

    port: int
    folder: Path
    root: Authority
    lines: list[str] = field(default_factory=list)

    def ask(self, caller: Credential) -> Answer:
        """Once more where the server has just taken up another CRL, and ended what it had judged by the old one."""
        try:
            return ask(self.port, caller, self.root)
        except (http.client.RemoteDisconnected, ConnectionResetError):
            return ask(self.port, caller, self.root)

    def lets_in(self, caller: Credential) -> bool:
        answer = self.ask(caller)
        if answer.status == 200:
            assert answer.json["caller"] == identity("teller")
        else:
            assert answer.status == 403
        return answer.status == 200

    def refusal(self, caller: Credential) -> str:
        answer = self.ask(caller)
        assert answer.status == 403
        return answer.error


@contextlib.contextmanager
def desk(
    folder: Path, root: Authority, ca: Authority, responder: Responder | None, crl: bytes | None = None,
    *, check: str = "ocsp", on_unavailable: str = "refuse",
) -> Iterator[Desk]:  # fmt: skip
    """Allows the teller. `crl`: what tls/crl.pem holds, by default good and current."""
    sources = (responder.source(),) if responder else ()
    made = server_folder(
        folder / "desk", server(ca, "desk", "localhost"), root, [allow("teller", ca)],
        files=Files(crl="tls/crl.pem"),
        revocation=Revocation(check, on_unavailable, responders=sources, by_application=True),
    )  # fmt: skip
    place(made / "tls/crl.pem", crls((root, HOUR, ()), (ca, HOUR, ())) if crl is None else crl)
    (free,) = free_addresses(1)
    running_desk = Desk(free.port, made, root)
    with running(made, free.port, running_desk.lines):
        yield running_desk


def tellers(ca: Authority, count: int) -> list[Credential]:
    return [client(ca, "teller") for _ in range(count)]


# --- OCSP


def test_the_good_get_in_and_the_revoked_do_not(tmp_path, root, ca, responder):
    good, revoked = tellers(ca, 2)
    responder.revoke(revoked)
    with desk(tmp_path, root, ca, responder) as it:
        assert it.lets_in(good)
        assert it.refusal(revoked) == "the certificate is revoked (OCSP: keyCompromise)"


def test_whom_the_ca_does_not_know_is_refused_even_by_the_lenient(tmp_path, root, ca, responder):
    known, unknown = tellers(ca, 2)
    responder.say(unknown, ocsp.State.UNKNOWN)
    for on_unavailable in ("refuse", "allow"):
        with desk(tmp_path / on_unavailable, root, ca, responder, on_unavailable=on_unavailable) as it:
            assert it.lets_in(known)
            assert "not known to its CA" in it.refusal(unknown)


@pytest.fixture(scope="module")
def judges(tmp_path_factory, root, ca) -> Iterator[tuple[Responder, Desk, Desk]]:
    """A responder, and those who ask it: one refuses whom it cannot look up, the other lets them in."""
    folder = tmp_path_factory.mktemp("judges")
    with (
        responding(ca) as responder,
        desk(folder / "strict", root, ca, responder) as strict,
        desk(folder / "lenient", root, ca, responder, on_unavailable="allow") as lenient,
    ):
        yield responder, strict, lenient


@pytest.mark.parametrize("how", FALSE)
def test_an_answer_that_proves_nothing(judges, ca, how):
    """Refused, or (on_unavailable: allow) let in and loudly logged; a sound answer about another lets them in."""
    responder, strict, lenient = judges
    sound, asked = dict(vars(responder)), responder.asked
    before = len(lenient.lines)
    rules_of_the_false(ca)[how](responder)
    try:
        assert "nobody can say whether the certificate is revoked" in strict.refusal(client(ca, "teller"))
        assert lenient.lets_in(client(ca, "teller"))
        until(lambda: any(OPEN in line and responder.url in line for line in lenient.lines[before:]))
        assert responder.asked - asked == (0 if how == "503" else 2)
    finally:
        vars(responder).update(sound)
    logged = len(lenient.lines)
    assert strict.lets_in(client(ca, "teller"))
    assert lenient.lets_in(client(ca, "teller"))
    assert not any(OPEN in line for line in lenient.lines[logged:])


def test_every_way_of_proving_nothing_is_tried(ca):
    assert set(FALSE) == set(rules_of_the_false(ca))


def test_nobody_listens(tmp_path, root, ca, responder):
    (free,) = free_addresses(1)
    responder.port = free.port
    teller, again = tellers(ca, 2)
    with desk(tmp_path / "strict", root, ca, responder) as it:
        assert "Connection refused" in it.refusal(teller)
    with desk(tmp_path / "lenient", root, ca, responder, on_unavailable="allow") as it:
        assert it.lets_in(again)
        until(lambda: any(OPEN in line for line in it.lines))


def test_who_is_revoked_stays_out_of_the_lenient(tmp_path, root, ca, responder):
    (revoked,) = tellers(ca, 1)
    responder.revoke(revoked)
    with desk(tmp_path, root, ca, responder, on_unavailable="allow") as it:
        assert "revoked" in it.refusal(revoked)
    assert not any(OPEN in line for line in it.lines)


def test_the_responder_is_asked_once(tmp_path, root, ca, responder):
    good, revoked = tellers(ca, 2)
    responder.revoke(revoked)
    with desk(tmp_path, root, ca, responder) as it, concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda _: it.lets_in(good), range(8)))
        assert responder.asked == 1
        assert not any(it.lets_in(revoked) for _ in range(3))
        assert responder.asked == 2
        responder.revoke(good)
        assert it.lets_in(good)  # believed until its nextUpdate


def test_an_answer_is_believed_until_its_end_and_no_longer(tmp_path, root, ca, responder):
    (teller,) = tellers(ca, 1)
    responder.ends = timedelta(seconds=2)
    with desk(tmp_path, root, ca, responder) as it:
        until(lambda: it.lets_in(teller))  # at once, unless the answer has ended before it was looked at
        asked = responder.asked
        responder.revoke(teller)
        until(lambda: not it.lets_in(teller))
        assert responder.asked == asked + 1


def test_a_caller_that_hangs_the_responder_keeps_nobody_else_waiting(tmp_path, root, ca, responder):
    first, second = tellers(ca, 2)
    with contextlib.ExitStack() as stack:
        held = concurrent.futures.Future()  # type: ignore[var-annotated]
        stack.callback(lambda: held.done() or held.set_result(None))
        answer = responder.answer

        def hold(request: bytes) -> bytes:
            responder.respond = None
            held.result(timeout=WITHIN)
            return answer(request)

        responder.respond = hold
        it = stack.enter_context(desk(tmp_path, root, ca, responder))
        pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(1))
        waiting = pool.submit(it.lets_in, first)
        until(lambda: responder.asked == 1)
        assert it.lets_in(second)
        assert not waiting.done()
        held.set_result(None)
        assert waiting.result(timeout=WITHIN)


def test_strangers_are_not_asked_about(tmp_path, root, ca, responder):
    with desk(tmp_path, root, ca, responder) as it:
        assert "may not call" in it.refusal(client(ca, "mallory"))
        assert responder.asked == 0
        assert it.lets_in(tellers(ca, 1)[0])
        assert responder.asked == 1


def test_a_certificate_does_not_choose_who_answers_for_it(tmp_path, root, ca, responder):
    """tls/responders.json names the CA's responder; without an entry for the issuer's key nobody is asked."""
    (teller,) = tellers(ca, 1)
    with desk(tmp_path, root, ca, responder) as it:
        file = it.folder / "tls/responders.json"
        text = file.read_text()
        place(file, text.replace(keys.spki_sha256(ca.certificate), "0" * 64).encode())
        assert "names no responder" in it.refusal(teller)
        assert responder.asked == 0
        place(file, text.encode())
        until(lambda: it.lets_in(teller))


@pytest.mark.parametrize("on_unavailable", ["refuse", "allow"])
def test_intermediates_are_looked_up_in_the_crls(tmp_path, root, ca, responder, on_unavailable):
    teller, again = tellers(ca, 2)
    good = crls((root, HOUR, ()), (ca, HOUR, ()))
    with desk(tmp_path, root, ca, responder, good, on_unavailable=on_unavailable) as it:
        assert it.lets_in(teller)
        revoked = (ca.certificate.serial_number,)
        place(it.folder / "tls/crl.pem", crls((root, HOUR, revoked), (ca, HOUR, ())))
        assert "a certificate of the chain is revoked (CRL)" in it.refusal(teller)
        # An expired list still says who is revoked.
        place(it.folder / "tls/crl.pem", crls((root, -HOUR, revoked), (ca, HOUR, ())))
        assert "a certificate of the chain is revoked (CRL)" in it.refusal(teller)
        for missing in (crls((root, -HOUR, ()), (ca, HOUR, ())), crls((ca, HOUR, ())), b""):
            place(it.folder / "tls/crl.pem", missing)
            assert it.lets_in(again) == (on_unavailable == "allow")
        # The leaf's own issuer answers by OCSP: its CRL is not looked at.
        place(it.folder / "tls/crl.pem", crls((root, HOUR, ()), (ca, -HOUR, ())))
        assert it.lets_in(teller)
    assert any(OPEN in line for line in it.lines) == (on_unavailable == "allow")


def test_a_leaf_of_the_root_needs_no_crl(tmp_path, root):
    with responding(root) as responder, desk(tmp_path, root, root, responder, b"") as it:
        good, revoked = tellers(root, 2)
        responder.revoke(revoked)
        assert it.lets_in(good)
        assert "revoked" in it.refusal(revoked)


def test_an_open_connection_is_asked_about_again(tmp_path, root, ca, responder):
    (teller,) = tellers(ca, 1)
    responder.ends = timedelta(seconds=2)
    with desk(tmp_path, root, ca, responder) as it:
        plain = socket.create_connection(("127.0.0.1", it.port), timeout=WITHIN)
        with context_of(teller, root).wrap_socket(plain, server_hostname="localhost") as tls:

            def status() -> int:
                tls.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                response = http.client.HTTPResponse(tls)
                response.begin()
                response.read()
                return response.status

            until(lambda: status() == 200)  # at once, unless the answer has ended before it was looked at
            responder.revoke(teller)
            until(lambda: status() == 403)


def test_openssl_as_responder(tmp_path, root, ca):
    """The same against the responder of another house."""
    good, revoked = tellers(ca, 2)
    lines = []
    for status, one in (("V\t301231235959Z\t", good), ("R\t301231235959Z\t200101000000Z,superseded", revoked)):
        serial = f"{one.certificate.serial_number:X}"
        lines.append(f"{status}\t{serial.zfill(len(serial) + len(serial) % 2)}\tunknown\t/CN=teller\n")
    (tmp_path / "index.txt").write_text("".join(lines))
    (tmp_path / "ca.pem").write_bytes(bundles.pem(ca.certificate))
    (tmp_path / "key.pem").write_bytes(keys.to_pem(ca.issuer.key))
    (free,) = free_addresses(1)
    command = ["openssl", "ocsp", "-port", str(free.port), "-index", "index.txt", "-CA", "ca.pem", "-rsigner", "ca.pem",
               "-rkey", "key.pem", "-nmin", "5", "-ignore_err"]  # fmt: skip
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        assert next(line for line in process.stdout if "waiting for" in line.lower())
        responder = Responder(ca, ca.issuer, port=free.port)
        with desk(tmp_path, root, ca, responder) as it:
            assert it.lets_in(good)
            assert it.refusal(revoked) == "the certificate is revoked (OCSP: superseded)"
    finally:
        process.kill()
        process.wait()


def test_without_the_openssl_command_it_does_not_start(tmp_path, root, ca, responder):
    folder = server_folder(
        tmp_path / "desk", server(ca, "desk", "localhost"), root, [allow("teller", ca)],
        revocation=Revocation("ocsp", responders=(responder.source(),), by_application=True),
    )  # fmt: skip
    (bare := tmp_path / "bin").mkdir()
    for command in ("sh", "dirname"):
        (bare / command).symlink_to(require_command(command))
    (bare / "python3").symlink_to(Path(sys.executable).resolve())
    done = subprocess.run(
        [folder / "run.sh"],
        env={**os.environ, "PATH": str(bare)},
        capture_output=True,
        text=True,
        timeout=WITHIN,
        check=False,
    )
    assert done.returncode == 1
    assert "openssl command" in done.stderr
    assert "Traceback" not in done.stderr


# --- CRLs that may be missing


@pytest.mark.parametrize("check", ["allow", "refuse"])
def test_crls_with_leniency(tmp_path, root, ca, check):
    good, revoked = tellers(ca, 2)
    listed = (revoked.certificate.serial_number,)
    with desk(tmp_path, root, ca, None, check="crl", on_unavailable=check) as it:
        assert it.lets_in(good)
        place(it.folder / "tls/crl.pem", crls((root, HOUR, ()), (ca, HOUR, listed)))
        assert it.lets_in(good)
        assert "revoked (CRL)" in it.refusal(revoked)
        place(it.folder / "tls/crl.pem", crls((root, HOUR, ()), (ca, -HOUR, listed)))
        assert it.lets_in(good) == (check == "allow")
        assert "revoked (CRL)" in it.refusal(revoked)
        for missing in (crls((root, HOUR, ())), b""):
            place(it.folder / "tls/crl.pem", missing)
            assert it.lets_in(good) == (check == "allow")
        (it.folder / "tls/crl.pem").unlink()
        assert it.lets_in(good) == (check == "allow")
    assert any(OPEN in line for line in it.lines) == (check == "allow")
