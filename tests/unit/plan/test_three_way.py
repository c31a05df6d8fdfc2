"""Three texts, line by line; git is the judge where lines differ from each other, so that only one answer is right."""

from __future__ import annotations

import subprocess
from itertools import chain
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from scaffold.plan.merging import Conflicting, Merged, merge
from scaffold.plan.three_way import Conflict, Settled, regions
from tests.requirements import require_command

BASE = tuple(f"line {number}\n".encode() for number in range(8))


def edits(name: str) -> st.SearchStrategy[tuple[bytes, ...]]:
    """A text made from BASE by a side that keeps, changes or drops each line, or adds one behind it."""

    def edited(number: int) -> st.SearchStrategy[tuple[bytes, ...]]:
        kept, new = BASE[number], f"{name} {number}\n".encode()
        return st.sampled_from([(kept,), (kept,), (kept,), (new,), (), (kept, new)])

    return st.tuples(*map(edited, range(len(BASE)))).map(lambda found: tuple(chain.from_iterable(found)))


def as_git_merges(folder: Path, yours: bytes, base: bytes, template: bytes) -> Merged | Conflicting:
    texts = {"yours": yours, "base": base, "template": template}
    for name, text in texts.items():
        (folder / name).write_bytes(text)
    labels = [word for name in texts for word in ("-L", name)]
    command = [require_command("git"), "merge-file", "-p", "--diff3", *labels, *texts]
    found = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    return Merged(found.stdout) if found.returncode == 0 else Conflicting(found.stdout)


@given(edits("yours"), st.sampled_from(["yours", "template"]).flatmap(edits))
def test_it_merges_as_git_does(tmp_path_factory, yours, template):
    texts = b"".join(yours), b"".join(BASE), b"".join(template)
    assert merge(texts[1], texts[0], texts[2]) == as_git_merges(tmp_path_factory.mktemp("git"), *texts)


lines = st.lists(st.sampled_from([b"a\n", b"b\n", b"c\n"]), max_size=7).map(tuple)


@given(lines, lines, lines)
def test_the_sides_are_treated_alike(base, yours, template):
    """Lines that repeat can be aligned in several ways; whichever is taken, nobody comes first."""

    def turned(region):
        return region if isinstance(region, Settled) else Conflict(region.base, region.template, region.yours)

    assert list(regions(base, yours, template)) == list(map(turned, regions(base, template, yours)))


@given(lines, lines)
def test_a_side_that_has_changed_nothing_decides_nothing(base, changed):
    for sides in ((base, changed), (changed, base), (changed, changed)):
        found = list(regions(base, *sides))
        assert all(isinstance(region, Settled) for region in found)
        assert tuple(chain.from_iterable(region.lines for region in found)) == changed


@given(lines, lines)
def test_without_a_base_both_texts_are_there_in_full(yours, template):
    found = list(regions(None, yours, template))
    for side, text in (("yours", yours), ("template", template)):
        parts = (region.lines if isinstance(region, Settled) else getattr(region, side) for region in found)
        assert tuple(chain.from_iterable(parts)) == text
    assert any(isinstance(region, Conflict) for region in found) is (yours != template)


def test_changes_that_touch_are_in_conflict():
    """Who changed the first of two lines has read the second."""
    found = list(regions((b"a\n", b"b\n"), (b"x\n", b"b\n"), (b"a\n", b"y\n")))
    assert found == [Conflict((b"a\n", b"b\n"), (b"x\n", b"b\n"), (b"a\n", b"y\n"))]
