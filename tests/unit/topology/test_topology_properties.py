"""Whatever stands in the file, loading ends in a topology or in one clear error."""

from __future__ import annotations

import string
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scaffold.errors import TopologyError
from scaffold.topology.load import loads
from scaffold.topology.model import Topology
from tests.unit.topology.written import GOOD, SOURCE

QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
keys = st.sampled_from(sorted(set(GOOD.replace(":", " ").split()))) | st.text(max_size=8)
values = st.recursive(
    scalars | st.sampled_from(["root", "issuing", "api", "cli", "1d", "127.0.0.1:1", "spiffe://a/b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


def load_or_refuse(text: bytes) -> Topology | None:
    try:
        return loads(text, SOURCE)
    except TopologyError as caught:
        error = caught
    assert error.place is not None
    assert error.place.line >= 1
    assert error.message
    assert "\n" not in error.message
    return None


@QUICK
@given(st.binary(max_size=200))
def test_any_bytes(text: bytes) -> None:
    load_or_refuse(text)


@QUICK
@given(st.text(alphabet=string.ascii_lowercase + "&*!|>{}[],:?-'\"#%@`~ \n\t<=", max_size=120))
def test_any_text_of_yamls_signs(text: str) -> None:
    load_or_refuse(text.encode())


@QUICK
@given(values)
def test_any_yaml(value: object) -> None:
    load_or_refuse(yaml.safe_dump(value).encode())


@QUICK
@given(st.data())
def test_a_good_topology_with_one_value_changed(data: st.DataObject) -> None:
    tree: Any = yaml.safe_load(GOOD)
    parent, step = data.draw(st.sampled_from(list(_steps(tree))))
    match data.draw(st.sampled_from(["replace", "remove", "add"])):
        case "replace":
            parent[step] = data.draw(values)
        case "remove":
            del parent[step]
        case "add" if isinstance(parent, dict):
            parent[data.draw(keys)] = data.draw(values)
        case _:
            parent.append(data.draw(values))
    load_or_refuse(yaml.safe_dump(tree).encode())


@QUICK
@given(st.integers(0, len(GOOD) - 1), st.integers(0, 5), st.text(max_size=5))
def test_a_good_topology_with_a_few_characters_changed(at: int, removed: int, added: str) -> None:
    load_or_refuse((GOOD[:at] + added + GOOD[at + removed :]).encode())


def _steps(tree: Any) -> Any:
    """Every place in the tree as its parent and the step from there."""
    for step, child in list(tree.items() if isinstance(tree, dict) else enumerate(tree)):
        yield tree, step
        if isinstance(child, dict | list):
            yield from _steps(child)
