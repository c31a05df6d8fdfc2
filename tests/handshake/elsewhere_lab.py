"""CAs that `openssl` makes, and what they issue: certificates that nothing of the code under test has made."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

_CA = """\
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""
_LEAF = """\
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = {purposes}
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
certificatePolicies = 2.23.140.1.2.1
"""


def openssl(*arguments: str, cwd: Path) -> str:
    return subprocess.run(["openssl", *arguments], cwd=cwd, check=True, capture_output=True, text=True).stdout


@dataclass(frozen=True)
class OpenSslCa:
    """A root and an issuing CA below it, in a folder: root.pem, ca.pem, ca.key."""

    folder: Path
    called: str

    @classmethod
    def made(cls, folder: Path, called: str) -> OpenSslCa:
        folder.mkdir(parents=True, exist_ok=True)
        ca = cls(folder, called)
        ca._key("root")
        ca._key("ca")
        (folder / "ca.ext").write_text(_CA)
        ca._request("root", f"/CN={called} Root")
        ca._request("ca", f"/O={called}/CN={called} Issuing")
        openssl(
            "x509", "-req", "-in", "root.csr", "-key", "root.key", "-out", "root.pem", "-days", "3650",
            "-extfile", "ca.ext", cwd=folder,
        )  # fmt: skip
        openssl(
            "x509", "-req", "-in", "ca.csr", "-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial",
            "-out", "ca.pem", "-days", "1825", "-extfile", "ca.ext", cwd=folder,
        )  # fmt: skip
        return ca

    def _key(self, name: str) -> None:
        openssl(
            "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", f"{name}.key",
            cwd=self.folder,
        )  # fmt: skip

    def _request(self, name: str, subject: str, *more: str) -> None:
        openssl(
            "req", "-new", "-utf8", "-key", f"{name}.key", "-subj", subject, "-out", f"{name}.csr", *more,
            cwd=self.folder,
        )  # fmt: skip

    def issue(
        self, name: str, subject: str, sans: str = "", purposes: str = "serverAuth", *, subject_options: str = ""
    ) -> Path:
        """`NAME.pem` (leaf and issuing CA) and `NAME.key` in the folder; `subject` as `openssl req -subj` takes it."""
        self._key(name)
        self._request(name, subject, *subject_options.split())
        names = f"subjectAltName = {sans}\n" if sans else ""
        (self.folder / f"{name}.ext").write_text(_LEAF.format(purposes=purposes) + names)
        leaf = openssl(
            "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", "60", "-extfile", f"{name}.ext", cwd=self.folder,
        )  # fmt: skip
        (self.folder / f"{name}.pem").write_text(leaf + (self.folder / "ca.pem").read_text())
        return self.folder / f"{name}.pem"

    def subject_of(self, name: str) -> str:
        """As OpenSSL prints it by RFC 2253."""
        said = openssl("x509", "-noout", "-subject", "-nameopt", "RFC2253", "-in", f"{name}.pem", cwd=self.folder)
        return said.strip().removeprefix("subject=")
