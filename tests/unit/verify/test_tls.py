"""TLS with keys in memory, against the standard library's `ssl` as the other side."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from OpenSSL import SSL

from scaffold.pki import broken, bundles
from scaffold.running.services import handed_on
from scaffold.topology.model import KeyType
from scaffold.verify import tls
from scaffold.verify.credentials import Credentials, credentials
from scaffold.verify.tls import CannotOffer, TlsEnded, TlsError
from tests.unit.verify.test_http import CLIENT, GOOD, NOBODY, ROOT, context, load, serving

OLD = (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2)


def over(key: KeyType, *chain: object) -> Credentials:
    """A sound certificate over a key of this type."""
    return credentials(broken.rogue(CLIENT, ROOT, datetime.now(UTC), key_type=key, chain=chain))  # type: ignore[arg-type]


@contextlib.contextmanager
def facing(serve: Callable[[socket.socket], None]) -> Iterator[socket.socket]:
    """A connection at whose other end `serve` is at work."""
    with serving(serve) as target, tls.dial(target.address, 10) as plain:
        yield plain


def shown_to_a_server(shown: Credentials) -> list[bytes]:
    """The leaf that a server of the standard library has seen."""
    seen: list[bytes] = []

    def serve(plain: socket.socket) -> None:
        with context().wrap_socket(plain, server_side=True) as secured:
            seen.append(secured.getpeercert(binary_form=True) or b"")

    with facing(serve) as plain:
        tls.connecting(tls.client_context(shown), plain, "accounts.internal").handshake()
        with contextlib.suppress(TlsError):
            plain.recv(1)
    return seen


@pytest.mark.parametrize("key", [KeyType.EC_P256, KeyType.EC_P384, KeyType.EC_P521, KeyType.RSA_2048, KeyType.ED25519])
def test_a_key_of_every_type_is_used_out_of_memory(key: KeyType) -> None:
    shown = over(key)
    assert shown_to_a_server(shown) == [bundles.der(bundles.load_certificates(shown.certificates)[0])]


@pytest.mark.filterwarnings("ignore:Passing pyOpenSSL PKey objects:DeprecationWarning")
@pytest.mark.parametrize("key", [KeyType.ML_DSA_44, KeyType.ML_DSA_65, KeyType.ML_DSA_87])
def test_a_post_quantum_key_is_used_where_the_library_knows_it(key: KeyType) -> None:
    shown, received = over(key), list[bytes]()
    try:
        ours = tls.server_context(shown)
    except CannotOffer:
        assert not tls.knows_ml_dsa()
        return
    assert tls.knows_ml_dsa()

    def serve(plain: socket.socket) -> None:
        tls.accepting(ours, plain).handshake()

    with facing(serve) as plain:
        connection = SSL.Connection(tls.client_context(None), plain)
        plain.settimeout(None)
        connection.set_connect_state()
        connection.do_handshake()
        seen = connection.get_peer_certificate(as_cryptography=True)
        assert seen is not None
        received.append(bundles.der(seen))
    assert received == [bundles.der(bundles.load_certificates(shown.certificates)[0])]


def test_what_is_sent_after_the_leaf_is_sent() -> None:
    """The server trusts the root alone, and meets the one between in the handshake."""
    now = datetime.now(UTC)
    between = broken.sibling_ca(ROOT, ROOT.certificate, now)
    rogue = broken.rogue(CLIENT, between, now, chain=(between.certificate,))
    assert len(shown_to_a_server(credentials(rogue))) == 1
    alone = broken.Rogue(rogue.certificate, rogue.key)
    assert shown_to_a_server(credentials(alone)) == []


def test_a_key_never_touches_the_disk() -> None:
    """Whatever opens a file for writing, by whatever name, is seen by Python's own audit hooks (PEP 578)."""
    program = (
        "import sys; from tests.unit.verify import test_http; from scaffold.verify import tls; seen = []\n"
        "def hook(event, given):\n"
        "    if event == 'open' and isinstance(given[2], int) and given[2] & 3: seen.append(given)\n"
        "    if event in ('os.mkdir', 'tempfile.mkdtemp', 'tempfile.mkstemp'): seen.append(given)\n"
        "sys.addaudithook(hook)\n"
        "tls.client_context(test_http.GOOD); tls.server_context(test_http.GOOD); assert not seen, seen\n"
        "import tempfile; tempfile.TemporaryFile(); assert seen\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, env=handed_on())
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "shown",
    [
        Credentials(NOBODY.certificates, GOOD.key),
        Credentials(GOOD.certificates, b"no key"),
        Credentials(b"no certificate", GOOD.key),
    ],
    ids=["another's key", "no key", "no certificate"],
)
def test_what_cannot_be_loaded_is_said(shown: Credentials) -> None:
    for load_it in (tls.client_context, tls.server_context):
        with pytest.raises(CannotOffer, match=r"cannot (load the certificate|be loaded)"):
            load_it(shown)


def test_it_speaks_nothing_old_unless_it_is_asked_to() -> None:
    old = context(ssl.TLSVersion.TLSv1_1, verify=False)
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.set_ciphers("ALL:@SECLEVEL=0")

    def serve(plain: socket.socket) -> None:
        old.wrap_socket(plain, server_side=True).close()

    with facing(serve) as plain, pytest.raises(TlsError):
        tls.connecting(tls.client_context(None), plain, "x").handshake()
    with facing(serve) as plain:
        tls.connecting(tls.client_context(None, ssl.TLSVersion.TLSv1_1), plain, "x").handshake()


@pytest.mark.parametrize("version", OLD, ids=lambda version: version.name)
def test_what_it_speaks_is_tried_on_itself(version: ssl.TLSVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tls.speaks(version, NOBODY)
    # A library that will have none of it, as distributions configure theirs.
    limit = tls._limit

    def by_policy(made: SSL.Context, newest: ssl.TLSVersion | None) -> None:
        limit(made, newest)
        made.set_min_proto_version(SSL.TLS1_3_VERSION)

    monkeypatch.setattr(tls, "_limit", by_policy)
    assert not tls.speaks(version, NOBODY)


@pytest.mark.parametrize(
    ("name", "sent"), [("accounts.internal", "accounts.internal"), ("127.0.0.1", None), ("::1", None)]
)
def test_names_are_sent_and_addresses_are_not(name: str, sent: str | None) -> None:
    asked: list[str | None] = []
    of_server = context(verify=False)
    of_server.sni_callback = lambda _, asked_for, __: asked.append(asked_for)  # type: ignore[assignment]

    def serve(plain: socket.socket) -> None:
        of_server.wrap_socket(plain, server_side=True).close()

    with facing(serve) as plain:
        tls.connecting(tls.client_context(None), plain, name).handshake()
    assert asked == [sent]


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_no_session_is_resumed_at_a_server_of_ours(newest: ssl.TLSVersion) -> None:
    """Whoever resumes looks at no certificate, and would believe the next one unseen."""
    ours = tls.server_context(NOBODY)
    caller = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    caller.check_hostname, caller.verify_mode, caller.maximum_version = False, ssl.CERT_NONE, newest

    def serve(plain: socket.socket) -> None:
        connection = tls.accepting(ours, plain)
        connection.handshake()
        connection.sendall(connection.recv(10))
        connection.close()

    session: ssl.SSLSession | None = None
    for _ in range(2):
        with facing(serve) as plain, caller.wrap_socket(plain, session=session, server_hostname="x") as secured:
            secured.sendall(b"hello")
            assert secured.recv(10) == b"hello"  # tickets come before it
            assert not secured.session_reused
            session = secured.session


def test_much_is_sent_and_read_whole() -> None:
    text = bytes(range(256)) * 4_000

    def serve(plain: socket.socket) -> None:
        with context(verify=False).wrap_socket(plain, server_side=True) as secured:
            secured.sendall(text)
            secured.unwrap()

    with facing(serve) as plain:
        connection = tls.connecting(tls.client_context(None), plain, "x")
        connection.handshake()
        assert connection.makefile("rb").read() == text
        assert connection.recv(1) == b""


def test_an_alert_an_end_and_a_fault_of_our_own_finding_are_told_apart() -> None:
    def alerting(plain: socket.socket) -> None:
        context(ssl.TLSVersion.TLSv1_2).wrap_socket(plain, server_side=True)

    with facing(alerting) as plain, pytest.raises(TlsError) as found:
        tls.connecting(tls.client_context(NOBODY), plain, "x").handshake()
    assert found.value.alert == "unknown ca"
    with facing(lambda plain: plain.recv(1 << 16) and None) as plain, pytest.raises(TlsEnded):
        tls.connecting(tls.client_context(None), plain, "x").handshake()
    with facing(lambda plain: plain.sendall(b"HTTP/1.1 400 no\r\n\r\n")) as plain, pytest.raises(TlsError) as found:
        tls.connecting(tls.client_context(None), plain, "x").handshake()
    assert (found.value.alert, isinstance(found.value, TlsEnded)) == (None, False)


def test_what_we_refuse_is_told_to_the_other_side() -> None:
    told: list[str] = []
    strict = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load(strict, NOBODY)
    strict.minimum_version = ssl.TLSVersion.TLSv1_3

    def serve(plain: socket.socket) -> None:
        try:
            strict.wrap_socket(plain, server_side=True)
        except ssl.SSLError as error:
            told.append(error.reason or "")

    refusing = tls.client_context(None)
    refusing.set_verify(SSL.VERIFY_PEER, lambda *_: False)
    with facing(serve) as plain, pytest.raises(TlsError):
        tls.connecting(refusing, plain, "x").handshake()
    assert ["ALERT" in reason for reason in told] == [True]
