"""Parts of the ASGI template that decide without a connection: names, heads, settings, and what they import."""

from __future__ import annotations

import ast
import asyncio
import importlib
import json
import re
import socket
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID
from hypothesis import example, given
from hypothesis import strategies as st

from scaffold.kinds import catalogue
from scaffold.kinds.render import render_context
from scaffold.topology.model import KeyType
from tests.fresh import new_key
from tests.golden.cases import context_of

KIND = catalogue.builtin("asgi", "server")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A rendered project whose package `mtls` can be imported."""
    folder = tmp_path_factory.mktemp("asgi")
    for name, file in render_context(KIND, context_of(KIND, {})).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(file.content)
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.split(".")[0] == "mtls"]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def extension(project: Path) -> ModuleType:
    return importlib.import_module("mtls.extension")


@pytest.fixture(scope="module")
def head(project: Path) -> ModuleType:
    return importlib.import_module("mtls.head")


# --- The subject, in RFC 4514 -----------------------------------------------------------------------------------------

KEY = new_key(KeyType.EC_P256)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def certificate(*relative: x509.RelativeDistinguishedName) -> x509.Certificate:
    name = x509.Name(list(relative))
    built = x509.CertificateBuilder(name, name, KEY.public_key(), 1, NOW, NOW + timedelta(days=1))
    return built.sign(KEY, hashes.SHA256())


def one(oid: x509.ObjectIdentifier, value: Any, kind: _ASN1Type | None = None) -> x509.RelativeDistinguishedName:
    return x509.RelativeDistinguishedName([x509.NameAttribute(oid, value, kind, _validate=False)])


WRITTEN_OUT = (
    *(NameOID.COMMON_NAME, NameOID.LOCALITY_NAME, NameOID.STATE_OR_PROVINCE_NAME, NameOID.ORGANIZATION_NAME),
    *(NameOID.ORGANIZATIONAL_UNIT_NAME, NameOID.STREET_ADDRESS, NameOID.DOMAIN_COMPONENT, NameOID.USER_ID),
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30).filter(lambda text: text != " ")


@given(st.lists(st.tuples(st.sampled_from(WRITTEN_OUT), TEXTS), min_size=1, max_size=4))
@example([(NameOID.COMMON_NAME, "#hash"), (NameOID.ORGANIZATION_NAME, " a, b+c\\ ")])
def test_a_subject_is_written_as_cryptography_writes_it(extension: ModuleType, parts: list[tuple[Any, str]]) -> None:
    made = certificate(*(one(oid, text, _ASN1Type.UTF8String) for oid, text in parts))
    assert extension.distinguished_name(made.public_bytes(Encoding.DER)) == made.subject.rfc4514_string()


@pytest.mark.parametrize(
    ("relative", "written"),
    [
        (one(NameOID.COMMON_NAME, " ", _ASN1Type.UTF8String), "CN=\\ "),
        (one(NameOID.COUNTRY_NAME, "NL", _ASN1Type.PrintableString), "C=NL"),
        (one(NameOID.COMMON_NAME, "Ćao", _ASN1Type.BMPString), "CN=Ćao"),
        (one(NameOID.SERIAL_NUMBER, "7", _ASN1Type.PrintableString), "2.5.4.5=#130137"),
        (one(NameOID.EMAIL_ADDRESS, "a@b", _ASN1Type.IA5String), "1.2.840.113549.1.9.1=#1603614062"),
        (
            x509.RelativeDistinguishedName(
                [x509.NameAttribute(NameOID.COMMON_NAME, "a"), x509.NameAttribute(NameOID.USER_ID, "b")]
            ),
            "CN=a+UID=b",
        ),
    ],
    ids=["a space", "a country", "16 bits", "no short name", "e-mail", "two at once"],
)
def test_what_a_subject_may_hold_besides(extension: ModuleType, relative: Any, written: str) -> None:
    assert extension.distinguished_name(certificate(relative).public_bytes(Encoding.DER)) == written


def test_a_text_that_is_none_is_written_in_hex(extension: ModuleType) -> None:
    encoded = certificate(one(NameOID.COMMON_NAME, "ab", _ASN1Type.UTF8String)).public_bytes(Encoding.DER)
    assert extension.distinguished_name(encoded) == "CN=ab"
    assert extension.distinguished_name(encoded.replace(b"\x0c\x02ab", b"\x0c\x02\xffb")) == "CN=#0c02ff62"


# --- Heads ------------------------------------------------------------------------------------------------------------


def scope(raw: bytes, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"raw_path": raw, "path": "as it came", "headers": [(b"host", b"here"), *headers]}


def test_a_usual_head_is_left_as_it_is(head: ModuleType) -> None:
    for raw in (b"/", b"/a://b", b"*", b"//x", b"/%2e/"):
        given = scope(raw, (b"content-length", b"1"))
        assert head.settled(given) is given


@pytest.mark.parametrize(
    ("raw", "path", "host"),
    [
        (b"https://example.org/a%20b", "/a b", b"example.org"),
        (b"HTTP://example.org:8443", "/", b"example.org:8443"),
        (b"http://[::1]:1/x", "/x", b"[::1]:1"),
    ],
)
def test_a_proxys_target_is_a_path_and_a_host(head: ModuleType, raw: bytes, path: str, host: bytes) -> None:
    settled = head.settled(scope(raw))
    assert (settled["path"], dict(settled["headers"])[b"host"]) == (path, host)
    assert settled["raw_path"].startswith(b"/")


@pytest.mark.parametrize(
    ("raw", "headers"),
    [
        (b"ftp://example.org/", ()),
        (b"https:///x", ()),
        (b"https://a b/", ()),
        (b"https://user@example.org/", ()),
        (b"/", ((b"host", b"a b"),)),
        (b"/", ((b"host", b"a/b"),)),
        (b"/", ((b"content-length", b"1"), (b"transfer-encoding", b"chunked"))),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(head: ModuleType, raw: bytes, headers: Any) -> None:
    with pytest.raises(head.Malformed):
        head.settled(scope(raw, *headers))


CLAIMS = [
    *("x-client-subject", "x-client-issuer", "x-client-roles", "x-client-cert", "x-client-cert-pem"),
    *("x-forwarded-client-cert", "client-cert", "client-cert-chain", "x-ssl-client-verify", "x-ssl-client-s-dn"),
    *("x-arr-clientcert", "x-forwarded-tls-client-cert", "x-forwarded-tls-client-cert-info"),
    *("x-client-identity", "x-client-dn", "x-client-san", "x-client-serial", "x-client-verify", "x-client-fingerprint"),
    *("x-client-cn", "x-on-behalf-of-subject", "x-on-behalf-of-roles", "x-ssl-issuer", "ssl-client-subject-dn"),
    *("ssl-client-verify", "x-amzn-mtls-clientcert", "x-amzn-mtls-clientcert-subject", "x-spiffe-id", "remote-user"),
    *("remote-group", "remote-email", "x-remote-user", "x-remote-group", "x-forwarded-user", "x-forwarded-email"),
    *("x-forwarded-groups", "x-forwarded-preferred-username", "x-auth-request-user", "x-auth-request-email"),
    *("x-authenticated-user", "x-webauth-user"),
]
"""What all kinds take away that have something behind them: an application, or a server."""


@pytest.mark.parametrize("name", CLAIMS)
def test_claims_are_taken_away_however_they_are_spelled(head: ModuleType, name: str) -> None:
    spelled = {name, name.replace("-", "_"), name.replace("-", "_", 1)}
    headers = [(each.encode(), b"x") for each in spelled]
    assert head.without_claims([*headers, (b"accept", b"y")]) == [(b"accept", b"y")]


def test_nginx_and_haproxy_take_away_the_same() -> None:
    """nginx by names alone, HAProxy by a pattern; the handshake tests send some of them through both."""
    folder = catalogue.shared_folder().parent / "servers"
    nginx = (folder / "nginx/{{cookiecutter.name}}/nginx.conf").read_text().lower()
    set_anew = set(re.findall(r"^ +proxy_set_header ([a-z0-9-]+) ", nginx, re.MULTILINE))
    haproxy = (folder / "haproxy/{{cookiecutter.name}}/haproxy.cfg").read_text()
    taken = re.search(r"del-header (\^x-client.*|\^\(x-\(client.*) -m reg", haproxy)
    assert taken is not None
    for name in CLAIMS:
        assert name in set_anew | {"x-client-cert-pem"}, name
        assert re.search(taken[1], name), name


@pytest.mark.parametrize("name", ["x-client-version", "x-client", "x-forwarded-for", "client", "authorization"])
def test_other_headers_stay(head: ModuleType, name: str) -> None:
    assert head.without_claims([(name.encode(), b"x")]) == [(name.encode(), b"x")]


# --- Settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 64])
def test_a_number_of_workers(project: Path, tmp_path: Path, count: int) -> None:
    workers = importlib.import_module("mtls.workers")
    (tmp_path / "settings.json").write_text(json.dumps({"workers": count}))
    assert workers.how_many(tmp_path / "settings.json") == count
    (tmp_path / "settings.json").write_text("{}")
    assert workers.how_many(tmp_path / "settings.json") == 1


@pytest.mark.parametrize("count", [0, -1, 65, True, "2", 1.5, None])
def test_a_number_of_workers_that_cannot_be(project: Path, tmp_path: Path, count: object) -> None:
    workers = importlib.import_module("mtls.workers")
    (tmp_path / "settings.json").write_text(json.dumps({"workers": count}))
    with pytest.raises(ValueError, match="from 1 to 64"):
        workers.how_many(tmp_path / "settings.json")


# --- Connections ------------------------------------------------------------------------------------------------------


def test_head_and_body_of_an_answer_do_not_wait_for_one_another(project: Path) -> None:
    """Nagle's algorithm and a delayed acknowledgement make 40 ms of each answer that leaves in two pieces."""
    connections = importlib.import_module("mtls.connections")

    async def accepted() -> bool:
        found = asyncio.get_running_loop().create_future()

        class Looks(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                option = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                found.set_result(option != 0)

        listening = connections.bind("127.0.0.1", 0)
        listener = connections.Listener(listening, lambda: None, lambda place: Looks())
        listener.start()
        _, writer = await asyncio.open_connection(*listening.getsockname())
        try:
            return await asyncio.wait_for(found, 20)
        finally:
            writer.close()
            listener.close()

    assert asyncio.run(accepted())


# --- The package ------------------------------------------------------------------------------------------------------


def names_imported(source: str) -> set[str]:
    tree = ast.walk(ast.parse(source))
    return {
        name
        for node in tree
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [str(node.module)]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }


def test_the_package_imports_its_own_modules_by_its_name(project: Path) -> None:
    """A module of a person's own that is called `settings` or `policy` is theirs."""
    own = {file.stem for file in (project / "mtls").glob("*.py")}
    for file in (project / "mtls").glob("*.py"):
        assert names_imported(file.read_text()).isdisjoint(own), file.name


def test_as_they_stand_the_shared_parts_would_not(project: Path) -> None:
    own = {file.stem for file in (project / "mtls").glob("*.py")}
    for name in ("tls", "peer", "calls", "sessions", "standing", "policy"):
        assert names_imported((catalogue.shared_folder() / f"{name}.py").read_text()) & own, name
