"""What a person brings, and an output folder that would be the folder where it lies."""

from __future__ import annotations

import pytest

from scaffold.errors import TopologyErrors
from tests.unit.adopting import Adopting, Spec, crl, make
from tests.unit.conftest import Household


@pytest.fixture
def named_alike(household: Household) -> Adopting:
    """The CA lies in a folder `bank/`, and the topology is called bank."""
    adopting = Adopting(household)
    ca = make(Spec())
    adopting.bring(ca, crl_files=[crl(ca)])
    household.out.mkdir()
    for file in ("ca.pem", "ca.key", "ca.crl"):
        (household.folder / file).rename(household.out / file)
    adopting.write()
    household.text = household.text.replace("ca.", "bank/ca.")
    return adopting


def test_the_folder_of_a_ca_does_not_become_the_output_folder(named_alike: Adopting) -> None:
    with pytest.raises(TopologyErrors) as caught:
        named_alike.household.plan()
    told = [(error.message.split(" is in ")[0].rpartition("/")[2], error.place) for error in caught.value.errors]
    assert [file for file, _ in told] == ["ca.pem", "ca.key", "ca.crl"]
    assert all(place is not None and "partner:" in place.text for _, place in told)
    assert all("--out" in (error.hint or "") for error in caught.value.errors)


def test_one_that_is_reached_by_a_link_is_no_other(named_alike: Adopting) -> None:
    household = named_alike.household
    (household.folder / "elsewhere").symlink_to(household.out)
    household.text = household.text.replace("bank/ca.", "elsewhere/ca.")
    with pytest.raises(TopologyErrors, match="output folder"):
        household.plan()


def test_in_one_that_is_in_use_it_is_a_note(named_alike: Adopting) -> None:
    (named_alike.household.out / ".scaffold").mkdir()
    named_alike.household.apply()
    notes = [str(note) for note in named_alike.household.plan().notes if "is in the output folder" in str(note)]
    assert [note.split(" is in ")[0].rpartition("/")[2] for note in notes] == ["ca.pem", "ca.key", "ca.crl"]


def test_beside_it_is_fine(household: Household) -> None:
    adopting = Adopting(household)
    adopting.bring(make(Spec()))
    adopting.apply()
    assert not any("is in the output folder" in note for note in adopting.notes())


def test_a_request_and_a_leaf_are_looked_for_as_well(household: Household) -> None:
    existing = "{certificate: bank/web.pem, key: web.key, trust: roots.pem}"
    server = f"  web: {{template: nginx, listen: '127.0.0.1:8444', names: [www.example], existing: {existing}}}"
    household.text = household.text.replace("clients:", f"{server}\nclients:")
    household.text += "  hsm: {template: python, issuer: issuing, csr: bank/hsm.csr}\n"
    with pytest.raises(TopologyErrors) as caught:
        household.plan()
    told = [error.message for error in caught.value.errors if "would become the output folder" in error.message]
    assert ["web.pem" in told[0], "hsm.csr" in told[1], len(told)] == [True, True, 2]
