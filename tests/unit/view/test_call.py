"""What is said of a call that is not listed: who refused, in which layer, in whose words; and what to do next."""

from __future__ import annotations

from pathlib import Path

import pytest

from scaffold.topology.load import loads
from scaffold.verify.judge import Finding
from scaffold.verify.model import Layer, Observed
from scaffold.view.call import attempt_lines, not_listed, waiting
from scaffold.view.terminal import Line

SHOP = loads(
    b"""
version: 1
name: shop
cas: {root: {}}
servers: {api: {template: python, listen: "127.0.0.1:8443", names: [localhost]}}
clients: {web: {template: curl}}
""",
    Path("topology.yaml"),
)
WEB, API = SHOP.clients["web"], SHOP.servers["api"]


def text(lines: list[Line]) -> list[str]:
    return ["".join(part for part, _ in line) for line in lines]


@pytest.mark.parametrize(
    ("observed", "layer", "first", "then"),
    [
        (Observed.REFUSED, Layer.TLS, "✓ server.api refuses client.web (tls): why", "explain client.web server.api"),
        (Observed.ALLOWED, "http", "✗ server.api let client.web in (http): why", "verify --only server.api"),
        (Observed.BROKEN, None, "✗ server.api neither lets client.web in nor refuses it: why", "up --only server.api"),
    ],
)
def test_each_outcome_says_what_to_do_next(
    observed: Observed, layer: Layer | str | None, first: str, then: str
) -> None:
    head, *others = text([*attempt_lines(WEB, API, Finding(observed, layer, "why"), None)])
    assert head == first
    assert then in "".join(others)


def test_it_fits_the_terminal() -> None:
    finding = Finding(Observed.REFUSED, "http", "HTTP 403: the certificate is valid, but its holder is not listed")
    said = "Nobody listens on 127.0.0.1:8443, and no `scaffold up` runs here: waiting 3 seconds for one to begin …"
    for lines in (attempt_lines(WEB, API, finding, 60), not_listed(WEB, API, 60), waiting(said, 60)):
        assert max(map(len, text([*lines]))) <= 60


def test_what_a_server_says_moves_no_cursor() -> None:
    head, *_ = text([*attempt_lines(WEB, API, Finding(Observed.REFUSED, "http", "\x1b[2J\u202e"), None)])
    assert head.endswith("\\x1b[2J\\u202e")
