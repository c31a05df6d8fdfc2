"""An entry says whose root it is, and a root stands in a store as its entries say."""

from __future__ import annotations

import pytest

from scaffold.trusting.model import Entry, Mark, Standing, standing
from tests.unit.trusting.lab import shared


def entry(label: str | None = None, fingerprint: str | None = None, **more: bool) -> Entry:
    name = shared().label if label is None else label
    return Entry(name, name, fingerprint or shared().fingerprint, **more)


def test_an_entry_of_ours_says_whose_root_it_is() -> None:
    assert shared().label == f"scaffold.lab.root.{shared().fingerprint[:16]}"
    assert entry().mark == Mark("lab", "root")


@pytest.mark.parametrize("label", ["", "Lab Root", "scaffold.lab.root", "scaffold.lab.root.0123456789abcdef", "mkcert"])
def test_what_is_called_otherwise_or_is_another_certificate_is_somebody_elses(label: str) -> None:
    assert entry(label).mark is None
    assert entry(f"x{shared().label}").mark is None
    assert entry(f"{shared().label}.old").mark is None
    assert entry(fingerprint="00" * 32).mark is None


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([], Standing.ABSENT),
        ([entry(fingerprint="00" * 32), entry("theirs", "11" * 32)], Standing.ABSENT),
        ([entry()], Standing.INSTALLED),
        ([entry(trusted=False)], Standing.PARTIAL),
        ([entry("theirs")], Standing.THEIRS),
        ([entry("theirs", trusted=False)], Standing.DISTRUSTED),
        ([entry("theirs", trusted=False), entry()], Standing.INSTALLED),
        ([entry(trusted=False), entry("theirs")], Standing.THEIRS),
        ([entry(trusted=False), entry("theirs", trusted=False)], Standing.PARTIAL),
    ],
)
def test_how_a_root_stands(entries: list[Entry], expected: Standing) -> None:
    found, holding = standing(shared(), entries)
    assert found is expected
    assert list(holding) == [one for one in entries if one.fingerprint == shared().fingerprint]
