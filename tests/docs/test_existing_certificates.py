"""The topologies that docs/existing-certificates.md shows are applied as they stand there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scaffold.kinds.catalogue import builtin_names, builtins
from tests.handshake.elsewhere_lab import OpenSslCa
from tests.requirements import require_command
from tests.unit.conftest import Household

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/existing-certificates.md").read_text("utf-8")
TOPOLOGIES = {re.search(r"^name: (\S+)$", text, re.M)[1]: text for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.S)}  # type: ignore[index]


@pytest.fixture
def household(tmp_path: Path) -> Household:
    return Household(tmp_path)


def as_the_page_has_it(name: str) -> Callable[[Path], None]:
    """Makes the files by the commands that follow the topology of that name."""
    commands = re.search(r"```sh\n(.*?)```", PAGE.partition(TOPOLOGIES[name])[2], re.S)
    assert commands is not None

    def make(folder: Path) -> None:
        subprocess.run(["sh", "-e", "-c", commands[1]], cwd=folder, check=True, capture_output=True)

    return make


def with_a_partner(folder: Path) -> None:
    ca = OpenSslCa.made(folder / "partner", "Partner")
    shutil.copy(ca.folder / "ca.pem", folder / "partner-ca.pem")
    shutil.copy(ca.folder / "root.pem", folder / "partner-root.pem")


PREPARED = {"shop": as_the_page_has_it("shop"), "vaults": as_the_page_has_it("vaults"), "desks": with_a_partner}


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_what_the_page_shows_is_applied_and_leaves_nothing_to_do(household: Household, name: str) -> None:
    require_command("openssl")
    PREPARED[name](household.folder)
    household.now = datetime.now(UTC)  # what was made this moment has begun
    household.text = TOPOLOGIES[name]
    household.apply()
    assert household.plan().changes == ()


def test_every_topology_of_the_page_is_tried() -> None:
    assert TOPOLOGIES.keys() == PREPARED.keys()


def test_the_page_says_of_the_templates_what_they_declare() -> None:
    header = re.search(r"^\| identity \| is \| (.*) \|$", PAGE, re.M)
    assert header is not None
    templates = header[1].split(" | ")
    by_chain = [kind.name for kind in builtins("server") if kind.capabilities.decides_by_chain]
    assert sorted([*templates, *by_chain]) == sorted(builtin_names("server"))
    assert all(f"`{name}` looks at none of them" in PAGE for name in by_chain)
    for form, label in {"uri": "`spiffe://…`, `uri:…`", "dns": "`dns:NAME`", "subject": "`subject:NAME`"}.items():
        [row] = [line for line in PAGE.splitlines() if line.startswith(f"| {label} |")]
        cells = [cell.strip() for cell in row.strip("|").split("|")][2:]
        for template, cell in zip(templates, cells, strict=True):
            declared = json.loads((ROOT / f"templates/servers/{template}/cookiecutter.json").read_text())
            assert (form in declared["_scaffold"].get("sees_callers_by", ())) is (cell == "yes"), (template, form)
