"""An OCSP responder on loopback that answers, or misbehaves, as a test tells it to; and CRLs with chosen dates."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from scaffold.pki import crl, issue, keys, ocsp
from scaffold.pki.profiles import CertificateProfile
from scaffold.settings.values import Source
from scaffold.topology.model import KeyType, Subject
from tests.fresh import new_key, new_serial
from tests.handshake.nginx_lab import Authority, Credential, authority, now

HOUR = timedelta(hours=1)


def delegate(ca: Authority, role: str = "ocsp") -> issue.Issuer:
    """A responder's certificate from `ca`: OCSPSigning, or (a false one) the EKU of another role."""
    key = new_key(KeyType.EC_P256)
    certificate = issue.sign(
        CertificateProfile(Subject(common_name="responder"), role),  # type: ignore[arg-type]
        key.public_key(), ca.issuer, serial=new_serial(), not_before=now() - HOUR, not_after=now() + HOUR,
    )  # fmt: skip
    return issue.Issuer(certificate, key)


@dataclass
class Responder:
    """Of one CA. `respond` makes the whole body of an answer of a request; `asked` counts the requests."""

    ca: Authority
    signer: issue.Issuer
    statuses: dict[int, ocsp.Status] = field(default_factory=dict)
    starts: timedelta = -timedelta(minutes=1)
    ends: timedelta = HOUR
    respond: Callable[[bytes], bytes] | None = None
    asked: int = 0
    port: int = 0
    down: bool = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/ocsp"

    def source(self) -> Source:
        return Source("issuing", keys.spki_sha256(self.ca.certificate), self.url)

    def revoke(self, one: Credential) -> None:
        self.say(one, crl.Revoked(one.certificate.serial_number, now(), crl.Reason.KEY_COMPROMISE))

    def say(self, one: Credential, status: ocsp.Status) -> None:
        self.statuses[one.certificate.serial_number] = status

    def answer(self, request: bytes) -> bytes:
        self.asked += 1
        if self.respond is not None:
            return self.respond(request)
        asked = ocsp.parse_request(request)
        answers = [(one, self.statuses.get(one.serial, ocsp.State.GOOD)) for one in asked.ids]
        return ocsp.respond(answers, self.signer, this_update=now() + self.starts, next_update=now() + self.ends)


@contextlib.contextmanager
def responding(ca: Authority) -> Iterator[Responder]:
    """The responder of `ca`, over HTTP."""
    made = Responder(ca, delegate(ca))

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = self.rfile.read(int(self.headers["Content-Length"]))
            if made.down:
                self.send_error(503)
                return
            body = made.answer(request)
            self.send_response(200)
            self.send_header("Content-Type", "application/ocsp-response")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        made.port = listening.server_address[1]
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield made
        finally:
            listening.shutdown()
            thread.join()


def crls(*each: tuple[Authority, timedelta, tuple[int, ...]]) -> bytes:
    """One CRL per CA in PEM: until when, and the serials it revokes."""
    made = []
    for ca, ends, serials in each:
        entries = [crl.Revoked(serial, now() - 2 * HOUR) for serial in serials]
        made.append(crl.build(ca.issuer, 1, now() - 3 * HOUR, now() + ends, entries))
    return b"".join(map(crl.to_pem, made))


def rules_of_the_false(ca: Authority) -> dict[str, Callable[[Responder], None]]:
    """What a responder can do so that its answer proves nothing: how to make it do so, by name."""

    def sign_by(signer: issue.Issuer) -> Callable[[Responder], None]:
        return lambda responder: setattr(responder, "signer", signer)

    def say(body: bytes) -> Callable[[Responder], None]:
        return lambda responder: setattr(responder, "respond", lambda _: body)

    def stale(responder: Responder) -> None:
        responder.starts, responder.ends = -2 * HOUR, timedelta(minutes=-2)

    def of_the_future(responder: Responder) -> None:
        responder.starts = timedelta(minutes=30)

    def of_another(responder: Responder) -> None:
        """A good and true answer, to another question: about the serial after it."""

        def respond(request: bytes) -> bytes:
            (one,) = ocsp.parse_request(request).ids
            other = ocsp.CertId(one.algorithm, one.issuer_name_hash, one.issuer_key_hash, one.serial + 1)
            times = {"this_update": now() - HOUR, "next_update": now() + HOUR}
            return ocsp.respond([(other, ocsp.State.GOOD)], responder.signer, **times)

        responder.respond = respond

    return {
        "stale": stale,
        "of the future": of_the_future,
        "about another certificate": of_another,
        "signed by a client": sign_by(delegate(ca, "client")),
        "signed by a foreign responder": sign_by(delegate(_namesake(ca))),
        "unauthorized": say(ocsp.unsuccessful(ocsp.Failure.UNAUTHORIZED)),
        "try later": say(ocsp.unsuccessful(ocsp.Failure.TRY_LATER)),
        "garbage": say(b"<html>it works</html>"),
        "nothing": say(b""),
        "503": lambda responder: setattr(responder, "down", True),
    }


def _namesake(ca: Authority) -> Authority:
    """Another CA with the subject of `ca`."""
    made = authority("Lab Issuing")
    assert made.certificate.subject == ca.certificate.subject
    return made
