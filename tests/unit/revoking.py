"""A bank that checks revocation, and what a person may want of it; OpenSSL is the judge."""

from __future__ import annotations

import subprocess
from pathlib import Path

from cryptography import x509

from scaffold.apply import Outcome
from scaffold.pki import crl as crls
from scaffold.plan.intents import Intent, Release, Renew, Revoke
from scaffold.plan.model import Action, Plan
from scaffold.plan.plan_subset import plan_due, plan_intents
from scaffold.store import ledger
from scaffold.store.layout import Layout
from scaffold.topology.address import Address

CHECKING = """
version: 1
name: bank
publish: http://127.0.0.1:9080
cas:
  root: {}
  issuing: {issuer: root}
servers:
  accounts:
    {template: python, issuer: issuing, listen: "127.0.0.1:8443", names: [localhost], check_revocation: crl}
  front:
    {template: python, issuer: issuing, listen: "127.0.0.1:8444", names: [localhost], calls: [accounts]}
clients:
  teller: {template: python, issuer: issuing, calls: [accounts]}
"""

TELLER, ACCOUNTS = "client.teller.certificate", "server.accounts.certificate"


def planned(household, *intents: Intent) -> Plan:
    return plan_intents(household.look(), intents).plan


def want(household, *intents: Intent) -> Outcome:
    return household.carry_out(plan_intents(household.look(), intents))


def revoke(household, address="client.teller", reason="keyCompromise", **more) -> Outcome:
    return want(household, Revoke(Address.parse(address) if address else None, crls.Reason(reason), **more))


def release(household, address="client.teller") -> Outcome:
    return want(household, Release(Address.parse(address)))


def renew(household, *addresses: str) -> Outcome:
    return want(household, *(Renew(Address.parse(one)) for one in addresses))


def renew_due(household) -> Outcome:
    return household.carry_out(plan_due(household.look()).planned)


def seen(plan: Plan) -> list[tuple[str, Action]]:
    return [(str(change.address), change.action) for change in plan.changes]


def known(household) -> ledger.Ledger:
    return ledger.load(Layout(household.out))


def serial(household, path="clients/teller/tls/cert.pem") -> str:
    return f"{household.certificate(path).serial_number:x}"


def crl(household, ca="issuing") -> x509.CertificateRevocationList:
    return crls.load((household.out / f"pki/{ca}/crl.pem").read_bytes())


def listed(household, ca="issuing") -> dict[str, str]:
    """What the CRL of a CA revokes, by serial: why."""
    return {f"{entry.serial:x}": entry.reason.value for entry in crls.entries(crl(household, ca))}


def openssl(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False, timeout=90)


def verdict(household, leaf: Path, by="accounts") -> str:
    """What OpenSSL says of a client's certificate with what a server was given: every CRL of the chain is asked."""
    tls = household.out / f"servers/{by}/tls"
    arguments = ["-crl_check_all", "-purpose", "sslclient", "-CAfile", tls / "ca.pem", "-CRLfile", tls / "crl.pem"]
    at = ["-attime", str(int(household.now.timestamp()))]
    done = openssl("verify", *arguments, *at, "-untrusted", tls / "intermediates.pem", leaf)
    return "good" if done.returncode == 0 else done.stderr
