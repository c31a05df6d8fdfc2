"""The stores that trust a root: a line each in a pipe, and within the width of a terminal."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from scaffold.errors import TrustError
from scaffold.topology.load import loads
from scaffold.trusting.changes import Former, Seen
from scaffold.trusting.java import JavaStore
from scaffold.trusting.model import Anchor, Entry, Obstacle
from scaffold.view.trust import list_lines
from tests.unit.trusting import lab

LAB = loads(b"version: 1\nname: lab\ncas: {root: {}}\n", Path("topology.yaml"))
PLACE = Path("/usr/lib/jvm/java-17-openjdk-amd64/lib/security/cacerts")


@cache
def root() -> Anchor:
    return lab.anchor("A root with a name of so many words that it takes two lines")


def text(columns: int | None) -> list[str]:
    anchor = root()
    store = JavaStore(PLACE)
    seen = (Seen(store, ()), Seen(store, (), Obstacle("it is locked by another program")))
    entry = Entry("lab-root", "lab-root", anchor.fingerprint)
    problems = [TrustError("the certificate of ca.other is not there, so nothing is known of it", hint="apply " * 20)]
    lines = list_lines(LAB, [anchor], problems, seen, [Former(seen[0], entry, known=True)], columns)
    return ["".join(part for part, _ in line).rstrip() for line in lines]


def test_it_fits_a_terminal_and_says_the_same_as_in_a_pipe() -> None:
    assert max(map(len, text(80))) <= 80
    assert " ".join(text(80)).split() == " ".join(text(None)).split()


def test_a_place_that_does_not_fit_into_its_line_is_below_it() -> None:
    (number,) = (number for number, line in enumerate(text(80)) if line.startswith("  · java"))
    assert text(80)[number + 1] == f"      {PLACE}"
    assert any(line.startswith("  · java") and line.endswith(str(PLACE)) for line in text(None))
