"""The mutations that a template declares are read strictly, and what is wrong with them is said."""

from __future__ import annotations

from typing import Any

import pytest

from scaffold.errors import KindError
from scaffold.kinds import catalogue
from scaffold.kinds.capabilities import parse as parse_block
from scaffold.kinds.mutations import Mutation, parse
from scaffold.verify.model import Probe

CHANGE = {"a.conf": {"on;": "off;"}}
SOUND: dict[str, Any] = {"breaks": "the check", "change": CHANGE, "caught_by": ["no-certificate"]}


def test_what_is_declared_is_read() -> None:
    assert parse([SOUND]) == (Mutation("the check", CHANGE, ("no-certificate",)),)
    assert parse([{"breaks": "the check", "change": CHANGE}]) == (Mutation("the check", CHANGE),)
    assert parse([]) == ()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({}, "must be a list"),
        (["a"], "number 1 has not"),
        ([SOUND, {**SOUND, "breaks": "more", "more": 1}], "number 2 has not"),
        ([{"breaks": "the check"}], "number 1 has not"),
        ([{**SOUND, "breaks": ""}], "in number 1"),
        ([{**SOUND, "change": {}}], "in number 1"),
        ([{**SOUND, "change": {"a.conf": {}}}], 'texts of a.conf to others in "change" of "the check"'),
        ([{**SOUND, "change": {"a.conf": {"on;": 1}}}], "texts of a.conf"),
        ([{**SOUND, "change": {"a.conf": {"on;": "on;"}}}], "changes nothing in a.conf"),
        ([{**SOUND, "change": {"a.conf": {"": "off;"}}}], "changes nothing in a.conf"),
        ([{**SOUND, "caught_by": "revoked"}], 'probes in "caught_by" of "the check"'),
        ([SOUND, SOUND], 'two that break "the check"'),
    ],
)
def test_what_is_wrong_is_said(value: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse(value)


def test_the_error_names_the_template_and_the_field() -> None:
    block = {"summary": "x", "role": "client", "tls_library": "OpenSSL", "mutations": [{}]}
    with pytest.raises(
        KindError, match=r'mine: _scaffold\.mutations must have "breaks", "change" and optionally "caught_by" in each'
    ):
        parse_block(block, "mine")


@pytest.mark.parametrize("role", ["server", "client"])
def test_every_built_in_template_declares_some_and_names_probes_that_there_are(role: str) -> None:
    for name in catalogue.builtin_names(role):
        capabilities = catalogue.builtin(name, role).capabilities
        mutations = capabilities.mutations
        assert bool(mutations) is capabilities.runs, name  # of what has nothing to run verify catches nothing
        assert {probe for one in mutations for probe in one.caught_by} <= {probe.value for probe in Probe}, name
        assert all(one.caught_by for one in mutations), name
