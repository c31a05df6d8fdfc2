"""Nothing is made up but by the source that is passed in: one module asks the operating system, and nobody else."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import scaffold

PACKAGE = Path(scaffold.__file__).parent
SOURCE = PACKAGE / "pki" / "randomness.py"

parsed = cache(ast.parse)

MODULES = {"secrets", "random", "uuid"}
"""Of the standard library; what their functions return was passed in by nobody."""

CALLS = {"urandom", "getrandom", "token_bytes", "token_urlsafe", "randbits", "uuid4"} | {
    "random_serial_number",
    "generate_private_key",
    "generate_parameters",
}

OF_KEYS = {"Ed25519PrivateKey", "MLDSA44PrivateKey", "MLDSA65PrivateKey", "MLDSA87PrivateKey", "X25519PrivateKey"}
"""Classes whose `generate` makes a key."""

PASSED_ON = {
    "foreign_ca", "sibling_ca", "namesake_ca", "rogue", "issued_by_leaf", "new_serial", "make_and_record",
    "fake_publisher", "sign_alone", "stranger", "broken.issue", "delegation.make", "secrets.new",
}  # fmt: skip
"""What takes a source, and must be given the caller's, though some of it would take the operating system's."""


def called(node: ast.Call) -> tuple[str, str]:
    """The last name of what is called, and the last two: `generate`, `Ed25519PrivateKey.generate`."""
    match node.func:
        case ast.Attribute(value=ast.Name(id=owner) | ast.Attribute(attr=owner), attr=name):
            return name, f"{owner}.{name}"
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name, name
        case _:
            return "", ""


def made_up(source: str) -> Iterator[str]:
    """Where `source` takes something from nowhere."""
    for node in ast.walk(parsed(source)):
        match node:
            case ast.Import(names=names) if found := MODULES & {one.name.split(".")[0] for one in names}:
                yield f"line {node.lineno}: imports {found}"
            case ast.ImportFrom(module=str(module)) if module in MODULES:
                yield f"line {node.lineno}: imports {module}"
            case ast.Attribute(attr=name) | ast.Name(id=name) if name in CALLS:
                yield f"line {node.lineno}: {name}"
            case ast.Attribute(value=ast.Name(id=owner) | ast.Attribute(attr=owner), attr="generate"):
                if owner in OF_KEYS:
                    yield f"line {node.lineno}: {owner}.generate"


def kept_to_itself(source: str) -> Iterator[str]:
    """Where `source` calls what takes a source of randomness, and does not say which."""
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Call) and PASSED_ON & {*called(node)}:
            given = [*node.args, *(one.value for one in node.keywords)]
            if not any("randomness" in ast.unparse(one).lower() for one in given):
                yield f"line {node.lineno}: {called(node)[1]}"


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_is_made_up_elsewhere(path: Path) -> None:
    text = path.read_text("utf-8")
    if path == SOURCE:
        assert list(made_up(text)), "the check sees what it looks for"
    else:
        assert list(made_up(text)) == []
    assert list(kept_to_itself(text)) == []


@pytest.mark.parametrize(
    "source",
    [
        "import secrets", "from secrets import token_bytes", "import os\nos.urandom(1)", "from os import urandom as u",
        "f = os.urandom", "x509.random_serial_number()", "ec.generate_private_key(c)", "import uuid",
        "ed25519.Ed25519PrivateKey.generate()", "make = mldsa.MLDSA44PrivateKey.generate", "import random",
    ],
)  # fmt: skip
def test_the_check_sees(source: str) -> None:
    found = list(made_up(source)) or [one for one in ast.walk(parsed(source)) if isinstance(one, ast.ImportFrom)]
    assert found


def test_the_check_sees_what_is_not_passed_on() -> None:
    assert list(kept_to_itself("broken.rogue(profile, issuer, now)")) == ["line 1: broken.rogue"]
    assert list(kept_to_itself("broken.rogue(profile, issuer, now, randomness=self.randomness)")) == []
