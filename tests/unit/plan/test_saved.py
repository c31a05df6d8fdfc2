"""The saved plan: it comes back as it was, and only for the world it was made in."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaffold.errors import PlanError
from scaffold.plan.model import Action, Change, Plan, Work
from scaffold.plan.reasons import Reason, ReasonCode
from scaffold.plan.saved import check_same, from_value, load_plan, save_plan, to_value
from scaffold.topology.address import Address, Part

values = st.none() | st.text() | st.integers(0, 9) | st.datetimes(timezones=st.just(UTC)) | st.just(Address.ca("root"))
reasons = st.builds(Reason, st.sampled_from(ReasonCode), st.none() | st.text(), values, values, values)
changes = st.builds(
    Change,
    st.sampled_from([Address.ca("root", Part.CRL), Address.server("web", Part.TRUST)]),
    st.sampled_from(Action),
    st.lists(reasons, min_size=1).map(tuple),
    st.lists(st.text()).map(tuple),
    st.sampled_from(Work),
)
plans = st.builds(Plan, st.text(), st.lists(changes).map(tuple), state_serial=st.text())


@given(plans)
def test_a_plan_comes_back_as_it_was(plan):
    check_same(from_value(json.loads(json.dumps(to_value(plan)))), plan)


@given(plans, plans)
def test_another_plan_is_told_apart(plan, other):
    if to_value(plan) != to_value(other):
        with pytest.raises(PlanError, match="has changed since the plan was saved"):
            check_same(from_value(to_value(plan)), other)


def test_a_plan_of_another_world_is_told_apart(household):
    """Another apply ended in between, and left the same to do."""
    plan = household.plan()
    with pytest.raises(PlanError, match="has changed since the plan was saved"):
        check_same(from_value(to_value(plan)), replace(plan, state_serial="another"))


KEYS = ["format", "topology", "changes", "state_serial"]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["format", "topology", "changes", "state_serial"]), inner)
    ),
)


@given(json_values)
def test_what_is_no_plan_is_one_clear_error(value):
    with pytest.raises(PlanError):
        from_value(value)


def test_the_same_world_is_accepted_and_another_is_not(household, tmp_path):
    file = tmp_path / "saved.plan"
    save_plan(household.plan(), file)
    household.later(minutes=1)
    check_same(load_plan(file), household.plan())
    household.text = household.text.replace("names: [localhost]", "names: [localhost, bank.test]")
    household.apply()
    with pytest.raises(PlanError, match="has changed since the plan was saved"):
        check_same(load_plan(file), household.plan())


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 9}', b"\xff"])
def test_a_file_that_is_no_plan(tmp_path, content):
    file = tmp_path / "saved.plan"
    file.write_bytes(content)
    with pytest.raises(PlanError):
        load_plan(file)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(PlanError, match="cannot read"):
        load_plan(tmp_path / "none")


@pytest.mark.parametrize("content", [b"version: 1\n", b"-----BEGIN PRIVATE KEY-----\n", b"{}", b""])
def test_a_file_that_is_no_saved_plan_is_not_overwritten(tmp_path, content):
    file = tmp_path / "topology.yaml"
    file.write_bytes(content)
    with pytest.raises(PlanError, match="no saved plan"):
        save_plan(Plan("bank"), file)
    assert file.read_bytes() == content


def test_a_saved_plan_is_overwritten_and_a_device_is_not(tmp_path):
    for _ in range(2):
        save_plan(Plan("bank"), tmp_path / "plan.json")
    with pytest.raises(PlanError, match="no saved plan"):
        save_plan(Plan("bank"), Path("/dev/null"))
