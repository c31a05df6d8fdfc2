"""What a root may sign for, in words; which certificates are refused is tried in tests/cli/test_trust.py."""

from __future__ import annotations

import pytest

from scaffold.topology.model import NameConstraints, SanType
from scaffold.trusting.roots import scope
from tests.unit.trusting.lab import root

DNS, IP, EMAIL, URI = SanType.DNS, SanType.IP, SanType.EMAIL, SanType.URI
EVERY_ADDRESS = ("0.0.0.0/0", "::/0")


@pytest.mark.parametrize(
    ("permitted", "excluded", "words", "everything"),
    [
        (
            {DNS: ("a.internal",)},
            {},
            ["DNS names in a.internal", "any IP address", "any mailbox", "any URI host"],
            True,
        ),
        ({IP: ("10.0.0.0/8",)}, {}, ["any DNS name", "IP addresses in 10.0.0.0/8"], True),
        (
            {DNS: ("a.internal", "localhost"), IP: ("127.0.0.0/8",)},
            {},
            ["DNS names in a.internal, localhost", "IP addresses in 127.0.0.0/8", "any mailbox", "any URI host"],
            False,
        ),
        ({DNS: ("a.internal",)}, {IP: EVERY_ADDRESS}, ["DNS names in a.internal", "no IP address"], False),
        ({DNS: ("a.internal",)}, {IP: ("0.0.0.0/0",)}, ["DNS names in a.internal", "any IP address, except"], True),
        ({}, {DNS: ("bank.example",)}, ["any DNS name, except bank.example", "any IP address"], True),
        ({IP: EVERY_ADDRESS, DNS: ("a.internal",)}, {}, ["DNS names in a.internal", "any IP address"], True),
        (
            {DNS: ("a.internal",), EMAIL: ("a.example",), IP: ("::1/128",)},
            {},
            ["DNS", "IP", "mailboxes in a.ex"],
            False,
        ),
    ],
)
def test_name_constraints_in_words(
    permitted: dict[SanType, tuple[str, ...]],
    excluded: dict[SanType, tuple[str, ...]],
    words: list[str],
    everything: bool,
) -> None:
    found = scope(root(constraints=NameConstraints(permitted, excluded)))
    assert len(found.words) == 4
    for said, expected in zip(found.words, words, strict=False):
        assert said.startswith(expected)
    assert found.everything is everything
    assert not found.unbounded


def test_without_name_constraints_it_may_sign_for_everything() -> None:
    found = scope(root())
    assert found.everything
    assert found.unbounded
    assert found.words == ("every name there is: it has no name constraints",)
