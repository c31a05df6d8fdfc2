"""The code that the .NET kinds render is formatted in all its variants. Every build in the tests shows the rest."""

from __future__ import annotations

from pathlib import Path

from scaffold.running.services import free_addresses
from tests.handshake import dotnet_lab as lab
from tests.handshake.nginx_lab import MODERN, address, authority, call_of
from tests.requirements import require_command

require_command("dotnet")


def test_every_variant_is_formatted(tmp_path: Path) -> None:
    root = authority("Lab Root")
    ca = authority("Lab Issuing", root)
    health, called = free_addresses(2)
    calls = (call_of("the-vault", called.port, "vault.internal"),)
    variants = {
        "calls": lab.server_project(
            tmp_path / "calls", root, ca, [], files=lab.CALLING, calls=calls, health=address(health.port)
        ),
        "pfx": lab.server_project(tmp_path / "pfx", root, ca, [], files=lab.PFX, tls=MODERN),
        "staple": lab.server_project(tmp_path / "staple", root, ca, [], staple=True),
        "staple-pfx": lab.server_project(tmp_path / "staple-pfx", root, ca, [], staple=True, files=lab.PFX),
        "client": lab.client_project(tmp_path / "client", root, ca, calls),
        "client-pfx": lab.client_project(tmp_path / "client-pfx", root, ca, calls, files=lab.PFX),
    }
    for name, made in variants.items():
        made.render()
        # A solution takes no two projects of one name.
        (made.folder / f"{made.settings.name}.csproj").rename(made.folder / f"{name}.csproj")
    projects = "".join(f'<Project Path="{name}/{name}.csproj" />' for name in variants)
    (tmp_path / "all.slnx").write_text(f"<Solution>{projects}</Solution>")
    lab.sdk(tmp_path, "format", "all.slnx", "--verify-no-changes")
