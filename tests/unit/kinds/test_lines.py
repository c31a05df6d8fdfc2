"""Which line makes a check: what a template may declare, and how the line is found."""

from __future__ import annotations

import pytest

from scaffold.kinds.lines import Line, Peer, Point, find, parse

TELLER = Peer("teller", "spiffe://bank/client/teller")

LIST = """\
# who may call
  "spiffe://bank/client/teller-2",
  "spiffe://bank/client/teller"
"""


def test_a_line_is_found_with_its_number_and_text() -> None:
    assert find(LIST, "tls/list", "who may", TELLER) == Line("tls/list", 1, "# who may call")
    assert find(LIST, "tls/list", "nobody", TELLER) is None


def test_a_name_that_begins_like_another_is_not_taken_for_it() -> None:
    line = find(LIST, "tls/list", "{identity}", TELLER)
    assert line is not None
    assert line.number == 3
    assert find("a tellers\n", "x", "{peer}", TELLER) is None
    assert find("a teller)\n", "x", "{peer}", TELLER) is not None


def test_what_stands_in_a_line_is_no_pattern() -> None:
    assert find("if (a.b)\n", "x", "(a.b)", TELLER) is not None
    assert find("if (axb)\n", "x", "(a.b)", TELLER) is None


def test_a_declaration_maps_points_to_files_and_texts() -> None:
    lines = parse({"caller-chain": {"a.conf": "ca x", "b.conf": ["c", "d"]}})
    assert lines == {Point.CALLER_CHAIN: {"a.conf": ("ca x",), "b.conf": ("c", "d")}}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "must map checks to files and texts"),
        ({"caller-chian": {"a": "b"}}, 'names "caller-chian", and it may name'),
        ({"caller-chain": {}}, 'must give for "caller-chain" a file'),
        ({"caller-chain": "a.conf"}, 'must give for "caller-chain" a file'),
        ({"caller-chain": {"a.conf": ""}}, "the text of the line of a.conf"),
        ({"caller-chain": {"a.conf": []}}, "the text of the line of a.conf"),
        ({"caller-chain": {"a.conf": ["x", 1]}}, "the text of the line of a.conf"),
        ({"caller-chain": {"a.conf": "x\ny"}}, "one line of a.conf"),
    ],
)
def test_what_is_wrong_with_a_declaration_is_said(value: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse(value)
