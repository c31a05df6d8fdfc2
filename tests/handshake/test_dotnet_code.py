"""The code that the .NET kinds render is formatted, and breaks no rule of the SDK's analyzers, in all its variants."""

from __future__ import annotations

from pathlib import Path

import pytest

from scaffold.running.ports import free_addresses
from tests.handshake import dotnet_lab as lab
from tests.handshake.nginx_lab import MODERN, address, authority, call_of
from tests.requirements import require_command

require_command("dotnet")

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def variants(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a solution of them all."""
    folder = tmp_path_factory.mktemp("variants")
    root = authority("Lab Root")
    ca = authority("Lab Issuing", root)
    health, called = free_addresses(2)
    calls = (call_of("the-vault", called.port, "vault.internal"),)
    variants = {
        "calls": lab.server_project(
            folder / "calls", root, ca, [], files=lab.CALLING, calls=calls, health=address(health.port)
        ),
        "pfx": lab.server_project(folder / "pfx", root, ca, [], files=lab.PFX, tls=MODERN),
        "staple": lab.server_project(folder / "staple", root, ca, [], staple=True),
        "staple-pfx": lab.server_project(folder / "staple-pfx", root, ca, [], staple=True, files=lab.PFX),
        "client": lab.client_project(folder / "client", root, ca, calls),
        "client-pfx": lab.client_project(folder / "client-pfx", root, ca, calls, files=lab.PFX),
    }
    for name, made in variants.items():
        made.render()
        # A solution takes no two projects of one name.
        (made.folder / f"{made.settings.name}.csproj").rename(made.folder / f"{name}.csproj")
    projects = "".join(f'<Project Path="{name}/{name}.csproj" />' for name in variants)
    (folder / "all.slnx").write_text(f"<Solution>{projects}</Solution>")
    return folder


def test_every_variant_is_formatted(variants: Path) -> None:
    lab.sdk(variants, "format", "all.slnx", "--verify-no-changes")


def test_no_variant_breaks_a_rule(variants: Path) -> None:
    lab.sdk(variants, "build", "all.slnx", "--configuration", "Release", *lab.STRICT, "-p:UseAppHost=false")
