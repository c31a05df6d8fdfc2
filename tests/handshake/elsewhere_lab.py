"""CAs that `openssl` makes, and what they issue: certificates that nothing of the code under test has made."""

from __future__ import annotations

import shutil
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
    ran = subprocess.run(["openssl", *arguments], cwd=cwd, check=True, capture_output=True)
    return ran.stdout.decode(errors="replace")  # what it shows of old strings is no UTF-8


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
        (folder / "ca.ext").write_text(_CA)
        ca._request("root", f"/CN={called} Root")
        openssl(
            "x509", "-req", "-in", "root.csr", "-key", "root.key", "-out", "root.pem", "-days", "3650",
            "-extfile", "ca.ext", cwd=folder,
        )  # fmt: skip
        ca._make_issuing()
        return ca

    def sibling(self, called: str) -> OpenSslCa:
        """Another issuing CA below the same root, in a folder inside this one."""
        ca = OpenSslCa(self.folder / called.lower(), called)
        ca.folder.mkdir()
        for name in ("root.pem", "root.key", "ca.ext"):
            shutil.copy(self.folder / name, ca.folder / name)
        ca._make_issuing()
        return ca

    def _make_issuing(self) -> None:
        self._key("ca")
        self._request("ca", f"/O={self.called}/CN={self.called} Issuing")
        openssl(
            "x509", "-req", "-in", "ca.csr", "-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial",
            "-out", "ca.pem", "-days", "1825", "-extfile", "ca.ext", cwd=self.folder,
        )  # fmt: skip

    def _key(self, name: str) -> None:
        openssl(
            "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", f"{name}.key",
            cwd=self.folder,
        )  # fmt: skip

    def _request(self, name: str, subject: str, string_mask: str = "utf8only") -> None:
        """`string_mask`: which types of string a name may have; `default` and `pkix` choose old ones."""
        config = f"[req]\nstring_mask = {string_mask}\ndistinguished_name = dn\n[dn]\n"
        (self.folder / f"{name}.cnf").write_text(config)
        openssl(
            "req", "-new", "-utf8", "-config", f"{name}.cnf", "-key", f"{name}.key", "-subj", subject,
            "-out", f"{name}.csr", cwd=self.folder,
        )  # fmt: skip

    def request(self, name: str, subject: str) -> None:
        """`NAME.csr`, a request over a key of its own, `NAME.key`."""
        self._key(name)
        self._request(name, subject)

    def issue(
        self, name: str, subject: str, sans: str = "", purposes: str = "serverAuth", string_mask: str = "utf8only"
    ) -> Path:
        """`NAME.pem` (leaf and issuing CA) and `NAME.key` in the folder; `subject` as `openssl req -subj` takes it."""
        self._key(name)
        self._request(name, subject, string_mask)
        names = f"subjectAltName = {sans}\n" if sans else ""
        (self.folder / f"{name}.ext").write_text(_LEAF.format(purposes=purposes) + names)
        leaf = openssl(
            "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", "60", "-extfile", f"{name}.ext", cwd=self.folder,
        )  # fmt: skip
        (self.folder / f"{name}.pem").write_text(leaf + (self.folder / "ca.pem").read_text())
        return self.folder / f"{name}.pem"
