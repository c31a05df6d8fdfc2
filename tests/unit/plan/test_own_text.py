"""What is remembered counts while scaffold is the same, whichever of its modules changes."""

from __future__ import annotations

import shutil
from pathlib import Path

import cryptography
import pytest
import yaml

import scaffold
from scaffold.plan import own_text

PACKAGE = Path(scaffold.__file__).parent
MODULES = sorted(str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py"))


@pytest.fixture
def copy(tmp_path):
    def ignored(folder, names):
        return [name for name in names if name == "__pycache__"]

    return Path(shutil.copytree(PACKAGE, tmp_path / "scaffold", ignore=ignored))


def test_a_copy_elsewhere_is_the_same(copy):
    assert own_text.of_folder(copy) == own_text.digest()


def test_every_module_counts(copy):
    assert {"plan/checks.py", "plan/diff.py", "pki/profiles.py", "settings/derivation.py"} <= {*MODULES}
    found = {own_text.of_folder(copy)}
    for module in MODULES:
        path = copy / module
        text = path.read_bytes()
        path.write_bytes(text + b"#")
        found.add(own_text.of_folder(copy))
        path.write_bytes(text)
    assert len(found) == len(MODULES) + 1


def test_the_names_of_modules_count(copy):
    before = own_text.of_folder(copy)
    (copy / "plan/checks.py").rename(copy / "plan/checked.py")
    assert own_text.of_folder(copy) != before


def test_where_a_module_ends_counts(copy):
    """The same text, divided otherwise."""
    (copy / "a.py").write_text("1")
    (copy / "b.py").write_text("2")
    before = own_text.of_folder(copy)
    (copy / "a.py").write_text("1\0/b.py\x001\x002")
    (copy / "b.py").unlink()
    assert own_text.of_folder(copy) != before


def test_what_python_keeps_beside_does_not(copy):
    before = own_text.of_folder(copy)
    (copy / "plan/__pycache__").mkdir()
    (copy / "plan/__pycache__/checks.cpython-311.pyc").write_bytes(b"compiled")
    assert own_text.of_folder(copy) == before


@pytest.mark.parametrize("package", [scaffold, cryptography, yaml])
def test_every_version_counts(copy, package, monkeypatch):
    before = own_text.of_folder(copy)
    monkeypatch.setattr(package, "__version__", "0")
    assert own_text.of_folder(copy) != before
