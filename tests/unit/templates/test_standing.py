"""Whether a caller who was verified at the handshake still stands: the part of the Python and ASGI servers for that."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from scaffold.kinds import catalogue
from scaffold.kinds.render import render_context
from scaffold.pki import bundles, profiles
from tests.golden.cases import context_of
from tests.requirements import require_command
from tests.unit.pki.lab import TOPOLOGY, client, empty_crls, lab, leaf, server

KIND = catalogue.builtin("python", "server")


@dataclass(frozen=True)
class Demands:
    """What is read of a policy."""

    check_crl: bool = False


@dataclass(frozen=True)
class Current:
    """What is read of the material of a server."""

    trust: str = "today"
    policy: Demands = field(default_factory=Demands)


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The module of a rendered project."""
    require_command("openssl")
    folder = tmp_path_factory.mktemp("python")
    for name, file in render_context(KIND, context_of(KIND, {})).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(file.content)
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    yield importlib.import_module("standing")
    sys.path.remove(str(folder))
    own = {path.stem for path in folder.glob("*.py")}
    for name in own & (set(sys.modules) - before):
        del sys.modules[name]


@pytest.fixture
def tls(tmp_path: Path) -> Path:
    (tmp_path / "ca.pem").write_bytes(bundles.pem(lab().root.certificate))
    return tmp_path


def chain(one: bytes) -> tuple[bytes, ...]:
    """A leaf in DER, with those above it."""
    return (one, bundles.der(lab().issuing.certificate), bundles.der(lab().root.certificate))


def teller() -> tuple[bytes, ...]:
    return chain(bundles.der(leaf(profiles.for_client_side(TOPOLOGY, client()), lab().issuing).certificate))


def complaint(standing: ModuleType, tls: Path, shown: tuple[bytes, ...], current: Current | None = None) -> str:
    """Why a caller does not stand; empty where it does."""
    try:
        standing.Standing(tls).check(shown, current or Current())
    except standing.Refused as error:
        return str(error)
    return ""


def test_a_caller_below_the_roots_of_today_stands(standing: ModuleType, tls: Path) -> None:
    assert complaint(standing, tls, teller()) == ""


def test_a_certificate_that_is_for_servers_alone_does_not(standing: ModuleType, tls: Path) -> None:
    accounts = bundles.der(leaf(profiles.for_server(TOPOLOGY, server()), lab().issuing).certificate)
    assert "purpose" in complaint(standing, tls, chain(accounts))


def test_what_the_handshake_would_refuse_as_malformed_does_not(standing: ModuleType, tls: Path) -> None:
    """RFC 5280 4.2.1.1: a certificate that a CA has issued names the key that signed it."""
    one = leaf(profiles.for_client_side(TOPOLOGY, client()), lab().issuing)
    builder = x509.CertificateBuilder(
        one.certificate.issuer, one.certificate.subject, one.key.public_key(), one.certificate.serial_number,
        one.certificate.not_valid_before_utc, one.certificate.not_valid_after_utc,
    )  # fmt: skip
    for extension in one.certificate.extensions:
        if not isinstance(extension.value, x509.AuthorityKeyIdentifier):
            builder = builder.add_extension(extension.value, extension.critical)
    nameless = builder.sign(lab().issuing.key, hashes.SHA256())
    assert "Missing Authority Key Identifier" in complaint(standing, tls, chain(bundles.der(nameless)))


def test_no_root_of_the_system_has_a_say(
    standing: ModuleType, tls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tls / "ca.pem").write_bytes(bundles.pem(lab().other_root.certificate))
    (tmp_path / "system").mkdir()
    (tmp_path / "system" / "root.pem").write_bytes(bundles.pem(lab().root.certificate))
    subprocess.run(["openssl", "rehash", tmp_path / "system"], check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "system"))
    assert complaint(standing, tls, teller())


def test_who_is_on_a_crl_does_not_and_nobody_does_without_one(standing: ModuleType, tls: Path) -> None:
    pki, current = lab(), Current(policy=Demands(check_crl=True))
    certificate = leaf(profiles.for_client_side(TOPOLOGY, client()), pki.issuing).certificate
    shown = chain(bundles.der(certificate))
    assert complaint(standing, tls, shown, current), "there is no crl.pem"
    (tls / "crl.pem").write_bytes(empty_crls(pki.issuing, pki.root))
    assert complaint(standing, tls, shown, current) == ""
    (tls / "crl.pem").write_bytes(empty_crls(pki.issuing, pki.root, revoked=[certificate.serial_number]))
    assert "certificate revoked" in complaint(standing, tls, shown, current)


def test_without_an_answer_of_openssl_nobody_stands(
    standing: ModuleType, tls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert "openssl" in complaint(standing, tls, teller())


def test_a_chain_is_verified_once_under_the_same_roots_and_anew_under_others(
    standing: ModuleType, tls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown, stands = teller(), standing.Standing(tls)
    stands.check(shown, Current())
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    stands.check(shown, Current())
    with pytest.raises(standing.Refused):
        stands.check(shown, Current(trust="tomorrow"))
