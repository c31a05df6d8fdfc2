"""Addresses: written and read back, ordered, and refused with a hint that can be followed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaffold.errors import AddressError
from scaffold.topology.address import Address, Part, Role

names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
of_cas = st.builds(
    Address,
    st.just(Role.CA),
    names,
    st.none() | st.sampled_from([Part.CERTIFICATE, Part.CRL, Part.OCSP]),
    st.none() | st.integers(2, 99),
)
of_parties = st.builds(
    Address,
    st.sampled_from([Role.SERVER, Role.CLIENT]),
    names,
    st.none() | st.sampled_from([part for part in Part if part not in (Part.CRL, Part.OCSP, Part.APP)]),
)
of_apps = st.builds(Address, st.just(Role.SERVER), names, st.just(Part.APP))
addresses = of_cas | of_parties | of_apps


@given(addresses)
def test_what_is_written_is_read(address: Address) -> None:
    again = Address.parse(str(address))
    assert again == address
    assert hash(again) == hash(address)
    assert (again.role, again.name, again.part, again.generation) == (
        address.role,
        address.name,
        address.part,
        address.generation,
    )


@given(addresses, addresses)
def test_two_are_equal_and_ordered_as_their_texts_are(one: Address, other: Address) -> None:
    assert (one == other) == (str(one) == str(other))
    assert (one < other) == (str(one) < str(other))
    assert one != str(one)


@given(addresses)
def test_an_entity_is_that_of_all_its_parts(address: Address) -> None:
    entity = address.entity
    assert (entity.role, entity.name, entity.part, entity.generation) == (address.role, address.name, None, None)
    assert entity.entity is entity
    assert address.with_part(Part.CERTIFICATE).entity == entity


def test_how_parts_and_generations_are_written() -> None:
    second = Address(Role.CA, "issuing", generation=2)
    assert str(second) == "ca.issuing@2"
    assert str(second.with_part(Part.CERTIFICATE)) == "ca.issuing@2.certificate"
    assert str(Address.server("front", Part.CLIENT_CERTIFICATE)) == "server.front.client-certificate"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "ROLE.NAME"),
        ("server", "ROLE.NAME"),
        ("server.", "ROLE.NAME"),
        ("server.web.", "ROLE.NAME"),
        ("server.web.trust.more", "ROLE.NAME"),
        ("servr.web", 'did you mean "server"?'),
        ("Server.web", 'did you mean "server"?'),
        ("server.web.certificat", 'did you mean "certificate"?'),
        ("ca.root.trust", "certificate, crl, ocsp"),
        ("client.teller.crl", "project"),
        ("ca.root@", "ca.NAME@2"),
        ("ca.root@1", "ca.NAME@2"),
        ("ca.root@02", "ca.NAME@2"),
        ("ca.root@two", "ca.NAME@2"),
        ("ca.root@²", "ca.NAME@2"),
        ("server.web@2", "ca.NAME@2"),
    ],
)
def test_what_is_no_address_is_refused_with_a_hint(text: str, hint: str) -> None:
    with pytest.raises(AddressError, match="no such address") as raised:
        Address.parse(text)
    assert hint in (raised.value.hint or "")


def test_the_nearest_that_is_known_is_named() -> None:
    known = [Address.server("accounts"), Address.client("teller")]
    with pytest.raises(AddressError) as raised:
        Address.parse("teller", known)
    assert raised.value.hint == 'did you mean "client.teller"?'


@given(st.text(max_size=30))
def test_any_text_is_an_address_or_one_clear_error(text: str) -> None:
    try:
        address = Address.parse(text)
    except AddressError as refused:
        hint = refused.hint
    else:
        assert str(address) == text
        return
    assert hint
