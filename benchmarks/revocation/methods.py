"""The guide's four ways to handle revocation, and none, each as a topology that `scaffold apply` makes real."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TOPOLOGY = """
version: 1
name: {name}
publish: http://{publish}
cas:
  root: {{}}
  issuing: {{issuer: root, revocation: {{{revocation}}}}}
servers:
  plain: {{template: nginx, issuer: issuing, listen: "{plain}", names: [localhost]}}
  door: {{template: nginx, issuer: issuing, listen: "{door}", names: [localhost]{rules}}}
  asks: {{template: nginx, issuer: issuing, listen: "{asks}", names: [localhost]{rules}}}
clients:
  timed: {{template: python, issuer: issuing, calls: [plain, door, asks]{lifetime}}}
  victim: {{template: python, issuer: issuing, calls: [plain, door, asks]{lifetime}}}
  other: {{template: python, issuer: issuing, calls: [plain, door, asks]{lifetime}}}
"""

Source = Literal["nothing", "crl", "ocsp", "staple", "renewal"]
"""Where a method's freshness comes from: what must work, again and again, for callers to get in."""


@dataclass(frozen=True)
class Lives:
    """How long a CRL, an OCSP response and a caller's short-lived certificate are valid, as a topology writes it."""

    crl: str
    ocsp: str
    lifetime: str


DEFAULT = Lives(crl="1d", ocsp="1h", lifetime="1h")
"""Scaffold's own defaults, and the short life that its documentation names; handshakes are measured with these."""


@dataclass(frozen=True)
class Scale:
    """How much is measured. Seconds stand for the hours and days of DEFAULT where something has to end."""

    calls: int
    blocks: int
    crl: int
    ocsp: int
    lifetime: int
    refresh: int
    """Between two runs of refresh.sh; the rendered timer has 15 minutes."""
    watch: int
    """How long "nothing happens" is watched before it is believed."""
    entries: int

    @property
    def lives(self) -> Lives:
        """The scaled-down lives."""
        return Lives(f"{self.crl}s", f"{self.ocsp}s", f"{self.lifetime}s")


FULL = Scale(calls=400, blocks=5, crl=40, ocsp=30, lifetime=40, refresh=4, watch=50, entries=10_000)
QUICK = Scale(calls=10, blocks=2, crl=12, ocsp=8, lifetime=12, refresh=2, watch=6, entries=1_000)


@dataclass(frozen=True)
class Method:
    """One row of the tables. `entries`: how many revoked certificates its CRL lists before the benchmark's own."""

    name: str
    title: str
    source: Source = "nothing"
    entries: int = 0

    @property
    def revoked(self) -> str:
        """Whose certificate is revoked: a staple speaks of the server's, the others of the caller's."""
        return "server.door" if self.source == "staple" else "client.victim"

    @property
    def is_fetched(self) -> bool:
        """Whether the server's host runs refresh.sh."""
        return self.source in ("crl", "staple")

    def topology(self, lives: Lives, publish: object, plain: object, door: object, asks: object) -> str:
        """The YAML; addresses as host:port."""
        rules = {"crl": ", check_revocation: crl", "ocsp": ", check_revocation: ocsp", "staple": ", staple: true"}
        return TOPOLOGY.format(
            name=self.name,
            publish=publish,
            plain=plain,
            door=door,
            asks=asks,
            # nginx that asks by OCSP wants the CRLs of all CAs too; theirs keep a day, so that what ends is the answer.
            revocation=f"crl: {DEFAULT.crl if self.source == 'ocsp' else lives.crl}, ocsp: {lives.ocsp}",
            rules=rules.get(self.source, ""),
            lifetime=f", lifetime: {lives.lifetime}" if self.source == "renewal" else "",
        )


def methods(scale: Scale) -> tuple[Method, ...]:
    """All of them: none, and then the guide's in its order."""
    return (
        Method("none", "none"),
        Method("crl-short", "CRL, 10 entries", "crl", 10),
        Method("crl-long", f"CRL, {scale.entries:,} entries", "crl", scale.entries),
        Method("ocsp", "OCSP", "ocsp"),
        Method("staple", "OCSP stapling", "staple"),
        Method("short-lived", "short-lived", "renewal"),
    )
