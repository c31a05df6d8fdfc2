"""Where nodes of a graph are drawn."""

from __future__ import annotations

import random
import sys
import tomllib
from itertools import combinations
from pathlib import Path

import pytest

from scaffold.errors import NotInstalled
from scaffold.view.layout import Layout, layered

CHAIN = [(0, 1), (1, 2), (0, 2)]


def test_callers_are_left_of_whom_they_call() -> None:
    laid = layered(3, CHAIN)
    assert [laid.nodes[node][0] for node in range(3)] == [0, 1, 2]
    assert laid.layers == 3


def test_an_edge_that_passes_a_layer_bends_there() -> None:
    laid = layered(3, CHAIN)
    start, bend, end = laid.paths[0, 2]
    assert (start, end) == (laid.nodes[0], laid.nodes[2])
    assert bend[0] == 1
    assert abs(bend[1] - laid.nodes[1][1]) >= 0.5
    assert laid.paths[0, 1] == [laid.nodes[0], laid.nodes[1]]


@pytest.mark.parametrize(
    "edges", [[(0, 1), (1, 0)], [(0, 0)], [(0, 1), (1, 2), (2, 0)], [(0, 0), (0, 1), (1, 1)]], ids=str
)
def test_a_circle_is_opened_and_drawn_all_the_same(edges: list[tuple[int, int]]) -> None:
    laid = layered(3, edges)
    assert set(laid.nodes) == {0, 1, 2}
    for source, target in edges:
        if source != target:
            assert (laid.paths[source, target][0], laid.paths[source, target][-1]) == (
                laid.nodes[source],
                laid.nodes[target],
            )


def test_what_has_no_edge_stands_below_side_by_side() -> None:
    laid = layered(6, [(0, 1)], across=3)
    assert [laid.nodes[node] for node in range(2, 6)] == [(0, 1), (1, 1), (2, 1), (0, 2)]
    assert layered(2, []).nodes == {0: (0, 0), 1: (1, 0)}
    assert layered(0, []) == Layout({}, {}, 0, 0.0)


@pytest.mark.parametrize("seed", range(40))
def test_every_node_has_a_place_of_its_own_and_every_edge_a_way(seed: int) -> None:
    chance = random.Random(seed)
    count = chance.randint(2, 30)
    edges = [(chance.randrange(count), chance.randrange(count)) for _ in range(chance.randint(1, 60))]
    laid = layered(count, edges)
    assert set(laid.nodes) == set(range(count))
    for (ax, ay), (bx, by) in combinations(laid.nodes.values(), 2):
        assert ax != bx or abs(ay - by) >= 0.99
    assert set(laid.paths) == {edge for edge in edges if edge[0] != edge[1]}
    assert all(y + 1 <= laid.places + 0.01 for _, y in laid.nodes.values())


def test_the_same_graph_is_laid_out_alike() -> None:
    edges = [(number % 7, 7 + number % 5) for number in range(40)]
    assert layered(12, edges) == layered(12, edges)


def test_without_the_library_a_hint_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fast_sugiyama", None)
    with pytest.raises(NotInstalled) as caught:
        layered(2, [(0, 1)])
    assert caught.value.hint is not None
    command = caught.value.hint.partition("install it: ")[2].split()
    assert command == [sys.executable, "-m", "pip", "install", "fast-sugiyama"]
    extra = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text("utf-8"))["project"]
    assert extra["optional-dependencies"]["graph"][0].startswith(command[-1])
