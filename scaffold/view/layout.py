"""Where each node of a directed graph is drawn: layers from left to right, as Sugiyama's method lays them out.

The layout is fast-sugiyama's (the extra `graph`): a wheel without dependencies around the crate rust-sugiyama. It draws
graphs without circles, so that circles are opened before it is asked, and closed again in what it has drawn.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from scaffold.errors import NotInstalled

Point = tuple[float, float]
Edge = tuple[int, int]

DENSEST = 1_500
"""Edges; of more nobody sees anything, and laying them out takes seconds."""

_NO_NODE = -1
_UNIT = 10
_BEND = 0.3
"""The room of an edge that passes a layer, as a share of a node's."""


@dataclass(frozen=True, slots=True)
class Layout:
    """In units of one layer and one place in it. `nodes` is where each is, `paths` by which points each edge goes.

    `layers` and `places` are how much room there is.
    """

    nodes: Mapping[int, Point]
    paths: Mapping[Edge, Sequence[Point]]
    layers: int
    places: float


def layered(count: int, edges: Sequence[Edge], across: int = 6) -> Layout:
    """Lays out the nodes 0 … count-1. What has no edge is below the others, `across` side by side.

    Raises NotInstalled where the library is not there.
    """
    closing = _closing(edges)
    drawn = {edge: (edge[1], edge[0]) if edge in closing else edge for edge in edges}
    straight = sorted({edge for edge in drawn.values() if edge[0] != edge[1]})
    connected = sorted({node for edge in straight for node in edge})
    numbers = {node: number for number, node in enumerate(connected)}
    nodes: dict[int, Point] = {}
    ways: dict[Edge, Sequence[Point]] = {}
    below = 0.0
    for points, links in _components([(numbers[source], numbers[target]) for source, target in straight]):
        placed = _placed(points, below)
        nodes |= {connected[number]: point for number, point in placed.items() if number < len(connected)}
        for way in _ways(links, len(connected)):
            ways[connected[way[0]], connected[way[-1]]] = [placed[number] for number in way]
        below = max(place for _, place in placed.values()) + 1
    layers = max((int(layer) + 1 for layer, _ in nodes.values()), default=0)
    alone = [node for node in range(count) if node not in nodes]
    for index, node in enumerate(alone):
        nodes[node] = (index % across, below + index // across)
    paths = {edge: _directed(ways[line], reverse=line != edge) for edge, line in drawn.items() if line in ways}
    most = max((place for _, place in nodes.values()), default=-1.0)
    return Layout(nodes, paths, max(layers, min(len(alone), across)), most + 1)


def _directed(way: Sequence[Point], *, reverse: bool) -> Sequence[Point]:
    return list(reversed(way)) if reverse else way


def _components(edges: Sequence[Edge]) -> Iterator[tuple[Mapping[int, Point], Sequence[Edge]]]:
    """Of each part that hangs together: where nodes and bends are, and the links between these."""
    if not edges:
        return
    try:
        from fast_sugiyama import from_edges
    except ImportError as error:
        hint = f"--format mermaid and dot work without it; to install it: {sys.executable} -m pip install fast-sugiyama"
        raise NotInstalled("a graph as svg or html needs the layout library fast-sugiyama", hint=hint) from error

    found = from_edges(
        edges,
        vertex_spacing=_UNIT,
        dummy_vertices=True,
        dummy_size=_BEND,
        ranking_type="minimize",
        crossing_minimization="barycenter",
        transpose=True,
    )
    for positions, _, _, links in found:
        yield (
            {int(number): (float(x), float(y)) for number, (x, y) in positions},
            [(int(source), int(target)) for source, target in links or ()],
        )


def _placed(points: Mapping[int, Point], below: float) -> dict[int, Point]:
    """Turned by a quarter, so that callers are at the left, and moved below what is drawn already."""
    top, highest = max(y for _, y in points.values()), min(x for x, _ in points.values())
    return {number: ((top - y) / _UNIT, below + (x - highest) / _UNIT) for number, (x, y) in points.items()}


def _ways(links: Sequence[Edge], nodes: int) -> Iterator[Sequence[int]]:
    """Each edge as the node, bends and node that it goes through: the numbers of bends follow those of nodes."""
    onwards = {source: target for source, target in links if source >= nodes}
    for source, target in links:
        if source < nodes:
            way = [source, target]
            while way[-1] >= nodes:
                way.append(onwards[way[-1]])
            yield way


def _closing(edges: Sequence[Edge]) -> set[Edge]:
    """The edges that close a circle, met depth first: without them there is none."""
    targets: dict[int, list[int]] = {}
    for source, target in edges:
        targets.setdefault(source, []).append(target)
    closing: set[Edge] = set()
    done: set[int] = set()
    for start in targets:
        if start in done:
            continue
        way, open_ = [(start, iter(targets[start]))], {start}
        while way:
            node, rest = way[-1]
            target = next(rest, _NO_NODE)
            if target == _NO_NODE:
                way.pop()
                open_.discard(node)
                done.add(node)
            elif target in open_:
                closing.add((node, target))
            elif target not in done:
                open_.add(target)
                way.append((target, iter(targets.get(target, ()))))
    return closing
