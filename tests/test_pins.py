"""The versions that the suite runs with are written down, fit what the package asks for, and are those of this run."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.requirements import require

ROOT = Path(__file__).parent.parent
LINES = [
    line for line in (ROOT / "tests/constraints.txt").read_text().splitlines() if line and not line.startswith("#")
]
PINS = {canonicalize_name(name): pinned for name, _, pinned in (line.partition("==") for line in LINES)}


def requirements() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [Requirement(text) for text in (*project["dependencies"], *project["optional-dependencies"]["dev"])]


def test_each_line_is_one_exact_version() -> None:
    assert [line for line in LINES if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line)] == []
    assert len(PINS) == len(LINES)


def test_what_the_package_asks_for_is_pinned_within_its_ranges() -> None:
    for wanted in requirements():
        assert wanted.specifier.contains(PINS[canonicalize_name(wanted.name)]), wanted


def test_the_asgi_template_is_tried_with_the_versions_that_it_pins() -> None:
    project = ROOT / "templates/servers/asgi/{{cookiecutter.name}}"
    texts = [(project / name).read_text() for name in ("requirements.txt", "mtls/requirements.txt")]
    pinned = [line for text in texts for line in text.splitlines() if not line.startswith("#")]
    assert len(pinned) > 10
    for line in pinned:
        name, _, version_of_it = line.partition("==")
        assert PINS[canonicalize_name(name)] == version_of_it, line


def test_this_run_has_the_pinned_versions() -> None:
    other = {}
    for name, pinned in PINS.items():
        try:
            found = version(name)
        except PackageNotFoundError:  # a dependency on other versions of Python alone
            continue
        if found != pinned:
            other[name] = found
    require(not other, f"the versions of tests/constraints.txt (make check installs them), and has {other}")
