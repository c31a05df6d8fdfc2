"""The generations of CAs: who issues, who is trusted, and what a CA has of which nothing is said."""

from __future__ import annotations

import pytest

from scaffold.topology.address import Address
from scaffold.topology.generations import ONE_EACH, Generations, GenerationState, label
from scaffold.topology.publication import published_as

UPCOMING, ISSUING = GenerationState.UPCOMING, GenerationState.ISSUING
TRUSTED, RETIRED = GenerationState.TRUSTED, GenerationState.RETIRED


def test_a_ca_of_which_nothing_is_said_has_one_that_issues():
    for generations in (ONE_EACH, Generations({"other": {1: RETIRED, 2: ISSUING}})):
        assert generations.of("issuing") == {1: ISSUING}
        assert (generations.issuing("issuing"), generations.trusted("issuing")) == (1, (1,))


@pytest.mark.parametrize(
    ("states", "issuing", "trusted"),
    [
        ({1: ISSUING, 2: UPCOMING}, 1, (1, 2)),
        ({2: ISSUING, 1: TRUSTED}, 2, (1, 2)),
        ({1: RETIRED, 2: ISSUING}, 2, (2,)),
        ({1: RETIRED, 2: TRUSTED, 3: ISSUING}, 3, (2, 3)),
        ({1: ISSUING, 2: ISSUING}, 2, (1, 2)),
    ],
)
def test_who_issues_and_who_is_trusted_are_two_questions(states, issuing, trusted):
    found = Generations({"issuing": states})
    assert list(found.of("issuing")) == sorted(states)
    assert (found.issuing("issuing"), found.trusted("issuing")) == (issuing, trusted)


@pytest.mark.parametrize("states", [{}, {1: RETIRED}, {1: TRUSTED, 2: UPCOMING}])
def test_a_ca_of_which_nobody_issues_is_none(states):
    with pytest.raises(ValueError, match="no generation of issuing issues"):
        Generations({"issuing": states})


def test_what_each_is_called_and_published_as():
    assert [label("issuing", number) for number in (1, 2)] == ["issuing", "issuing@2"]
    assert [published_as(Address.ca("issuing", generation=number)) for number in (1, 2)] == ["issuing", "issuing.2"]
