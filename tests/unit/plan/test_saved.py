"""The saved plan: it comes back as it was, and only for the world it was made in."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaffold.apply import apply
from scaffold.errors import PlanError
from scaffold.plan.model import Action, Change, Plan, Work
from scaffold.plan.reasons import Reason, ReasonCode
from scaffold.plan.saved import check_same, compare, from_value, load_plan, save_plan, to_value
from scaffold.plan.sources import Sources
from scaffold.store.secrets import Secrets
from scaffold.topology.address import Address, Part
from tests.unit.adopting import Adopting, Spec, make
from tests.unit.conftest import Household

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
HERE = Sources("/bank", {"the topology topology.yaml": "ab"})
plans = st.builds(Plan, st.text(), st.lists(changes).map(tuple), state_serial=st.text())


@given(plans)
def test_a_plan_comes_back_as_it_was(plan):
    saved = json.loads(json.dumps(to_value(plan, HERE)))
    compare(from_value(saved), from_value(to_value(plan, HERE)))


@given(plans, plans)
def test_another_plan_is_told_apart(plan, other):
    other = replace(other, topology=plan.topology)
    if to_value(plan, HERE) != to_value(other, HERE):
        with pytest.raises(PlanError, match="has changed since the plan was saved"):
            compare(from_value(to_value(plan, HERE)), from_value(to_value(other, HERE)))


def test_a_plan_of_another_world_is_told_apart(household):
    """Another apply ended in between, and left the same to do."""
    plan = household.plan()
    with pytest.raises(PlanError, match="has changed since the plan was saved"):
        compare(from_value(to_value(plan, HERE)), from_value(to_value(replace(plan, state_serial="another"), HERE)))


@pytest.mark.parametrize(
    ("elsewhere", "words"),
    [
        (Sources("/other", HERE.digests), "and the output folder /bank, not for"),
        (Sources("/bank", {"the topology topology.yaml": "cd"}), "^the topology topology.yaml has changed since"),
        (Sources("/bank", {**HERE.digests, "the client template mine": "ab"}), "^the client template mine has changed"),
        (Sources("/bank", {}), "^the topology topology.yaml has changed since"),
    ],
)
def test_a_plan_that_was_made_elsewhere_or_from_something_else_is_told_apart(elsewhere, words):
    plan = Plan("bank")
    with pytest.raises(PlanError, match=words) as caught:
        compare(from_value(to_value(plan, HERE)), from_value(to_value(plan, elsewhere)))
    assert caught.value.hint
    compare(from_value(to_value(plan, HERE)), from_value(to_value(plan, HERE)))


def refused(household, file: Path) -> str:
    with pytest.raises(PlanError) as caught:
        check_same(load_plan(file), household.prepare())
    return str(caught.value)


def test_a_plan_is_for_its_output_folder_alone(household, tmp_path):
    file = tmp_path / "saved.plan"
    save_plan(household.prepare(), file)
    check_same(load_plan(file), household.prepare())
    (tmp_path / "elsewhere").mkdir()
    other = Household(tmp_path / "elsewhere", now=household.now)
    assert f"the output folder {household.out.resolve()}, not for" in refused(other, file)


@pytest.mark.parametrize("change", ["a comment", "another name"])
def test_a_plan_is_for_its_topology_alone(household, tmp_path, change):
    """The addresses are the same, and so are the reasons: nothing is there yet."""
    file = tmp_path / "saved.plan"
    save_plan(household.prepare(), file)
    text = household.text
    household.text = f"# {text}" if change == "a comment" else text.replace("[localhost]", "[bank.test]")
    assert refused(household, file) == "the topology topology.yaml has changed since the plan was saved"
    household.text = text
    check_same(load_plan(file), household.prepare())


def test_a_plan_is_for_its_templates_alone(tiny, change_kind, tmp_path):
    file = tmp_path / "saved.plan"
    save_plan(tiny.prepare(), file)
    change_kind({"README.md": "another\n", "run.sh": "#!/bin/sh\n", "tls/list": "first\n"})
    assert refused(tiny, file) == 'the server template "./kind" has changed since the plan was saved'


def test_a_plan_is_for_the_cas_that_were_brought_alone(household, tmp_path):
    file, adopting = tmp_path / "saved.plan", Adopting(household)
    adopting.bring(make(Spec()))
    adopting.write()
    save_plan(household.prepare(), file)
    check_same(load_plan(file), household.prepare())
    adopting.bring(make(Spec(serial=0x4321)))
    assert refused(household, file) == "`existing` of ca.partner has changed since the plan was saved"


KEYS = ["format", "topology", "out", "sources", "changes", "state_serial"]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(KEYS), inner),
)


@given(json_values)
def test_what_is_no_plan_is_one_clear_error(value):
    with pytest.raises(PlanError):
        from_value(value)


def test_the_same_world_is_accepted_and_another_is_not(household, tmp_path):
    file = tmp_path / "saved.plan"
    save_plan(household.prepare(), file)
    household.later(minutes=1)
    check_same(load_plan(file), household.prepare())
    household.text = household.text.replace("names: [localhost]", "names: [localhost, bank.test]")
    household.apply()
    with pytest.raises(PlanError, match="has changed since the plan was saved"):
        check_same(load_plan(file), household.prepare())


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
def test_a_file_that_is_no_saved_plan_is_not_overwritten(household, tmp_path, content):
    planned, file = household.prepare(), tmp_path / "topology.yaml"
    file.write_bytes(content)
    with pytest.raises(PlanError, match="not a saved plan"):
        save_plan(planned, file)
    assert file.read_bytes() == content


def test_a_saved_plan_is_overwritten_and_a_device_is_not(household, tmp_path):
    planned = household.prepare()
    for _ in range(2):
        save_plan(planned, tmp_path / "plan.json")
    with pytest.raises(PlanError, match="not a saved plan"):
        save_plan(planned, Path("/dev/null"))


def test_a_plan_that_was_applied_is_told_as_that(household, tmp_path):
    file = tmp_path / "plan.json"
    save_plan(household.prepare(), file)
    saved = load_plan(file)
    apply(household.prepare(), Secrets(), saved=saved.digest)
    at = f"{household.now:%Y-%m-%d %H:%M} UTC"
    with pytest.raises(PlanError, match=rf"was applied on {at}; there is nothing to do now"):
        check_same(saved, household.prepare())
    household.text = household.text.replace("[localhost]", "[localhost, bank.test]")
    with pytest.raises(PlanError, match=rf"was applied on {at}; the changes to make now are different"):
        check_same(saved, household.prepare())
    save_plan(household.prepare(), file)
    check_same(load_plan(file), household.prepare())  # the twin: another plan was not applied


def test_the_ledger_names_no_plan_that_was_not_saved(household):
    household.apply()
    assert household.look().ledger.applied == {}
