"""A topology, an output folder and a clock that tests turn."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from scaffold.apply import Outcome, apply
from scaffold.cli.project import Project, open_project
from scaffold.plan.basis import Asked, Basis
from scaffold.plan.make import Planned, look, plan_all
from scaffold.plan.model import Action, Plan
from scaffold.plan.plan_subset import plan_resolution
from scaffold.plan.projects import Resolution
from scaffold.store.secrets import Secrets
from scaffold.topology.address import Address

BANK = """
version: 1
name: bank
cas:
  root: {}
  issuing: {issuer: root}
servers:
  accounts: {template: python, issuer: issuing, listen: "127.0.0.1:8443", names: [localhost]}
clients:
  teller: {template: python, issuer: issuing, calls: [accounts]}
"""


@dataclass
class Household:
    """One topology file and its output folder; `now` is turned by the test."""

    folder: Path
    text: str = BANK
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def out(self) -> Path:
        return self.folder / "bank"

    def open(self) -> Project:
        file = self.folder / "topology.yaml"
        if not file.exists() or file.read_text() != self.text:
            file.write_text(self.text)
        return open_project(file, self.out)

    def look(self) -> Basis:
        project = self.open()
        return look(project.topology, project.kinds, project.layout, self.now)

    def prepare(self, *, overwrite: Collection[str] = ()) -> Planned:
        return plan_all(self.look(), Asked(overwrite=frozenset(map(Address.parse, overwrite))))

    def plan(self, *, overwrite: Collection[str] = ()) -> Plan:
        return self.prepare(overwrite=overwrite).plan

    def carry_out(self, planned: Planned) -> Outcome:
        return apply(planned, Secrets(self.environment))

    def apply(self, *, overwrite: Collection[str] = ()) -> Outcome:
        return self.carry_out(self.prepare(overwrite=overwrite))

    def resolve(self, address: str, resolution: Resolution) -> Outcome:
        return self.carry_out(plan_resolution(self.look(), Address.parse(address), resolution))

    def later(self, **duration: float) -> None:
        self.now += timedelta(**duration)

    def planned(self) -> dict[str, tuple[Action, str]]:
        """By address: the action, and the code of the first reason."""
        return {str(change.address): (change.action, change.reasons[0].code.code) for change in self.plan().changes}

    def certificate(self, path: str) -> x509.Certificate:
        return x509.load_pem_x509_certificate((self.out / path).read_bytes())

    def files(self) -> dict[str, bytes]:
        """Every file of the output folder but the records."""
        return {
            path.relative_to(self.out).as_posix(): path.read_bytes()
            for path in sorted(self.out.rglob("*"))
            if path.is_file() and ".scaffold" not in path.parts
        }


@pytest.fixture
def household(tmp_path: Path) -> Household:
    return Household(tmp_path)


@pytest.fixture
def tiny(household: Household) -> Household:
    """A household whose one server is of a kind of its own, in `kind`: two files of the person's, one in tls."""
    write_kind(household.folder / "kind", {"README.md": "one\n", "run.sh": "#!/bin/sh\n", "tls/list": "first\n"})
    household.text = """
version: 1
name: bank
cas: {root: {}}
servers:
  accounts: {template: ./kind, listen: "127.0.0.1:8443", names: [localhost]}
"""
    return household


def write_kind(folder: Path, files: Mapping[str, str], owners: Mapping[str, Sequence[str]] | None = None) -> None:
    """A server kind that renders `files`, and declares whose they are."""
    project = folder / "{{cookiecutter.name}}"
    for path, text in files.items():
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(text)
    (project / "run.sh").chmod(0o755)
    block = {
        "summary": "for tests",
        "role": "server",
        "requires": ["sh"],
        "ready": "ready",
        "tls_library": "OpenSSL",
        "tls_version": ["true"],
        "keys": {"ec-p256": "1.1.1"},
        "peer_keys": {"ec-p256": "1.1.1"},
        "groups": {},
        "tls": ["modern", "intermediate"],
        "check_revocation": ["none", "crl"],
        "on_unavailable": ["refuse"],
        "sees_issuer_by": "key",
        "refuses_in": "tls",
        "supports": ["calls", "pfx"],
    }
    if owners is not None:
        block["owners"] = owners
    (folder / "cookiecutter.json").write_text(json.dumps({"_scaffold": block}))


@pytest.fixture
def change_kind(tiny: Household):
    """Changes what the tiny kind renders."""
    from scaffold.kinds import catalogue

    def change(files: Mapping[str, str], owners: Mapping[str, Sequence[str]] | None = None) -> None:
        write_kind(tiny.folder / "kind", files, owners)
        catalogue.find.cache_clear()

    return change
