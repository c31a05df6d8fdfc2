"""Name constraints, name by name, as RFC 5280 4.2.1.10 has them."""

from __future__ import annotations

import pytest

from scaffold.topology.constraints import forbidden_by, looks_like_dns
from scaffold.topology.model import NameConstraints, SanType
from scaffold.topology.names import san


@pytest.mark.parametrize(
    ("type_", "constraint", "name", "inside"),
    [
        (SanType.DNS, "bank.example", "bank.example", True),
        (SanType.DNS, "bank.example", "a.b.bank.example", True),
        (SanType.DNS, "bank.example", "*.bank.example", True),
        (SanType.DNS, "bank.example", "notbank.example", False),
        (SanType.DNS, "bank.example", "example", False),
        (SanType.DNS, "bank.example", "bank.example.org", False),
        (SanType.IP, "10.0.0.0/8", "10.255.0.1", True),
        (SanType.IP, "10.0.0.0/8", "11.0.0.1", False),
        (SanType.IP, "10.0.0.0/8", "::1", False),
        (SanType.IP, "fd00::/8", "fd12::1", True),
        (SanType.EMAIL, "ops@bank.example", "email:ops@bank.example", True),
        (SanType.EMAIL, "ops@bank.example", "email:Ops@bank.example", False),
        (SanType.EMAIL, "bank.example", "email:anyone@bank.example", True),
        (SanType.EMAIL, "bank.example", "email:anyone@mail.bank.example", False),
        (SanType.EMAIL, ".bank.example", "email:anyone@mail.bank.example", True),
        (SanType.EMAIL, ".bank.example", "email:anyone@bank.example", False),
        (SanType.URI, "bank.example", "spiffe://bank.example/a", True),
        (SanType.URI, "bank.example", "uri:https://me@bank.example:8443/a", True),
        (SanType.URI, "bank.example", "uri:https://x.bank.example/", False),
        (SanType.URI, ".bank.example", "uri:https://x.bank.example/", True),
        (SanType.URI, ".bank.example", "uri:https://bank.example/", False),
        (SanType.URI, "bank.example", "uri:https://evil.example/?@bank.example", False),
    ],
)
def test_inside_is_permitted_and_excluded(type_: SanType, constraint: str, name: str, inside: bool) -> None:
    assert (forbidden_by(NameConstraints(permitted={type_: (constraint,)}), san(name)) is None) is inside
    assert (forbidden_by(NameConstraints(excluded={type_: (constraint,)}), san(name)) is not None) is inside


def test_excluded_wins_over_permitted() -> None:
    constraints = NameConstraints(permitted={SanType.DNS: ("example",)}, excluded={SanType.DNS: ("secret.example",)})
    assert forbidden_by(constraints, san("open.example")) is None
    assert forbidden_by(constraints, san("a.secret.example")) == "secret.example is excluded"
    assert forbidden_by(constraints, san("*.example")) == "secret.example is excluded"


def test_types_without_a_constraint_are_free() -> None:
    constraints = NameConstraints(permitted={SanType.DNS: ("example",)})
    for name in ("127.0.0.1", "email:a@b.org", "spiffe://anywhere/a"):
        assert forbidden_by(constraints, san(name)) is None


@pytest.mark.parametrize("name", ["uri:urn:uuid:1", "uri:https://127.0.0.1/", "uri:https://[::1]/"])
def test_a_uri_without_host_name_cannot_stand_below_uri_constraints(name: str) -> None:
    assert forbidden_by(NameConstraints(excluded={SanType.URI: ("example",)}), san(name)) is not None


@pytest.mark.parametrize(
    ("common_name", "looks"),
    [
        ("a.example", True),
        ("a.example.", True),
        ("teller", False),
        ("Contoso Bank", False),
        ("Contoso B.V.", False),
        ("a.b!", False),
    ],
)
def test_a_common_name_may_look_like_dns(common_name: str, looks: bool) -> None:
    assert looks_like_dns(common_name) is looks
