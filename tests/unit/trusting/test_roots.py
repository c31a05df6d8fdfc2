"""Which certificates are roots that may be trusted, and what a root may sign for, in words."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scaffold.errors import TrustError
from scaffold.pki import bundles
from scaffold.topology.model import NameConstraints, SanType
from scaffold.trusting import roots
from scaffold.trusting.model import Anchor
from scaffold.trusting.roots import scope
from tests.handshake.nginx_lab import now
from tests.unit.conftest import Household
from tests.unit.trusting.lab import anchor, root

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
    assert found.words == ("every name: it has no name constraints",)


# --- Which certificates are roots ------------------------------------------------------------------------------------


def found_anchor(household: Household, ca: str = "root") -> Anchor:
    project = household.open()
    return roots.anchor(project.topology, project.layout, project.topology.cas[ca])


def test_the_root_that_was_issued_is_one(household: Household) -> None:
    household.apply()
    assert found_anchor(household).certificate == household.certificate("pki/root/ca.crt")


@pytest.mark.parametrize("other", ["another root", "a CA below it"])
def test_another_certificate_in_its_place_is_none(household: Household, other: str) -> None:
    household.apply()
    below = (household.out / "pki/issuing/ca.crt").read_bytes()
    in_its_place = bundles.pem(root()) if other == "another root" else below
    (household.out / "pki/root/ca.crt").write_bytes(in_its_place)
    with pytest.raises(TrustError, match=r"is not the certificate that was issued for ca\.root"):
        found_anchor(household)


def test_a_ca_that_was_made_elsewhere_below_another_is_none(household: Household) -> None:
    household.apply()
    for name, source in (("partner.pem", "issuing"), ("partner-root.pem", "root")):
        (household.folder / name).write_bytes((household.out / "pki" / source / "ca.crt").read_bytes())
    brought = "partner: {existing: {certificate: partner.pem, chain: partner-root.pem}}"
    household.text = household.text.replace("  root: {}", f"  root: {{}}\n  {brought}")
    with pytest.raises(TrustError, match="it was made elsewhere, below CN="):
        found_anchor(household, "partner")


@pytest.mark.parametrize(
    ("days", "said"), [(-1, "is not valid before"), (0, None), (29, None), (31, "has expired, on")]
)
def test_a_root_that_no_program_accepts_today(days: int, said: str | None) -> None:
    moment = now() + timedelta(days=days)
    if said is None:
        roots.check_dates(anchor(), moment)
        return
    with pytest.raises(TrustError, match=said):
        roots.check_dates(anchor(), moment)
