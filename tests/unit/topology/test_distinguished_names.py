"""Distinguished names as people write them, and that what OpenSSL prints is read as what it was printed from."""

from __future__ import annotations

import contextlib

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from scaffold.pki.names import rfc2253
from scaffold.settings.subjects import stated_subjects
from scaffold.topology.distinguished_names import Attribute, comparable, parse, spellings
from scaffold.topology.messages import Invalid

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20)
TYPES = st.sampled_from(
    [NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME, NameOID.LOCALITY_NAME]
)
PARTS = st.lists(st.builds(x509.NameAttribute, TYPES, TEXTS), min_size=1, max_size=2, unique_by=lambda one: one.oid)
NAMES = st.lists(PARTS.map(x509.RelativeDistinguishedName), min_size=1, max_size=3).map(x509.Name)


def one(text: str) -> Attribute:
    [[attribute]] = parse(text)
    return attribute


@given(NAMES)
def test_what_is_printed_is_read_as_what_it_was_printed_from(name: x509.Name) -> None:
    assert rfc2253(name) in stated_subjects(f"subject:{rfc2253(name)}")


@pytest.mark.parametrize(
    ("text", "type_", "value"),
    [
        ("CN=a", "CN", "a"),
        ("cn = a ", "CN", "a"),
        ("2.5.4.3=a", "CN", "a"),
        ("OID.2.5.4.3=a", "CN", "a"),
        ("S=a", "ST", "a"),
        ("E=a@b", "emailAddress", "a@b"),
        ("emailaddress=a@b", "emailAddress", "a@b"),
        (r"CN=\ a\ ", "CN", " a "),
        (r"CN=a\\ ", "CN", "a\\"),
        (r"CN=\23a", "CN", "#a"),
        (r"CN=\D0\9F", "CN", "П"),
        (r"CN=a\,b\+c\"d\;e\<f\>g\=h", "CN", 'a,b+c"d;e<f>g=h'),
        ('CN="a, b + c"', "CN", "a, b + c"),
        (r'CN="a \" b"', "CN", 'a " b'),
        ("CN=a=b", "CN", "a=b"),
        ("CN=#0C0161", "CN", "a"),
        ("CN=#1E020161", "CN", "š"),
        ("CN=#1401FC", "CN", "ü"),
    ],
)
def test_one_attribute(text: str, type_: str, value: str) -> None:
    assert one(text) == Attribute(type_, value)


@pytest.mark.parametrize("text", ["1.2.3.4=#0C0161", "1.2.3.4=#0c0161", "oid.1.2.3.4=#0C0161"])
def test_an_attribute_that_openssl_does_not_know_is_printed_in_hex(text: str) -> None:
    assert stated_subjects(f"subject:{text}") == ("1.2.3.4=#0C0161",)


def test_the_order_is_that_of_rfc_2253() -> None:
    assert stated_subjects("subject:CN=a,O=b;C=NL") == ("CN=a,O=b,C=NL",)


def test_a_part_with_several_values_may_be_printed_in_any_order() -> None:
    assert stated_subjects("subject:CN=a+OU=b,O=c") == ("CN=a+OU=b,O=c", "OU=b+CN=a,O=c")
    assert comparable(parse("CN=a+OU=b")) == comparable(parse("OU=b+CN=a"))
    assert len(spellings(parse("CN=a+OU=b+O=c+L=d"))) == 24


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not a distinguished name"),
        ("robot", "is not a distinguished name"),
        ("CN=a,,O=b", "is not a distinguished name"),
        ("CN=a,", "is not a distinguished name"),
        ("CN=", "without a value"),
        ('CN="a', "not closed"),
        (r"CN=a\q", "has a \\ before a character that needs none"),
        ("CN=a\\", "has a \\ before a character that needs none"),
        (r"CN=\FF", "no UTF-8"),
        ("XY=a", "is not an attribute"),
        ("1.2.3.4=a", "cannot be known from text"),
        ("CN=a+OU=b+O=c+L=d+ST=e", "too many attributes"),
        ("CN=#0C01FF", "in hex that cannot be read"),
    ],
)
def test_what_is_none_is_told(text: str, words: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse(text)
    assert words in caught.value.message
    assert caught.value.hint


@given(st.text(max_size=60))
def test_any_text_is_read_or_told(text: str) -> None:
    with contextlib.suppress(Invalid):
        assert parse(text)
