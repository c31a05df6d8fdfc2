"""Distinguished names, against the real openssl."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scaffold.pki.names import rfc2253
from tests.unit.pki.lab import NOW, openssl

KEY = ed25519.Ed25519PrivateKey.generate()


def openssl_prints(folder: Path, name: x509.Name) -> str:
    certificate = (
        x509.CertificateBuilder(name, name, KEY.public_key(), 1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .sign(KEY, None)
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    done = openssl("x509", "-noout", "-subject", "-nameopt", "RFC2253", cwd=folder, data=pem)
    return done.stdout.removeprefix("subject=").removesuffix("\n")


def common_name(value: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, value)])


AWKWARD = [
    "teller", "a,b", 'say "hi"', "a+b", "a=b", "<a>;b", "back\\slash", " lead", "trail ", " ", "  ", " a ",
    "#hash", "#", "##", "a#b", "Ćao", "日本", "🏦", "tab\tnew\nline\r", "\x7f", "nul\x00l", "a/b",
    "O=evil,CN=root", "{{ x }}", "$(id)", "'",
]  # fmt: skip


@pytest.mark.parametrize("value", AWKWARD)
def test_awkward_values_are_printed_as_openssl_does(value: str, tmp_path: Path) -> None:
    assert rfc2253(common_name(value)) == openssl_prints(tmp_path, common_name(value))


def test_the_example_that_nginx_prints() -> None:
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "RS"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Banka, Ćao d.o.o."),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "Desk, 2"),
            x509.NameAttribute(NameOID.COMMON_NAME, "teller"),
        ]
    )
    assert rfc2253(name) == r"CN=teller,OU=Desk\, 2,O=Banka\, \C4\86ao d.o.o.,C=RS"


OIDS = [value for key, value in vars(NameOID).items() if key.isupper() and value != NameOID.X500_UNIQUE_IDENTIFIER]


@pytest.mark.parametrize("oid", OIDS, ids=lambda oid: oid.dotted_string)
def test_every_attribute_has_the_name_that_openssl_gives_it(oid: x509.ObjectIdentifier, tmp_path: Path) -> None:
    name = x509.Name([x509.NameAttribute(oid, "NL")])
    assert rfc2253(name) == openssl_prints(tmp_path, name)


def test_an_unknown_attribute_is_dumped(tmp_path: Path) -> None:
    name = x509.Name([x509.NameAttribute(x509.ObjectIdentifier("1.2.3.4"), "Ć, x")])
    assert rfc2253(name) == openssl_prints(tmp_path, name) == "1.2.3.4=#0C05C4862C2078"


def test_attributes_that_share_a_place_are_joined_by_a_plus(tmp_path: Path) -> None:
    together = [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "a+b"), x509.NameAttribute(NameOID.USER_ID, "7")]
    country = x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.COUNTRY_NAME, "NL")])
    name = x509.Name([country, x509.RelativeDistinguishedName(together)])
    # DER sorts a set, so the order is that of the encoded certificate.
    decoded = x509.Name.from_bytes(name.public_bytes())
    assert rfc2253(decoded) == openssl_prints(tmp_path, name)


def test_an_empty_name_is_empty(tmp_path: Path) -> None:
    assert rfc2253(x509.Name([])) == openssl_prints(tmp_path, x509.Name([])).strip() == ""


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from([NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME, NameOID.LOCALITY_NAME]),
            st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_any_name_is_printed_as_openssl_does(tmp_path: Path, parts: list[tuple[x509.ObjectIdentifier, str]]) -> None:
    name = x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])
    assert rfc2253(name) == openssl_prints(tmp_path, name)
