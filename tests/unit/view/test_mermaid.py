"""What `explain` and `graph` print as Mermaid is rendered by Mermaid itself, in a browser."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from scaffold.explain.model import Handshake
from scaffold.topology.model import Topology
from scaffold.view.graph import mermaid
from scaffold.view.sequence import sequence
from tests.browser import PATIENCE, chromium
from tests.requirements import require
from tests.unit.view.test_explain import TOLD, UNLISTED
from tests.unit.view.test_graph import NASTY, topology

BUNDLE = Path(__file__).parent.parent.parent.parent / "build" / "npm" / "package" / "dist" / "mermaid.min.js"
"""Where tools/needs.sh lays it."""

Render = Callable[[str], str]

__all__ = ["topology"]


@pytest.fixture(scope="module")
def render() -> Iterator[Render]:
    """The text of the picture that Mermaid makes of a diagram. Fails where Mermaid cannot read it."""
    if not BUNDLE.exists():
        if shutil.which("npm") is None:
            pytest.skip("needs npm on PATH, which brings mermaid")
        require(False, "mermaid: run `sh tools/needs.sh test`")
    with chromium() as browser:
        context = browser.new_context(offline=True)
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.add_script_tag(path=BUNDLE)
        page.evaluate("mermaid.initialize({startOnLoad: false, securityLevel: 'strict'})")

        def text_of(diagram: str) -> str:
            drawn = page.evaluate("async (diagram) => (await mermaid.render('drawn', diagram)).svg", diagram)
            page.set_content(drawn)
            return str(page.locator("body").inner_text())

        yield text_of


@pytest.mark.parametrize("told", [TOLD, UNLISTED], ids=["allowed", "refused"])
def test_it_renders_a_handshake(render: Render, told: Handshake) -> None:
    drawn = render("\n".join(sequence(told)))
    assert str(told.caller) in drawn
    assert str(told.server) in drawn
    assert "ClientHello" in drawn


def test_it_renders_a_topology_with_every_name_as_it_is(render: Render, topology: Topology) -> None:
    ann = replace(topology.clients["ann"], roles={"api": ("reader", "x.y")})
    drawn = render("\n".join(mermaid(replace(topology, clients={**topology.clients, "ann": ann}))))
    assert NASTY in drawn
    assert "reader, x.y" in drawn
    assert "certification authorities" in drawn
    assert "fault: expired" in drawn


def test_what_is_no_diagram_is_not_rendered(render: Render) -> None:
    from playwright.sync_api import Error

    with pytest.raises(Error, match="Parse error"):
        render("flowchart LR\n  a --> --> b")
