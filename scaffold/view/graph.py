"""The topology as a picture in text: Mermaid or Graphviz dot. Nodes are numbered, so that no name is ever syntax."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from scaffold.topology.model import Ca, Client, Server, Topology


@dataclass(frozen=True, slots=True)
class Node:
    """A CA, server or client: its number's identifier, its group, and the lines of its label."""

    id: str
    group: str
    label: tuple[str, ...]
    broken: bool = False


@dataclass(frozen=True, slots=True)
class Edge:
    """`issues`: a CA and what it signs; otherwise a call, and the roles that the caller has."""

    source: str
    target: str
    issues: bool
    broken: bool = False
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Drawing:
    """What there is to draw, in the topology's order."""

    name: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


GROUPS = {"ca": "certification authorities", "server": "servers", "client": "clients"}


def drawing(t: Topology) -> Drawing:
    """CAs with what they issue, servers and clients with whom they call."""
    entities: list[Ca | Server | Client] = [*t.cas.values(), *t.servers.values(), *t.clients.values()]
    ids = {entity.address: f"n{number}" for number, entity in enumerate(entities)}
    nodes = tuple(_node(ids[entity.address], entity) for entity in entities)
    issued = (
        Edge(ids[t.cas[entity.issuer].address], ids[entity.address], issues=True)
        for entity in entities
        if entity.issuer
    )
    calls = (
        Edge(
            ids[caller.address],
            ids[t.servers[called].address],
            issues=False,
            broken=_faulty(caller) or _faulty(t.servers[called]),
            roles=caller.roles.get(called, ()),
        )
        for caller in entities
        if not isinstance(caller, Ca)
        for called in caller.calls
    )
    return Drawing(t.name, nodes, (*issued, *calls))


def _faulty(entity: Server | Client) -> bool:
    return entity.fault is not None


def _node(id_: str, entity: Ca | Server | Client) -> Node:
    match entity:
        case Ca():
            detail = "existing" if entity.existing else str(entity.key)
            return Node(id_, "ca", (entity.name, entity.subject.common_name, detail))
        case Server():
            return Node(id_, "server", _party_label(entity, str(entity.listen)), _faulty(entity))
        case Client():
            return Node(id_, "client", _party_label(entity, "external" if entity.external else ""), _faulty(entity))


def _party_label(entity: Server | Client, detail: str) -> tuple[str, ...]:
    fault = f"fault: {entity.fault}" if entity.fault else ""
    elsewhere = "issued elsewhere" if entity.existing else ""
    return tuple(line for line in (entity.name, entity.template, detail, elsewhere, fault) if line)


def mermaid(t: Topology) -> Iterator[str]:
    """A Mermaid flowchart: arrows are calls, dotted ones signatures, a crossed one is expected to be refused."""
    picture = drawing(t)
    yield "---"
    yield f"title: {mermaid_text(picture.name)}"
    yield "---"
    yield "flowchart LR"
    shapes = {"ca": ("([", "])"), "server": ("[", "]"), "client": (">", "]")}
    for group, title in GROUPS.items():
        members = [node for node in picture.nodes if node.group == group]
        if not members:
            continue
        yield f'  subgraph {group}s["{title}"]'
        for node in members:
            opening, closing = shapes[group]
            label = "<br/>".join(mermaid_text(line) for line in node.label)
            yield f'    {node.id}{opening}"{label}"{closing}' + (":::broken" if node.broken else "")
        yield "  end"
    for edge in picture.edges:
        arrow = "-.->" if edge.issues else "--x" if edge.broken else "==>"
        label = f'|"{mermaid_text(", ".join(edge.roles))}"|' if edge.roles else ""
        yield f"  {edge.source} {arrow}{label} {edge.target}"
    if any(node.broken for node in picture.nodes):
        yield "  classDef broken stroke:#c00,stroke-dasharray:4"


def mermaid_text(text: str) -> str:
    """Text with all that Mermaid or HTML would read as syntax written as entity codes (`#35;`)."""
    return "".join(c if c.isalnum() or c in " .-_:/,@+" else f"#{ord(c)};" for c in text)


def dot(t: Topology) -> Iterator[str]:
    """A Graphviz digraph with the same arrows."""
    picture = drawing(t)
    yield f"digraph {_quoted(picture.name)} {{"
    yield '  rankdir=LR; node [fontname="sans-serif"]; edge [fontname="sans-serif"];'
    shapes = {"ca": "box, style=rounded", "server": "box", "client": "cds"}
    for group, title in GROUPS.items():
        members = [node for node in picture.nodes if node.group == group]
        if not members:
            continue
        yield f"  subgraph cluster_{group}s {{"
        yield f"    label={_quoted(title)};"
        for node in members:
            label = _quoted("\n".join(node.label))
            yield f"    {node.id} [label={label}, shape={shapes[group]}{', color=red' if node.broken else ''}];"
        yield "  }"
    for edge in picture.edges:
        look = "style=dotted" if edge.issues else "color=red, arrowhead=tee" if edge.broken else "penwidth=2"
        label = f", label={_quoted(', '.join(edge.roles))}" if edge.roles else ""
        yield f"  {edge.source} -> {edge.target} [{look}{label}];"
    yield "}"


def _quoted(text: str) -> str:
    """A double-quoted dot string (graphviz.org/doc/info/lang.html)."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
