"""What a plan says beside its changes: notes, and that a fault is meant."""

from __future__ import annotations

import pytest

from scaffold.errors import TopologyError
from scaffold.plan.model import Action
from scaffold.view.reasons import sentence
from tests.unit.conftest import Household

ONE = """
version: 1
name: bank
cas: {root: {lifetime: 20y}}
servers:
  accounts: {template: python, listen: "127.0.0.1:8443", names: [localhost], SERVER}
clients:
  teller: {template: python, calls: [accounts], CLIENT}
"""


def with_fields(
    household: Household, server: str = "tls: intermediate", client: str = "tls: intermediate"
) -> Household:
    household.text = ONE.replace("SERVER", server).replace("CLIENT", client)
    return household


@pytest.mark.parametrize(
    ("server", "said"),
    [
        ("tls: modern, lifetime: 91d", "lifetime of 91d: Mozilla's profile modern gives 90d at most"),
        ("tls: modern, key: rsa-3072", "rsa-3072: Mozilla's profile modern asks for an ec-p256 or ec-p384 key"),
        ("lifetime: 367d", "lifetime of 367d: Mozilla's profile intermediate gives 366d at most"),
    ],
)
def test_what_mozilla_says_of_keys_and_lifetimes_is_a_note(household: Household, server: str, said: str) -> None:
    notes = with_fields(household, server).plan().notes
    assert sum(said in str(note) for note in notes) == 1


@pytest.mark.parametrize("server", ["tls: modern, lifetime: 90d", "key: rsa-2048", "lifetime: 366d", "key: ec-p384"])
def test_what_mozilla_recommends_is_no_note(household: Household, server: str) -> None:
    assert with_fields(household, server).plan().notes == ()


@pytest.mark.parametrize(
    ("backend", "said"),
    [
        ("http://127.0.0.1:5000", ["any user of this host can connect to the backend of server.accounts"]),
        ("http://127.8.0.1:5000", ["any user of this host can connect to the backend of server.accounts"]),
        ("'http://[::1]:5000'", ["any user of this host can connect to the backend of server.accounts"]),
        ("http://localhost:5000", ["any user of this host can connect to the backend of server.accounts"]),
        ("http://10.0.0.1:5000", ["in plain HTTP to 10.0.0.1:5000, which is not on this host"]),
        ("http://app.example:5000", ["in plain HTTP to app.example:5000, which is not on this host"]),
        ("unix:/run/app.sock", []),
    ],
)
def test_what_a_backend_relies_on_is_a_note(household: Household, backend: str, said: list[str]) -> None:
    with_fields(household, f"backend: {backend}")
    household.text = household.text.replace("python", "nginx", 1)
    notes = [str(note) for note in household.plan().notes]
    assert len(notes) == len(said)
    assert all(part in note for part, note in zip(said, notes, strict=True))


def test_what_a_kind_needs_is_a_note(household: Household) -> None:
    with_fields(household, "post_quantum: true")
    household.text = household.text.replace("python", "nginx", 1)
    notes = household.plan().notes
    assert any("server.accounts needs OpenSSL 3.5 or later" in str(note) for note in notes)


def test_what_a_kind_cannot_do_is_refused_by_plan(household: Household) -> None:
    household.text = ONE.replace("SERVER", "tls: intermediate").replace("CLIENT", "pfx: {password: {generate: true}}")
    with pytest.raises(TopologyError, match="reads no PFX") as error:
        household.plan()
    assert error.value.place is not None
    assert not household.out.exists()


def test_a_fault_is_said_to_be_meant_whenever_its_certificate_is_issued(household: Household) -> None:
    with_fields(household, client="fault: expired")
    for action in (Action.CREATE, Action.REPLACE):
        changes = {str(change.address): change for change in household.plan().changes}
        meant = changes["client.teller.certificate"]
        assert (meant.action, sentence(meant.reasons[-1])) == (action, "broken on purpose: expired")
        assert "broken" not in str(changes.get("server.accounts.certificate", ""))
        household.apply()
        assert household.plan().changes == ()
        (household.out / "clients/teller/tls/key.pem").unlink()


CONSTRAINED = """
version: 1
name: bank
cas: {root: {name_constraints: {permitted: {dns: [localhost]}}}, issuing: {issuer: root, CA}}
servers:
  accounts: {template: python, issuer: issuing, listen: "127.0.0.1:8443", names: [localhost]}
clients:
  teller: {template: python, issuer: issuing, calls: [accounts], CLIENT}
"""


@pytest.mark.parametrize(
    ("ca", "client", "said"),
    [
        ("key: ec-p256", "subject: {common_name: teller}", ["client.teller has the common name teller"]),
        ("key: ec-p256", "subject: {common_name: LocalHost}", []),
        ("key: ec-p256", "subject: {common_name: teller 7}", []),
        ("key: ec-p256", "subject: {common_name: teller}, names: [localhost]", []),
        ("subject: {common_name: issuing}", "key: ec-p256", ["ca.issuing has the common name issuing"]),
        ("key: ec-p256", "key: ec-p256", []),
    ],
)
def test_a_common_name_that_java_refuses_is_a_note(household: Household, ca: str, client: str, said: list[str]) -> None:
    household.text = CONSTRAINED.replace("CA}", ca + "}").replace("CLIENT", client)
    notes = [str(note) for note in household.plan().notes]
    assert len(notes) == len(said)
    assert all(words in note and "name_constraints of root" in note for words, note in zip(said, notes, strict=True))


@pytest.mark.parametrize(("names", "said"), [("[127.0.0.1]", 1), ("[127.0.0.1, localhost]", 0)])
def test_a_server_that_gnutls_refuses_is_a_note(household: Household, names: str, said: int) -> None:
    household.text = CONSTRAINED.replace("CA}", "key: ec-p256}").replace("CLIENT", "tls: modern")
    household.text = household.text.replace("names: [localhost]", f"names: {names}")
    assert sum("GnuTLS" in str(note) for note in household.plan().notes) == said


def test_a_lifetime_of_minutes_where_months_may_be_meant_is_noted(household):
    def said() -> list[str]:
        return [str(note) for note in household.plan().notes if "minutes" in str(note)]

    good = household.text
    assert said() == []
    household.text = good.replace("calls: [accounts]", "calls: [accounts], lifetime: 3m")
    assert said() == ["client.teller has a lifetime of 3 minutes (m is minutes: 90d is 3 months)"]
    for other in ("90d", "90m", "180s", "1h", "90s"):
        household.text = good.replace("calls: [accounts]", f"calls: [accounts], lifetime: {other}")
        assert bool(said()) == (other == "180s"), other
