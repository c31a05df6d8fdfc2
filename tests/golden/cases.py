"""The golden cases of the built-in kinds: `servers/KIND/CASE.txtar` and `clients/KIND/CASE.txtar` (txtar.py). In each:

comment      what the case is about
case.json    what differs from an ordinary service: `settings` (fields of ServerSettings or ClientSettings, whole
             values) and `vars`
files        every file of the project, one a line; a `*` follows what is executable (as in `ls -F`)
the rest     the text of each file that is templated. What a kind copies as it stands is not repeated here

`UPDATE_GOLDEN=1 pytest tests/golden` writes `files` and the texts anew; the comment and the case stay. A new case
begins as a file that holds these two alone.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from scaffold.kinds import catalogue
from scaffold.kinds.catalogue import Kind, template_files
from scaffold.kinds.render import Context, Rendered, render_context
from scaffold.kinds.variables import merged
from tests.golden import txtar

HERE = Path(__file__).parent

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
    "combined": None,
    "truststore": None,
    "client_combined": None,
    "client_truststore": None,
    "key_is_here": True,
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
        "callee_responders": [],
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
            "caller": "client.teller",
            "name": "teller",
            "role": "client",
            "identity": "spiffe://banking/client/teller",
            "issuer": "issuing",
            "signer": "issuing",
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
    "backend": None,
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
    file: Path

    def __str__(self) -> str:
        return f"{self.kind.role}-{self.kind.name}-{self.file.stem}"

    def read(self) -> tuple[str, dict[str, str]]:
        """The comment, and the sections by name."""
        return txtar.parse(self.file.read_text(encoding="utf-8"))

    def context(self) -> Context:
        _, sections = self.read()
        return context_of(self.kind, json.loads(sections["case.json"]))

    def render(self) -> dict[str, Rendered]:
        return render_context(self.kind, self.context())

    def expected(self) -> dict[str, str]:
        """`files` and the texts that should come out."""
        _, sections = self.read()
        return {name: text for name, text in sections.items() if name != "case.json"}

    def update(self, sections: Mapping[str, str]) -> None:
        comment, before = self.read()
        whole = {"case.json": before["case.json"], **sections}
        self.file.write_text(txtar.build(comment, whole), encoding="utf-8")


def sections_of(rendered: Mapping[str, Rendered], copied: frozenset[bytes]) -> dict[str, str]:
    """A rendered project as the sections of a case: `files`, and each text that is not among the `copied`."""
    listing = "".join(f"{path}{'*' if rendered[path].executable else ''}\n" for path in sorted(rendered))
    texts = {path: rendered[path].content.decode() for path in sorted(rendered) if rendered[path].content not in copied}
    return {"files": listing, **texts}


def copied_by(kind: Kind) -> frozenset[bytes]:
    """What `kind` prints whatever the settings are: its template's texts, the shared parts, and what it makes of these
    by a macro alone. Jinja never comes out as itself."""
    files = dict(template_files(kind.folder / kind.project))
    shared = (path for _, path in template_files(catalogue.shared_folder()))
    rendered = render_context(kind, context_of(kind, {}))
    in_package = (name for name, path in files.items() if b'"shared/in-package"' in path.read_bytes())
    return frozenset(
        {path.read_bytes() for path in (*files.values(), *shared)} | {rendered[name].content for name in in_package}
    )


def differences(expected: Mapping[str, str], found: Mapping[str, str]) -> str:
    """What differs between two cases, section by section, for a person; nothing where they agree."""
    return "".join(
        line if line.endswith("\n") else f"{line}\n"
        for name in sorted(expected.keys() | found.keys())
        for line in difflib.unified_diff(
            expected.get(name, "").splitlines(keepends=True),
            found.get(name, "").splitlines(keepends=True),
            f"expected: {name}" if name in expected else f"expected: no text of {name}",
            f"rendered: {name}" if name in found else f"rendered: no text of {name}",
        )
    )


def context_of(kind: Kind, case: Mapping[str, Mapping[str, object]]) -> Context:
    """What the templates of `kind` see in a case."""
    base = _SERVER if kind.role == "server" else _CLIENT
    settings = case.get("settings", {})
    assert settings.keys() <= base.keys() | {"kind"}, settings.keys() - base.keys()
    variables = merged(kind, case.get("vars", {}))
    values = {**variables, **base, "kind": kind.name, **settings, "vars": variables}
    if isinstance(allowed := values.get("allowed"), list):
        values["allowed"] = [{"roles": [], **caller} for caller in allowed]
    return {"cookiecutter": values}


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
        for file in sorted((HERE / f"{kind.role}s" / kind.name).glob("*.txtar")):
            yield Case(kind, file)
