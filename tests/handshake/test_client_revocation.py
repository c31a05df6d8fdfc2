"""Clients ask whether the server's certificate is revoked: Python by OCSP and CRL, curl by CRL and by the staple."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from scaffold.pki import bundles, crl, keys, ocsp
from scaffold.running.ports import free_addresses
from scaffold.settings.values import Files, Revocation
from tests.handshake.nginx_lab import Authority, Credential, allow, authority, call_of, now, server
from tests.handshake.python_lab import call, client_folder, place, running, server_folder
from tests.handshake.revocation_lab import HOUR, Responder, crls, delegate, responding, rules_of_the_false
from tests.requirements import require_command

require_command("openssl")

NOT_TRUSTED = 3
OPEN = "LET IN UNCHECKED"
FALSE = ("stale", "of the future", "about another certificate", "signed by a client", "signed by a foreign responder",
         "unauthorized", "garbage", "503")  # fmt: skip


@pytest.fixture(scope="module")
def desk(ca) -> Credential:
    return server(ca, "desk", "desk.internal")


@pytest.fixture(scope="module")
def desk_port(tmp_path_factory, root, ca, desk) -> Iterator[int]:
    folder = server_folder(tmp_path_factory.mktemp("server") / "desk", desk, root, [allow("teller", ca)])
    (free,) = free_addresses(1)
    with running(folder, free.port):
        yield free.port


@pytest.fixture
def responder(ca) -> Iterator[Responder]:
    with responding(ca) as made:
        yield made


def folder_of(
    kind: str, folder: Path, own: Credential, root: Authority, port: int, crl: bytes | None,
    check: str, on_unavailable: str = "refuse", responder: Responder | None = None,
) -> Path:  # fmt: skip
    """A client `teller` that calls the desk; `crl` is what its tls/crl.pem holds."""
    asks = kind == "python" and (check == "ocsp" or on_unavailable == "allow")
    sources = (responder.source(),) if responder else ()
    made = client_folder(
        kind, folder / f"teller-{on_unavailable}", own, root, call_of("desk", port, "desk.internal"),
        files=Files(crl="tls/crl.pem" if crl is not None else None),
        revocation=Revocation(check, on_unavailable, responders=sources, by_application=asks),
    )  # fmt: skip
    if crl is not None:
        place(made / "tls/crl.pem", crl)
    return made


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert (done.returncode, done.stdout) == (NOT_TRUSTED, ""), done
    for word in ("desk: I do not trust the server: ", *words):
        assert word in done.stderr


# --- CRLs


@pytest.mark.parametrize("kind", ["python", "curl"])
def test_crls_of_the_whole_chain(tmp_path, root, ca, teller, desk, desk_port, kind):
    good = crls((root, HOUR, ()), (ca, HOUR, ()))
    folder = folder_of(kind, tmp_path, teller, root, desk_port, good, "crl")
    assert call(folder).returncode == 0
    for false, word in {
        crls((root, HOUR, ()), (ca, HOUR, (desk.certificate.serial_number,))): "revoked",
        crls((root, HOUR, (ca.certificate.serial_number,)), (ca, HOUR, ())): "revoked",
        crls((root, HOUR, ()), (ca, -HOUR, ())): "",
        crls((root, -HOUR, ()), (ca, HOUR, ())): "",
        crls((ca, HOUR, ())): "",
        crls((root, HOUR, ())): "",
        crls((root, HOUR, ()), (authority("Lab Issuing"), HOUR, ())): "",
    }.items():
        place(folder / "tls/crl.pem", false)
        refused(call(folder), word)
    place(folder / "tls/crl.pem", good)
    assert call(folder).returncode == 0


def test_crls_with_leniency(tmp_path, root, ca, teller, desk, desk_port):
    good = crls((root, HOUR, ()), (ca, HOUR, ()))
    folder = folder_of("python", tmp_path, teller, root, desk_port, good, "crl", "allow")
    assert call(folder).stderr == ""
    for missing in (crls((root, -HOUR, ()), (ca, -HOUR, ())), crls((root, HOUR, ())), b""):
        place(folder / "tls/crl.pem", missing)
        done = call(folder)
        assert done.returncode == 0
        assert OPEN in done.stderr
    place(folder / "tls/crl.pem", crls((root, HOUR, ()), (ca, -HOUR, (desk.certificate.serial_number,))))
    refused(call(folder), "revoked (CRL)")


# --- OCSP: Python


def test_by_ocsp(tmp_path, root, ca, teller, desk, desk_port, responder):
    good = crls((root, HOUR, ()), (ca, HOUR, ()))
    folder = folder_of("python", tmp_path, teller, root, desk_port, good, "ocsp", responder=responder)
    done = call(folder)
    assert (done.returncode, done.stderr) == (0, "")
    responder.revoke(desk)
    refused(call(folder), "revoked (OCSP: keyCompromise)")
    responder.say(desk, ocsp.State.UNKNOWN)
    refused(call(folder), "not known to its CA")
    responder.say(desk, ocsp.State.GOOD)
    assert call(folder).returncode == 0
    place(folder / "tls/crl.pem", crls((root, HOUR, (ca.certificate.serial_number,)), (ca, HOUR, ())))
    refused(call(folder), "a certificate of the chain is revoked (CRL)")


@pytest.mark.parametrize("how", FALSE)
def test_an_answer_that_proves_nothing(tmp_path, root, ca, teller, desk_port, responder, how):
    rules_of_the_false(ca)[how](responder)
    good = crls((root, HOUR, ()), (ca, HOUR, ()))
    refused(call(folder_of("python", tmp_path, teller, root, desk_port, good, "ocsp", responder=responder)), "nobody")
    lenient = call(folder_of("python", tmp_path, teller, root, desk_port, good, "ocsp", "allow", responder))
    assert lenient.returncode == 0
    assert OPEN in lenient.stderr


# --- The staple: curl


@contextlib.contextmanager
def stapling(folder: Path, own: Credential, response: bytes | None) -> Iterator[int]:
    """`openssl s_server` that staples `response` to its certificate and answers 200; its port."""
    folder.mkdir(exist_ok=True)
    (folder / "cert.pem").write_bytes(bundles.pem(own.certificate))
    (folder / "chain.pem").write_bytes(bundles.chain_pem(own.chain))
    (folder / "key.pem").write_bytes(keys.to_pem(own.key))
    staple = []
    if response is not None:
        (folder / "staple.der").write_bytes(response)
        staple = ["-status_file", "staple.der"]
    (free,) = free_addresses(1)
    process = subprocess.Popen(
        ["openssl", "s_server", "-accept", f"127.0.0.1:{free.port}", "-www", "-cert", "cert.pem", "-key", "key.pem",
         "-cert_chain", "chain.pem", *staple],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert any(line.startswith("ACCEPT") for line in iter(process.stdout.readline, ""))
        yield free.port
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("how", ["good", "none", "revoked", "unknown", "stale", "by a client", "by a namesake"])
def test_curl_demands_a_good_staple(tmp_path, root, ca, teller, desk, how):
    signer = {
        "by a client": lambda: delegate(ca, "client"),
        "by a namesake": lambda: delegate(authority("Lab Issuing")),
    }
    serial = desk.certificate.serial_number
    status = {"revoked": crl.Revoked(serial, now() - HOUR), "unknown": ocsp.State.UNKNOWN}.get(how, ocsp.State.GOOD)
    ends = -timedelta(minutes=30) if how == "stale" else HOUR
    response = ocsp.respond(
        [(ocsp.cert_id(serial, ca.certificate), status)], signer.get(how, lambda: delegate(ca))(),
        this_update=now() - HOUR, next_update=now() + ends,
    )  # fmt: skip
    with stapling(tmp_path / "server", desk, None if how == "none" else response) as port:
        done = call(folder_of("curl", tmp_path, teller, root, port, None, "ocsp"))
        twin = call(folder_of("curl", tmp_path / "twin", teller, root, port, None, "none"))
    assert twin.returncode == 0
    if how == "good":
        assert done.returncode == 0, done.stderr
    else:
        refused(done)


def test_curl_demands_the_staple_that_was_promised(tmp_path, root, ca, teller, desk):
    """A server with `must_staple` is not believed without, even by a client that checks no revocation (RFC 7633)."""
    asked = ocsp.cert_id(desk.certificate.serial_number, ca.certificate)
    good = ocsp.respond([(asked, ocsp.State.GOOD)], delegate(ca), this_update=now() - HOUR, next_update=now() + HOUR)
    for response in (good, None):
        with stapling(tmp_path / f"server-{response is None}", desk, response) as port:
            calls = replace(call_of("desk", port, "desk.internal"), must_staple=True)
            done = call(client_folder("curl", tmp_path / f"teller-{response is None}", teller, root, calls))
        if response is not None:
            assert done.returncode == 0, done.stderr
        else:
            refused(done)
