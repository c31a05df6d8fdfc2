"""The few elements of DER that are read and written here, against another library's reading of them."""

from __future__ import annotations

import pytest
from asn1crypto import core
from hypothesis import given
from hypothesis import strategies as st

from scaffold.pki.der import INTEGER, OCTET_STRING, SEQUENCE, element, elements, integer


@given(st.integers(0, 1 << 80))
def test_an_integer_is_what_another_library_reads(value):
    assert core.Integer.load(integer(value), strict=True).native == value
    assert integer(value) == core.Integer(value).dump()


@given(st.lists(st.binary(max_size=300), max_size=4))
def test_what_is_written_is_read_again(contents):
    encoded = element(SEQUENCE, *(element(OCTET_STRING, content) for content in contents))
    assert encoded == core.SequenceOf(contents, spec=core.OctetString).dump()
    [sequence] = elements(encoded)
    assert (sequence.tag, sequence.encoded) == (SEQUENCE, encoded)
    assert [(one.tag, one.content) for one in elements(sequence.content)] == [(OCTET_STRING, one) for one in contents]


@pytest.mark.parametrize(
    "damaged",
    ["02", "0201", "020201", "0280", "028000", "02810101", "0282008000", "02820100", "1f0100", "02ff"],
)
def test_what_is_no_der_is_an_error(damaged):
    with pytest.raises(ValueError, match=r"a (tag|length)|an element"):
        list(elements(bytes.fromhex(damaged)))


def test_nothing_holds_nothing():
    assert list(elements(b"")) == []
    assert [one.tag for one in elements(bytes.fromhex("0201010500"))] == [INTEGER, 0x05]
