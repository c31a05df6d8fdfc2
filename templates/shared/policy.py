"""What the topology demands of the peers: tls/policy.json, which scaffold writes and nobody else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from revocation import Rules


@dataclass(frozen=True)
class Policy:
    """What the handshake demands, and what is asked after it.

    `ciphers` are for TLS 1.2; those of TLS 1.3 are all good. `trust` names, for each server that is called, the file in
    tls/ with its roots, and `server_names` the name that its certificate must have; the issuers of
    `from_elsewhere` among them are no CAs of the topology.
    `check_crl`: OpenSSL looks peers up in tls/crl.pem. `revocation`: how revocation.py asks besides, None where it does
    not.
    """

    min_version: str
    ciphers: tuple[str, ...]
    trust: Mapping[str, str]
    server_names: Mapping[str, str]
    from_elsewhere: frozenset[str]
    check_crl: bool
    revocation: Rules | None


def load(file: Path) -> Policy:
    """Reads the file. Raises OSError, and ValueError, KeyError or TypeError for what it does not understand."""
    values = json.loads(file.read_text(encoding="utf-8"))
    known = {"min_version", "ciphers", "trust", "server_names", "from_elsewhere", "check_crl", "revocation"}
    if unknown := values.keys() - known:
        raise ValueError(f"{file.name} demands {', '.join(sorted(unknown))}, which this program cannot do")
    rules, check_crl = values["revocation"], values["check_crl"]
    if not isinstance(check_crl, bool):
        raise ValueError(f"{file.name}: check_crl is true or false, not {check_crl!r}")
    return Policy(
        min_version=values["min_version"],
        ciphers=tuple(values["ciphers"]),
        trust=dict(values["trust"]),
        server_names=dict(values["server_names"]),
        from_elsewhere=frozenset(values["from_elsewhere"]),
        check_crl=check_crl,
        revocation=Rules(**rules) if rules is not None else None,
    )
