"""What should be, where a CA has several generations: names, places and pointers of each."""

from __future__ import annotations

from pathlib import Path

import pytest

from scaffold.plan.desired import Desired, desire
from scaffold.topology.generations import Generations, GenerationState
from scaffold.topology.load import loads

TEXT = """
version: 1
name: bank
publish: http://127.0.0.1:9080
cas:
  root: {subject: {common_name: Bank Root}}
  issuing: {issuer: root, subject: {common_name: Bank Issuing, organization: Bank}, revocation: {crl: 1d, ocsp: 1h}}
servers:
  accounts: {template: python, issuer: issuing, listen: "127.0.0.1:8443", names: [localhost], calls: [vault]}
  vault: {template: python, issuer: issuing, listen: "127.0.0.1:8444", names: [localhost]}
clients:
  teller: {template: python, issuer: issuing, calls: [accounts]}
"""

UPCOMING, ISSUING = GenerationState.UPCOMING, GenerationState.ISSUING
TRUSTED, RETIRED = GenerationState.TRUSTED, GenerationState.RETIRED

T = loads(TEXT.encode(), Path("topology.yaml"))


def desired(**states: dict[int, GenerationState]) -> Desired:
    return desire(T, generations=Generations(states))


def pointers(found: Desired) -> dict[str, tuple[str | None, str | None, str | None]]:
    """The CRL's, the responder's and the issuer's URLs in every certificate, without what all have in common."""
    asked = [*found.of_cas(), *found.of_parties()]
    urls = {str(one.address): (one.profile.crl_url, one.profile.ocsp_url, one.profile.ca_url) for one in asked}
    return {
        address: tuple(url and url.removeprefix("http://127.0.0.1:9080") for url in each)
        for address, each in urls.items()
    }


def test_with_one_generation_all_is_as_it_was():
    assert desired(issuing={1: ISSUING}, root={1: ISSUING}) == desire(T)
    assert [str(one.address) for one in desire(T).cas] == ["ca.root", "ca.issuing"]


def test_each_generation_has_a_name_and_files_of_its_own():
    first, second, third = desired(issuing={3: ISSUING, 1: RETIRED, 2: TRUSTED}).generations("issuing")
    assert [one.state for one in (first, second, third)] == [RETIRED, TRUSTED, ISSUING]
    assert [str(one.certificate.address) for one in (first, second, third)] == [
        "ca.issuing.certificate", "ca.issuing@2.certificate", "ca.issuing@3.certificate"
    ]  # fmt: skip
    subjects = [one.certificate.profile.subject for one in (first, second, third)]
    assert [one.common_name for one in subjects] == ["Bank Issuing", "Bank Issuing G2", "Bank Issuing G3"]
    assert {one.organization for one in subjects} == {"Bank"}
    folders = ["pki/issuing", "pki/issuing/2", "pki/issuing/3"]
    assert [one.paths.folder for one in (first, second, third)] == folders
    assert [one.certificate.paths.key for one in (first, second, third)] == [f"{each}/ca.key" for each in folders]


def test_a_long_name_leaves_room_for_the_number():
    t = loads(TEXT.replace("Bank Issuing", "x" * 64).encode(), Path("topology.yaml"))
    _, second = desire(t, generations=Generations({"issuing": {1: TRUSTED, 2: ISSUING}})).generations("issuing")
    assert second.certificate.profile.subject.common_name == "x" * 61 + " G2"


@pytest.mark.parametrize("states", [{1: ISSUING}, {1: ISSUING, 2: UPCOMING}])
def test_what_the_first_issues_points_to_what_it_publishes(states):
    found = pointers(desired(issuing=states))
    assert found["server.accounts.certificate"] == ("/crl/issuing.crl", "/ocsp/issuing", "/ca/issuing.cer")
    assert {found[address] for address in found if address.startswith(("server", "client"))} == {
        found["server.accounts.certificate"]
    }


def test_what_the_second_issues_points_to_what_that_publishes():
    found = pointers(desired(issuing={1: TRUSTED, 2: ISSUING}))
    leaves = {address: each for address, each in found.items() if address.startswith(("server", "client"))}
    assert len(leaves) == 4
    assert set(leaves.values()) == {("/crl/issuing.2.crl", "/ocsp/issuing.2", "/ca/issuing.2.cer")}
    assert found["ca.issuing.certificate"] == found["ca.issuing@2.certificate"] == (
        "/crl/root.crl", None, "/ca/root.cer"
    )  # fmt: skip


def test_what_a_roots_second_issues_points_to_it():
    found = pointers(desired(root={1: TRUSTED, 2: ISSUING}))
    assert found["ca.issuing.certificate"] == ("/crl/root.2.crl", None, "/ca/root.2.cer")
    assert found["ca.root.certificate"] == found["ca.root@2.certificate"] == (None, None, None)


def test_nobody_signs_for_or_keeps_up_what_is_retired():
    first, second = desired(issuing={1: RETIRED, 2: ISSUING}).generations("issuing")
    assert [(one.kept_up, one.signs_crl) for one in (first, second)] == [(False, False), (True, True)]
    kept = {str(one.address) for one in desired(issuing={1: RETIRED, 2: ISSUING}).kept_up()}
    assert kept == {"ca.root.certificate", "ca.issuing@2.certificate"}
