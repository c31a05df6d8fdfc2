"""Independent judges of certificates, CRLs and OCSP responses: other people's code, on the same files.

A judge of certificates is a function from exhibits to verdicts, in their order. A verdict is the empty text where the
certificate is accepted for its purpose, and otherwise the reason in the judge's own words. The others judge one CRL, or
one OCSP response, in the same way.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import verification

from tests.judges.lab import Exhibit
from tests.requirements import require_command

HERE = Path(__file__).parent

Judge = Callable[[Sequence[Exhibit], Path], list[str]]

PURPOSE_OIDS = {"server": "1.3.6.1.5.5.7.3.1", "client": "1.3.6.1.5.5.7.3.2"}


def told(*command: str | Path, stdin: str = "") -> tuple[int, str]:
    """The exit status of a command and all that it said."""
    done = subprocess.run(
        [*map(str, command)],
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout


# --- Certificates ----------------------------------------------------------------------------------------------------


def openssl(exhibits: Sequence[Exhibit], scratch: Path) -> list[str]:
    """OpenSSL, strictly by RFC 5280, with the CRLs of the whole chain."""
    require_command("openssl")
    return [_by_openssl(one) for one in exhibits]


def _by_openssl(one: Exhibit) -> str:
    host = ["-verify_hostname", one.host] if one.host else []
    code, said = told(
        "openssl", "verify", "-x509_strict", "-crl_check_all", "-purpose", f"ssl{one.purpose}", *host,
        "-CAfile", one.root, "-CRLfile", one.crls, "-untrusted", one.chain, one.chain,
    )  # fmt: skip
    return "" if code == 0 else said


def gnutls(exhibits: Sequence[Exhibit], scratch: Path) -> list[str]:
    """GnuTLS, with the CRLs of the whole chain."""
    require_command("certtool")
    return [_by_gnutls(one) for one in exhibits]


def _by_gnutls(one: Exhibit) -> str:
    host = ["--verify-hostname", one.host] if one.host else []
    code, said = told(
        "certtool", "--verify", "--verify-purpose", PURPOSE_OIDS[one.purpose], *host,
        "--load-ca-certificate", one.root, "--load-crl", one.crls, "--infile", one.chain,
    )  # fmt: skip
    return "" if code == 0 else said


def nss(exhibits: Sequence[Exhibit], scratch: Path) -> list[str]:
    """NSS, by its PKIX library, which demands the CRLs of the whole chain."""
    require_command("certutil", "crlutil", "vfychain")
    return [_by_nss(one, Path(tempfile.mkdtemp(dir=scratch))) for one in exhibits]


def _by_nss(one: Exhibit, folder: Path) -> str:
    database = f"sql:{folder}"
    told("certutil", "-N", "-d", database, "--empty-password")
    # C: trusted as an issuer of servers, T: of clients. Where an import fails, so does what needs it below.
    told("certutil", "-A", "-d", database, "-n", "root", "-t", "CT,,", "-a", "-i", one.root)
    for number, intermediate in enumerate(one.certificates[1:]):
        file = folder / f"ca-{number}"
        file.write_bytes(intermediate.public_bytes(Encoding.DER))
        told("certutil", "-A", "-d", database, "-n", f"ca-{number}", "-t", ",,", "-i", file)
    for number, crl in enumerate(crls_of(one)):
        file = folder / f"crl-{number}"
        file.write_bytes(crl.public_bytes(Encoding.DER))
        told("crlutil", "-I", "-d", database, "-i", file, "-t", "1")
    usage = {"client": "0", "server": "1"}[one.purpose]
    tests = [word for scope in ("leaf", "chain") for word in ("-g", scope, "-m", "crl", "-s", "requireInfo")]
    _, said = told("vfychain", "-d", database, "-pp", *tests, "-u", usage, "-a", one.chain)
    return "" if said.strip() == "Chain is good!" else said


def java(exhibits: Sequence[Exhibit], scratch: Path) -> list[str]:
    """The trust manager of Java's TLS, with the CRLs of the whole chain."""
    return _by_java((one.purpose, one.chain, one.root, one.crls, "-") for one in exhibits)


def _by_java(cases: Iterable[tuple[str | Path, ...]]) -> list[str]:
    require_command("java", "javac")
    return _by_lines(["java", str(HERE / "Check.java")], cases)


def go(exhibits: Sequence[Exhibit], scratch: Path) -> list[str]:
    """Go's crypto/x509, which looks at no CRL by itself: the program reads them by crypto/x509 as well."""
    command = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if command is None:
        pytest.skip("needs go on PATH, which no other test does: it is not asked for under CI")
    cases = ((one.purpose, one.chain, one.root, one.crls, one.host or "-") for one in exhibits)
    return _by_lines([command, "run", str(HERE / "check.go")], cases)


def _by_lines(command: list[str], cases: Iterable[tuple[str | Path, ...]]) -> list[str]:
    """What a program says that takes a line for each case, and answers each by one line."""
    lines = ["\t".join(map(str, case)) + "\n" for case in cases]
    code, said = told(*command, stdin="".join(lines))
    verdicts = said.splitlines()
    assert code == 0, said
    assert len(verdicts) == len(lines), said
    return ["" if verdict == "accepted" else verdict for verdict in verdicts]


def pyca(exhibits: Sequence[Exhibit], scratch: Path) -> list[str]:
    """The verification of `cryptography`, which follows the rules of the web PKI and knows no CRLs."""
    return [_by_pyca(one) for one in exhibits]


def _by_pyca(one: Exhibit) -> str:
    leaf, *intermediates = one.certificates
    builder = verification.PolicyBuilder().store(verification.Store([one.anchor])).time(datetime.now(UTC))
    try:
        if one.purpose == "client":
            builder.build_client_verifier().verify(leaf, intermediates)
        else:
            builder.build_server_verifier(_subject(one, leaf)).verify(leaf, intermediates)
    except verification.VerificationError as error:
        return str(error)
    return ""


def _subject(one: Exhibit, leaf: x509.Certificate) -> x509.DNSName | x509.IPAddress:
    """The name to look for in a server's certificate, which this judge does not do without."""
    if one.host is not None:
        return x509.DNSName(one.host)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    for address in names.get_values_for_type(x509.IPAddress):
        return x509.IPAddress(ip_address(str(address)))
    return x509.DNSName("nobody.example")


JUDGES: dict[str, Judge] = {
    "openssl": openssl, "gnutls": gnutls, "nss": nss, "java": java, "go": go, "cryptography": pyca
}  # fmt: skip


# --- CRLs ------------------------------------------------------------------------------------------------------------


def crls_of(one: Exhibit) -> list[x509.CertificateRevocationList]:
    """The CRLs beside an exhibit, one for each CA of its chain, in the same order."""
    end = b"-----END X509 CRL-----\n"
    texts = one.crls.read_bytes().split(end)[:-1]
    return [x509.load_pem_x509_crl(text + end) for text in texts]


def crl_by_openssl(crl: Path, issuer: Path) -> str:
    """Whether a CA signed a CRL, by OpenSSL."""
    require_command("openssl")
    code, said = told("openssl", "crl", "-in", crl, "-CAfile", issuer, "-noout", "-verify")
    return "" if code == 0 and "verify OK" in said else said


def crl_by_gnutls(crl: Path, issuer: Path) -> str:
    """Whether a CA signed a CRL and it is of today, by GnuTLS."""
    require_command("certtool")
    code, said = told("certtool", "--verify-crl", "--load-ca-certificate", issuer, "--infile", crl)
    return "" if code == 0 and "Verified" in said and "Not verified" not in said else said


CRL_JUDGES = {"openssl": crl_by_openssl, "gnutls": crl_by_gnutls}


# --- OCSP ------------------------------------------------------------------------------------------------------------


def ocsp_by_openssl(one: Exhibit, issuer: Path) -> str:
    """Whether an OCSP response is well signed and says good, by OpenSSL."""
    require_command("openssl")
    code, said = told(
        "openssl", "ocsp", "-no_nonce", "-issuer", issuer, "-cert", one.chain, "-respin", str(one.answer),
        "-CAfile", one.root, "-verify_other", one.chain,
    )  # fmt: skip
    return "" if code == 0 and "Response verify OK" in said and ": good" in said else said


def ocsp_by_gnutls(one: Exhibit, issuer: Path) -> str:
    """Whether an OCSP response is signed by a responder of the issuer and says good, by GnuTLS."""
    require_command("ocsptool")
    code, said = told(
        "ocsptool", "--verify-response", "--load-trust", issuer, "--load-issuer", issuer, "--infile", str(one.answer)
    )
    if code != 0 or "Success" not in said:
        return said
    _, content = told("ocsptool", "--response-info", "--infile", str(one.answer))
    return "" if "Certificate Status: good" in content else content


def ocsp_by_java(one: Exhibit, issuer: Path) -> str:
    """Whether the trust manager of Java's TLS accepts a certificate by the OCSP response about it alone."""
    (verdict,) = _by_java([(one.purpose, one.chain, one.root, "-", str(one.answer))])
    return verdict


OCSP_JUDGES = {"openssl": ocsp_by_openssl, "gnutls": ocsp_by_gnutls, "java": ocsp_by_java}
