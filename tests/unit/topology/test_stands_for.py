"""When a name in a certificate is the one that is expected."""

from __future__ import annotations

import pytest

from scaffold.topology.names import stands_for


@pytest.mark.parametrize(
    ("name", "expected", "stands"),
    [
        ("a.internal", "a.internal", True),
        ("*.internal", "a.internal", True),
        ("*.internal", "a.b.internal", False),
        ("*.internal", "internal", False),
        ("*.local", "a.internal", False),
        ("*.localhost", "localhost", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("a.internal", "b.internal", False),
    ],
)
def test_a_wildcard_stands_for_one_label(name: str, expected: str, stands: bool) -> None:
    assert stands_for(name, expected) is stands
