"""The topology and its state as a drawing: one page that needs nothing else, or one SVG."""

from __future__ import annotations

from scaffold.errors import TopologyError
from scaffold.inventory.model import CaEntry, Inventory, PartyEntry
from scaffold.view import inventory as words
from scaffold.view.layout import DENSEST
from scaffold.view.looks import LOOKS
from scaffold.view.pages import page
from scaffold.view.picture import HEIGHT, WIDTH, views, whole

_MEANINGS = {
    "good": "valid",
    "due": "due, or changed",
    "bad": "expired, revoked, not yet valid, or unreadable",
    "odd": "broken on purpose",
    "none": "missing, or external",
}


def graph_page(inventory: Inventory) -> str:
    """HTML, complete in itself. Raises NotInstalled where the library is not there that lays it out."""
    marks = dict(LOOKS.values())
    context = {
        "inventory": inventory,
        "words": words,
        "views": views(inventory),
        "size": (WIDTH, HEIGHT),
        "look": lambda state: LOOKS[state][0],
        "mark": lambda state: LOOKS[state][1],
        "text": _searched,
        "meanings": tuple((look, marks[look], meaning) for look, meaning in _MEANINGS.items()),
    }
    return page("graph.html.j2", context, styles=("base.css", "picture.css", "graph.css"), scripts=("graph.js",))


def graph_svg(inventory: Inventory) -> str:
    """SVG, complete in itself. Raises NotInstalled as above, and TopologyError where there is too much to draw."""
    if len(inventory.calls) > DENSEST:
        hint = "--format html draws them in groups, and `scaffold report` lists them"
        raise TopologyError(f"{len(inventory.calls):,} calls are too many for one picture", hint=hint)
    context = {
        "picture": whole(inventory),
        "title": f"{inventory.topology}: who calls whom, as of {words.moment(inventory.at)}",
        "size": (WIDTH, HEIGHT),
    }
    return page("picture.svg.j2", context, styles=("base.css", "picture.css"))


def _searched(entry: CaEntry | PartyEntry) -> str:
    """What a search finds it by, in lower case."""
    said = [str(entry.address), entry.owner or ""]
    if isinstance(entry, CaEntry):
        said += [entry.worst.value, entry.certificate.subject, str(entry.issuer or "")]
    else:
        said += [entry.worst.value if entry.worst is not None else "external", entry.template, entry.identity]
        said += [entry.fault.value if entry.fault is not None else "", *map(str, entry.issuers), *entry.names]
    return " ".join(part for part in said if part).lower()
