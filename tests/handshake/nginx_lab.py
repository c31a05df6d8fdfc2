"""What the tests of the nginx kind stand on: a small PKI, a rendered project, a caller, an upstream."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import shutil
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from scaffold.kinds import catalogue
from scaffold.kinds.render import render
from scaffold.pki import bundles, crl, issue, keys, ocsp
from scaffold.pki.names import rfc2253
from scaffold.pki.profiles import CertificateProfile
from scaffold.publish.app import Unavailable
from scaffold.publish.authority import Document, crl_document
from scaffold.publish.responder import Answer as ResponderAnswer
from scaffold.publish.responder import Responder
from scaffold.publish.server import running as serving
from scaffold.running.ports import free_addresses
from scaffold.running.services import Launch, Service, Services
from scaffold.settings.values import Address, Allowed, Call, Files, Revocation, ServerSettings, Source, Tls
from scaffold.topology.model import Fault, HostPort, KeyType, San, SanType, Subject
from tests.fresh import new_key, new_serial

GROUPS = ("X25519", "prime256v1", "secp384r1")
SUITES = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
CIPHERS = tuple(
    f"ECDHE-{auth}-{cipher}"
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
    for auth in ("ECDSA", "RSA")
)
INTERMEDIATE = Tls("intermediate", "TLSv1.2", CIPHERS, SUITES, GROUPS)
MODERN = Tls("modern", "TLSv1.3", (), SUITES, GROUPS)

KIND = catalogue.load(catalogue.templates_folder() / "servers" / "nginx", "nginx", builtin=True)


# --- PKI -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Authority:
    """A CA; `chain` is its own certificate and those above it, without the root (empty for a root)."""

    issuer: issue.Issuer
    chain: tuple[x509.Certificate, ...]

    @property
    def certificate(self) -> x509.Certificate:
        return self.issuer.certificate

    @property
    def dn(self) -> str:
        return rfc2253(self.certificate.subject)


@dataclass(frozen=True)
class Credential:
    """A leaf, its key, and the intermediates it sends along."""

    certificate: x509.Certificate
    key: keys.PrivateKey
    chain: tuple[x509.Certificate, ...]

    def write(self, certificate: Path, key: Path) -> None:
        certificate.write_bytes(bundles.chain_pem([self.certificate, *self.chain]))
        key.write_bytes(keys.to_pem(self.key))

    @property
    def alone(self) -> Credential:
        """The same without its intermediates."""
        return replace(self, chain=())

    @property
    def dn(self) -> str:
        return rfc2253(self.certificate.subject)


def now() -> datetime:
    return datetime.now(UTC)


def authority(
    name: str, parent: Authority | None = None, key: KeyType = KeyType.EC_P256, organization: str | None = "Contoso"
) -> Authority:
    """A root, or a CA under `parent`."""
    private = new_key(key)
    profile = CertificateProfile(Subject(common_name=name, organization=organization), "ca")
    dates = {"not_before": now() - timedelta(hours=2), "not_after": now() + timedelta(days=30)}
    if parent is None:
        root = issue.self_signed(profile, private, serial=new_serial(), **dates)
        return Authority(issue.Issuer(root, private), ())
    certificate = issue.sign(profile, private.public_key(), parent.issuer, serial=new_serial(), **dates)
    return Authority(issue.Issuer(certificate, private), (certificate, *parent.chain))


def renewed(ca: Authority, parent: Authority, ends: timedelta) -> Authority:
    """Another certificate of the same CA: the same name and key, until then."""
    subject = ca.certificate.subject
    names = {attribute.oid: str(attribute.value) for attribute in subject}
    profile = CertificateProfile(Subject(names[NameOID.COMMON_NAME], names.get(NameOID.ORGANIZATION_NAME)), "ca")
    certificate = issue.sign(
        profile, ca.issuer.key.public_key(), parent.issuer,
        serial=new_serial(), not_before=now() - timedelta(hours=2), not_after=now() + ends,
    )  # fmt: skip
    return Authority(replace(ca.issuer, certificate=certificate), (certificate, *parent.chain))


def client(
    ca: Authority,
    name: str,
    *,
    subject: Subject | None = None,
    key: KeyType = KeyType.EC_P256,
    starts: timedelta = timedelta(hours=-1),
    ends: timedelta = timedelta(hours=1),
    fault: Fault | None = None,
    ocsp_url: str | None = None,
) -> Credential:
    """A client's certificate with the identity of `name`, from `ca`."""
    sans = (San(SanType.URI, identity(name)),)
    profile = CertificateProfile(subject or subject_of(name), "client", sans, ocsp_url=ocsp_url, fault=fault)
    return _leaf(ca, profile, key, starts, ends)


T = TypeVar("T")


@contextlib.contextmanager
def brief(
    ca: Authority,
    begin: Callable[[Credential], contextlib.AbstractContextManager[T]],
    *,
    make: Callable[..., Credential] = client,
) -> Iterator[tuple[Credential, T]]:
    """The teller's certificate, with an end that a test awaits, and what `begin` has begun with it.

    Where it has ended before that was begun, on a machine that stalls, another one is made that lives longer.
    """
    for seconds in (3, 12, 48):
        caller = make(ca, "teller", ends=timedelta(seconds=seconds))
        with contextlib.ExitStack() as stack:
            try:
                begun = stack.enter_context(begin(caller))
            except (AssertionError, OSError, http.client.HTTPException):
                if now() < caller.certificate.not_valid_after_utc:
                    raise
                continue
            yield caller, begun
            return
    pytest.fail("each certificate had ended before anything was begun with it")


def server(
    ca: Authority,
    name: str,
    *hosts: str,
    key: KeyType = KeyType.EC_P256,
    starts: timedelta = timedelta(hours=-1),
    ends: timedelta = timedelta(hours=1),
    fault: Fault | None = None,
    ocsp_url: str | None = None,
    must_staple: bool = False,
    subject: Subject | None = None,
) -> Credential:
    """A server's certificate for `hosts`, from `ca`; a host of digits and dots is an IP address."""
    types = {host: SanType.IP if host.replace(".", "").isdigit() else SanType.DNS for host in hosts}
    sans = (*(San(kind, host) for host, kind in types.items()), San(SanType.URI, identity(name)))
    profile = CertificateProfile(
        subject or subject_of(name), "server", sans, ocsp_url=ocsp_url, must_staple=must_staple, fault=fault
    )
    return _leaf(ca, profile, key, starts, ends)


def responder(ca: Authority) -> Credential:
    """A delegated OCSP responder of `ca` (RFC 6960 4.2.2.2)."""
    subject = Subject(common_name="Lab OCSP responder")
    hour = timedelta(hours=1)
    return _leaf(ca, CertificateProfile(subject, "ocsp"), KeyType.EC_P256, -hour, hour)


def _leaf(ca: Authority, profile: CertificateProfile, key: KeyType, starts: timedelta, ends: timedelta) -> Credential:
    private = new_key(key)
    certificate = issue.sign(
        profile, private.public_key(), ca.issuer,
        serial=new_serial(), not_before=now() + starts, not_after=now() + ends,
    )  # fmt: skip
    return Credential(certificate, private, ca.chain)


def subject_of(name: str) -> Subject:
    return Subject(common_name=name, organization="Contoso Bank", country="NL")


def identity(name: str) -> str:
    return f"spiffe://lab/client/{name}"


def crl_of(ca: Authority, *revoked: Credential, ends: timedelta = timedelta(hours=1), number: int = 1) -> bytes:
    """The CRL of `ca` in PEM."""
    entries = [crl.Revoked(each.certificate.serial_number, now()) for each in revoked]
    return crl.to_pem(crl.build(ca.issuer, number, now() - timedelta(hours=2), now() + ends, entries))


# --- Its publisher ---------------------------------------------------------------------------------------------------


@dataclass
class Published:
    """What the publisher serves: CRLs in PEM and OCSP, by the name of the CA. Tests change it while it runs."""

    port: int
    crls: dict[str, bytes] = field(default_factory=dict)
    responders: dict[str, PublishedOcsp] = field(default_factory=dict)
    available: bool = True
    asked: int = 0
    """How many OCSP requests have come."""

    def ocsp_url(self, ca: str) -> str:
        return f"http://127.0.0.1:{self.port}/ocsp/{ca}"

    def crl_source(self, ca: str, issuer: Authority) -> Source:
        url = f"http://127.0.0.1:{self.port}/crl/{ca}.crl"
        return Source(ca, keys.spki_sha256(issuer.certificate), url)

    def ocsp_source(self, ca: str, issuer: Authority) -> Source:
        return Source(ca, keys.spki_sha256(issuer.certificate), self.ocsp_url(ca))

    def responds(self, ca: str, issuer: Authority, **how: object) -> PublishedOcsp:
        """Answers OCSP for `issuer` at /ocsp/`ca` from now on."""
        self.responders[ca] = PublishedOcsp(issuer, **how)  # type: ignore[arg-type]
        return self.responders[ca]

    # What scaffold.publish.state.Source asks of it.

    def authorities(self) -> Mapping[str, object]:
        return {}

    def certificate(self, ca: str) -> None:
        return None

    def crl(self, ca: str) -> Document | None:
        self._check_available()
        text = self.crls.get(ca)
        return crl_document(crl.load(text)) if text is not None else None

    def answer(self, ca: str, request: bytes, at: datetime) -> ResponderAnswer | None:
        self.asked += 1
        self._check_available()
        one = self.responders.get(ca)
        return one.answer(request, at) if one is not None else None

    def refresh(self, at: datetime) -> bool:
        return False

    def problems(self) -> tuple[()]:
        return ()

    def _check_available(self) -> None:
        if not self.available:
            raise Unavailable


@dataclass
class PublishedOcsp:
    """The OCSP responder of one CA: what is not in `revoked` is good, or unknown to it where it knows none."""

    ca: Authority
    revoked: set[int] = field(default_factory=set)
    knows: bool = True
    age: timedelta = timedelta()
    """How long ago it answers from: a stale answer where that is more than the lifetime."""
    lifetime: timedelta = timedelta(minutes=30)
    signer: Credential | None = None

    @property
    def certificate(self) -> x509.Certificate:
        return self.ca.certificate

    def revoke(self, *credentials: Credential) -> None:
        self.revoked.update(each.certificate.serial_number for each in credentials)

    def status(self, serial: int) -> ocsp.Status:
        if serial in self.revoked:
            return crl.Revoked(serial, now() - timedelta(minutes=5), crl.Reason.KEY_COMPROMISE)
        return ocsp.State.GOOD if self.knows else ocsp.State.UNKNOWN

    def current(self, at: datetime) -> Iterator[int]:
        return iter(())

    def answer(self, request: bytes, at: datetime) -> ResponderAnswer:
        signer = self.signer or responder(self.ca)
        delegate = issue.Issuer(signer.certificate, signer.key)
        return Responder(self, delegate, self.lifetime).answer(request, at - self.age)

    def response(self, about: Credential) -> bytes:
        """The DER response to the question about `about`, as a staple holds it."""
        asked = ocsp.cert_id(about.certificate.serial_number, self.ca.certificate)
        return self.answer(ocsp.build_request([asked]), now()).body


@contextlib.contextmanager
def publisher() -> Iterator[Published]:
    """The publisher's own HTTP service on a free port, with what a test puts into it."""
    (free,) = free_addresses(1)
    published = Published(free.port)
    with serving(published, now, HostPort("127.0.0.1", free.port), published):  # type: ignore[arg-type]
        yield published


# --- The rendered project --------------------------------------------------------------------------------------------


def allow(
    name: str, ca: Authority, caller: Credential | None = None, *, gateway: bool = False, roles: Sequence[str] = ()
) -> Allowed:
    """The entry of the caller `name`, whose certificate comes from `ca`."""
    subject = caller.dn if caller else rfc2253(client(ca, name).certificate.subject)
    spki = keys.spki_sha256(ca.certificate)
    return Allowed(
        f"client.{name}",
        name,
        "client",
        identity(name),
        "issuing",
        "issuing",
        spki,
        ca.dn,
        subject,
        gateway,
        tuple(roles),
    )


def address(port: int, host: str = "127.0.0.1") -> Address:
    return Address(host, port, f"[{host}]:{port}" if ":" in host else f"{host}:{port}")


def call_of(name: str, port: int, server_name: str) -> Call:
    return Call(name, "127.0.0.1", port, server_name, f"https://127.0.0.1:{port}/", identity(name))


def settings(listen: int, allowed: Sequence[Allowed], **changes: object) -> ServerSettings:
    """The settings of a server `desk` with one intermediate between its callers and their root."""
    plain = ServerSettings(
        topology="lab", name="desk", address="server.desk", kind="nginx", identity="spiffe://lab/server/desk",
        names=("localhost",), listen=address(listen), health=None, tls=INTERMEDIATE, files=Files(), anchors=("root",),
        verify_depth=1, allowed=tuple(allowed), revocation=Revocation(), staple=False, must_staple=False,
        post_quantum=False, calls=(), callee_verify_depth=1, upstream=None, publish=None,
    )  # fmt: skip
    return replace(plain, **changes)  # type: ignore[arg-type]


@dataclass
class Project:
    """A rendered server in its folder, and its life."""

    folder: Path
    settings: ServerSettings
    own: Credential
    root: Authority
    service: Service | None = None
    variables: Mapping[str, object] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    @property
    def port(self) -> int:
        return self.settings.listen.port

    @property
    def tls(self) -> Path:
        return self.folder / "tls"

    def write(self, *, change: Callable[[str], str] = str) -> Project:
        """Render it; `change` spoils (or mends) the text of nginx.conf and tls/allowed.conf."""
        for path, file in render(KIND, self.settings, self.variables).items():
            target = self.folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            text = file.content.decode()
            target.write_text(change(text) if path in ("nginx.conf", "tls/allowed.conf") else text)
            target.chmod(0o755 if file.executable else 0o644)
        self.own.write(self.tls / "cert.pem", self.tls / "key.pem")
        (self.tls / "ca.pem").write_bytes(bundles.pem(self.root.certificate))
        return self

    def reload(self) -> None:
        """HUP to run.sh alone, as systemd's ExecReload does."""
        assert self.service is not None
        self.service._process.send_signal(signal.SIGHUP)

    def ask(self, caller: Credential | None, path: str = "/", **how: object) -> Answer:
        return ask(self.port, caller, self.root, path, **how)  # type: ignore[arg-type]


@contextlib.contextmanager
def running(project: Project, **environment: str) -> Iterator[Project]:
    """`project`, started on its own port and stopped at the end."""
    launch = Launch(project.settings.name, project.folder, KIND.capabilities.ready or "", environment)
    with Services(on_line=lambda _, line: project.lines.append(line)) as services:
        (project.service,) = services.start([launch])
        yield project


def project(folder: Path, root: Authority, ca: Authority, allowed: Sequence[Allowed], **changes: object) -> Project:
    """A server `desk` on a free port, not yet written; its certificate is for localhost and from `ca`."""
    (free,) = free_addresses(1)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tls").mkdir(exist_ok=True)
    if ca.chain:
        (folder / "tls" / "intermediates.pem").write_bytes(bundles.chain_pem(ca.chain))
    variables = changes.pop("variables", {})
    made = settings(free.port, allowed, **changes)
    return Project(folder, made, server(ca, "desk", "localhost"), root, None, variables)  # type: ignore[arg-type]


# --- Callers ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """What came back: HTTP status, headers and body; `shown` is the server's certificate in DER."""

    status: int
    body: str
    headers: Mapping[str, str]
    shown: bytes = field(repr=False)
    resumed: bool

    @property
    def json(self) -> dict[str, object]:
        assert self.headers["content-type"] == "application/json", self
        value = json.loads(self.body)
        assert isinstance(value, dict)
        return value

    @property
    def error(self) -> str:
        return str(self.json["error"])


def context_of(caller: Credential | None, root: Authority) -> ssl.SSLContext:
    """A client's context that believes `root` alone."""
    import tempfile

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=bundles.pem(root.certificate).decode())
    if caller is not None:
        with tempfile.TemporaryDirectory() as place:
            caller.write(certificate := Path(place) / "cert.pem", key := Path(place) / "key.pem")
            context.load_cert_chain(certificate, key)
    return context


def ask(
    port: int,
    caller: Credential | None,
    root: Authority,
    path: str = "/",
    *,
    headers: Sequence[tuple[str, str]] = (),
    body: bytes = b"",
    method: str = "GET",
    tune: Callable[[ssl.SSLContext], None] | None = None,
    context: ssl.SSLContext | None = None,
    session: ssl.SSLSession | None = None,
    keep: list[ssl.SSLSession] | None = None,
) -> Answer:
    """One request over a new connection. `headers` are sent as they are, duplicates and all. Raises ssl.SSLError.

    `keep` receives the TLS session of the connection.
    """
    if context is None:
        context = context_of(caller, root)
    if tune is not None:
        tune(context)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=WITHIN) as plain,
        context.wrap_socket(plain, server_hostname="localhost", session=session) as tls,
    ):
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close"]
        lines += [f"Content-Length: {len(body)}"] if body else []
        lines += [f"{name}: {value}" for name, value in headers]
        tls.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        response = http.client.HTTPResponse(tls)
        response.begin()
        text = response.read().decode()
        received = {name.lower(): value for name, value in response.getheaders()}
        answer = Answer(response.status, text, received, tls.getpeercert(True) or b"", bool(tls.session_reused))
        if keep is not None and tls.session is not None:
            keep.append(tls.session)
            with contextlib.suppress(OSError):
                tls.unwrap()  # a server may forget the session of whoever just hangs up
        return answer


WITHIN = 120.0
"""Seconds for anything that is awaited: a loaded machine is slow, and a test that passes never waits for it."""


def until(condition: Callable[[], bool], within: float = WITHIN) -> None:
    """Try again until `condition` holds, with a breath between, for those who are to bring it about."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


# --- An upstream -----------------------------------------------------------------------------------------------------


class _Echo(http.server.BaseHTTPRequestHandler):
    """Answers with what it was sent, and with who sent it."""

    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        peer = self.connection.getpeercert()  # type: ignore[attr-defined]
        said = {
            "method": self.command,
            "path": self.path,
            "headers": [[name.lower(), value] for name, value in self.headers.items()],
            "body": self.rfile.read(length).decode(),
            "peer": [value for kind, value in peer["subjectAltName"] if kind == "URI"],
        }
        body = json.dumps(said).encode()
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = _answer  # noqa: N815

    def log_message(self, *arguments: object) -> None:
        pass


class _Upstream(http.server.ThreadingHTTPServer):
    status = 200
    context: ssl.SSLContext

    def get_request(self) -> tuple[socket.socket, object]:
        plain, peer = super().get_request()
        return self.context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False), peer

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # a gateway that does not believe it hangs up


@contextlib.contextmanager
def upstream(own: Credential, trusts: Authority, folder: Path, status: int = 200, port: int = 0) -> Iterator[int]:
    """A Python server with the certificate `own` that demands a client's certificate from `trusts`; its port."""
    folder.mkdir(parents=True, exist_ok=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.write(folder / "cert.pem", folder / "key.pem")
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    context.load_verify_locations(cadata=bundles.pem(trusts.certificate).decode())
    context.verify_mode = ssl.CERT_REQUIRED
    with _Upstream(("127.0.0.1", port), _Echo) as listening:
        listening.context, listening.status = context, status
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield listening.server_address[1]
        finally:
            listening.shutdown()
            thread.join()


def gateway(
    folder: Path, root: Authority, ca: Authority, allowed: Sequence[Allowed], port: int, **changes: object
) -> Project:
    """A server `desk` that forwards to the server `vault` on `port`, which it also calls; written to disk."""
    vault = call_of("vault", port, "vault.internal")
    files = Files(
        client_certificate="tls/client-cert.pem", client_key="tls/client-key.pem", client_trust="tls/client-ca.pem"
    )
    made = project(folder, root, ca, allowed, calls=(vault,), upstream=vault, files=files, **changes)
    client(ca, "desk").write(made.tls / "client-cert.pem", made.tls / "client-key.pem")
    (made.tls / "client-ca.pem").write_bytes(bundles.pem(root.certificate))
    return made.write()


def copy(source: Path, target: Path) -> Path:
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("run"))
    return target
