"""A topology planned, applied and verified in a folder of its own, for the tests of `verify`."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent

from scaffold.apply import apply
from scaffold.kinds.catalogue import Kind, find
from scaffold.plan.basis import Asked, Basis
from scaffold.plan.intents import Intent
from scaffold.plan.make import look, plan_all
from scaffold.store.layout import Layout
from scaffold.store.secrets import Secrets
from scaffold.topology import graph
from scaffold.topology.address import Address
from scaffold.topology.generations import ONE_EACH, Generations
from scaffold.topology.load import load
from scaffold.topology.model import Client, Server, Topology
from scaffold.verify.cases import TAKING_COMMON_NAMES
from scaffold.verify.listener import NOBODY, Listener
from scaffold.verify.model import Probe, Report, Result
from scaffold.verify.run import verify
from tests.handshake.rewriting import rewrite

MOST = frozenset(Probe) - TAKING_COMMON_NAMES.keys()
"""All but the two false servers that tests of common names ask for: each costs a run of a client."""


@dataclass(frozen=True)
class Lab:
    """An applied topology."""

    topology: Topology
    kinds: Mapping[str, Kind]
    layout: Layout
    secrets: Secrets = field(default_factory=Secrets)
    generations: Generations = ONE_EACH

    def look(self) -> Basis:
        """All that a plan of today needs."""
        return look(self.topology, self.kinds, self.layout, datetime.now(UTC), generations=self.generations)

    def apply(self, *intents: Intent) -> None:
        """Carry out all that is planned as of now, and what is asked for."""
        apply(plan_all(self.look(), Asked(intents)), self.secrets)

    def verify(
        self,
        only: str | None = None,
        ports: str = "auto",
        listener: Listener = NOBODY,
        limit_to: Collection[Probe] = MOST,
    ) -> Report:
        """A verification of the folder as it is now."""
        basis = self.look()
        return verify(
            self.topology, self.kinds, self.layout, basis.now, self.secrets, generations=self.generations,
            plan=plan_all(basis).plan, revoked=basis.ledger.revoked.keys(),
            only=Address.parse(only) if only else None, ports=ports, listener=listener, limit_to=limit_to,  # type: ignore[arg-type]
        )  # fmt: skip

    def copied(self, to: Path) -> Lab:
        """The same in another folder, to break; without what its servers have left in run/."""
        shutil.copytree(self.layout.out, to, symlinks=True, ignore=shutil.ignore_patterns("run"))
        return replace(self, layout=Layout(to))

    def path(self, relative: str) -> Path:
        return self.layout.path(relative)

    def rewrite(self, relative: str, *changes: tuple[str, str]) -> None:
        """Replace texts in a rendered file; each must be there, or the test would break nothing."""
        rewrite(self.path(relative), *changes)


def applied(text: str, folder: Path, secrets: Secrets | None = None) -> Lab:
    """Write the topology into `folder`, plan and apply it."""
    file = folder / "topology.yaml"
    file.write_text(dedent(text), encoding="utf-8")
    lab = reopened(file, folder / "out", secrets)
    lab.apply()
    return lab


def reopened(file: Path, out: Path, secrets: Secrets | None = None) -> Lab:
    """A topology that was applied before."""
    t = load(file)
    kinds = {
        party.address: find(party.template, "server" if isinstance(party, Server) else "client", file.parent)
        for party in graph.parties(t)
        if not (isinstance(party, Client) and party.external)
    }
    return Lab(t, kinds, Layout(out), secrets or Secrets())


def failures(report: Report) -> set[tuple[str, str, Probe]]:
    """Server, client and probe of every check that failed."""
    return {(check.server, check.client, check.probe) for check in report.checks if check.result is Result.FAILED}


def probes(report: Report, result: Result) -> set[Probe]:
    return {check.probe for check in report.checks if check.result is result}


def lines(report: Report) -> str:
    """The report in full, for the message of a failed assertion."""
    return "\n".join(
        f"{check.result} {check.client} at {check.server}, {check.probe}: {check.observed} ({check.detail})"
        for check in report.checks
    )
