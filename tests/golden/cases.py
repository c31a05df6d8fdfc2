"""The golden cases that lie beside each built-in kind: `golden/CASE/case.json` and the `expected/` tree.

A case.json holds what differs from an ordinary service: `settings` (fields of ServerSettings or ClientSettings, whole
values) and `vars`. `UPDATE_GOLDEN=1 pytest tests/golden` writes the expected trees anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from scaffold.kinds import catalogue
from scaffold.kinds.catalogue import Kind
from scaffold.kinds.render import Context
from scaffold.kinds.variables import merged

_TLS = {
    "profile": "intermediate",
    "min_version": "TLSv1.2",
    "ciphers": [
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-RSA-CHACHA20-POLY1305",
    ],
    "suites": ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"],
    "groups": ["X25519", "prime256v1", "secp384r1"],
}
_FILES = {
    "certificate": "tls/cert.pem",
    "key": "tls/key.pem",
    "trust": "tls/ca.pem",
    "intermediates": "tls/intermediates.pem",
    "crl": None,
    "bundle": None,
    "bundle_password": None,
    "staple": None,
    "client_certificate": None,
    "client_key": None,
    "client_trust": None,
}
_COMMON: Mapping[str, object] = {
    "topology": "banking",
    "tls": _TLS,
    "files": _FILES,
    "anchors": ["root"],
    "verify_depth": 1,
    "revocation": {
        "check": "none",
        "on_unavailable": "refuse",
        "crls": [],
        "responders": [],
        "by_application": False,
    },
    "calls": [],
    "publish": None,
}
_SERVER: Mapping[str, object] = {
    **_COMMON,
    "name": "accounts",
    "address": "server.accounts",
    "identity": "spiffe://banking/server/accounts",
    "names": ["accounts.banking.internal", "localhost", "127.0.0.1"],
    "listen": {"host": "127.0.0.1", "port": 8443, "literal": "127.0.0.1:8443"},
    "health": None,
    "allowed": [
        {
            "name": "teller",
            "role": "client",
            "identity": "spiffe://banking/client/teller",
            "issuer": "issuing",
            "issuer_spki_sha256": "5f" * 32,
            "issuer_dn": "CN=Contoso Issuing CA,O=Contoso Bank,C=NL",
            "subject_dn": "CN=teller,O=Contoso Bank,C=NL",
            "gateway": False,
        }
    ],
    "staple": False,
    "must_staple": False,
    "post_quantum": False,
    "callee_verify_depth": 0,
    "upstream": None,
}
_CLIENT: Mapping[str, object] = {
    **_COMMON,
    "name": "teller",
    "address": "client.teller",
    "identity": "spiffe://banking/client/teller",
}


@dataclass(frozen=True)
class Case:
    """One case of one kind."""

    kind: Kind
    folder: Path

    @property
    def expected(self) -> Path:
        return self.folder / "expected"

    def context(self) -> Context:
        return context_of(self.kind, json.loads((self.folder / "case.json").read_text(encoding="utf-8")))


def context_of(kind: Kind, case: Mapping[str, Mapping[str, object]]) -> Context:
    """What the templates of `kind` see in a case."""
    base = _SERVER if kind.role == "server" else _CLIENT
    settings = case.get("settings", {})
    assert settings.keys() <= base.keys() | {"kind"}, settings.keys() - base.keys()
    variables = merged(kind, case.get("vars", {}))
    return {"cookiecutter": {**variables, **base, "kind": kind.name, **settings, "vars": variables}}


def builtin_kinds() -> list[Kind]:
    """Every built-in kind, servers first."""
    return [
        catalogue.find(name, role, Path.cwd())
        for role in ("server", "client")
        for name in catalogue.builtin_names(role)
    ]


def cases() -> Iterator[Case]:
    """Every case of every built-in kind."""
    for kind in builtin_kinds():
        for file in sorted((kind.folder / "golden").glob("*/case.json")):
            yield Case(kind, file.parent)
