"""Every fault that a certificate can be given on purpose: what is wrong with it, by which rule, and who looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from scaffold.topology.model import Fault, FileFault

AnyFault = Fault | FileFault


@dataclass(frozen=True, slots=True)
class About:
    """`wrong`: the one thing that is. `noticed_by`: whose task it is to see it. `rule`: the RFC and section.

    `only_a_file`: why no server is given it; None where `fault:` in a topology takes it.
    """

    wrong: str
    noticed_by: str
    rule: str
    only_a_file: str | None = None


_ANY: Final = "every TLS library"
_OWN_CA: Final = "allow lists that name the issuer's key; every TLS library accepts it"
_OF_A_CA: Final = "the CA is wrong, not the certificate"
_NO_START: Final = "servers do not start with it"

ABOUT: Final[Mapping[AnyFault, About]] = {
    Fault.EXPIRED: About("it expired a minute before it was made", _ANY, "RFC 5280 6.1.3 a 2"),
    Fault.NOT_YET_VALID: About("it is not valid yet", _ANY, "RFC 5280 6.1.3 a 2"),
    Fault.WRONG_CA: About("signed by a foreign CA with the issuer's name", _ANY, "RFC 5280 6.1.3 a 1"),
    Fault.SELF_SIGNED: About("signed by its own key", _ANY, "RFC 5280 6.1"),
    Fault.WRONG_EKU: About("only the purpose of the other role", _ANY, "RFC 5280 4.2.1.12"),
    Fault.NO_EKU: About(
        "no extended key usage", "servers that demand one; no TLS library by itself", "RFC 5280 4.2.1.12"
    ),
    Fault.WRONG_NAME: About("other host names, or another identity", "verifiers that compare names", "RFC 9525 6"),
    Fault.NO_SAN: About("no subject alternative name", "verifiers that compare names", "RFC 9525 6.3"),
    Fault.UNKNOWN_CRITICAL: About("an unknown critical extension", _ANY, "RFC 5280 4.2"),
    Fault.NUL_IN_NAME: About(
        "a NUL and more after the right name", "verifiers that compare names whole", "RFC 5280 7.2"
    ),
    Fault.VERSION_1: About(
        "version 1, without extensions", "verifiers that demand a name or a purpose", "RFC 5280 4.1.2.1"
    ),
    Fault.UNKNOWN_CA: About("signed by a CA that nobody trusts", _ANY, "RFC 5280 6.1"),
    Fault.ISSUED_BY_LEAF: About("signed by a server's or client's certificate", _ANY, "RFC 5280 6.1.4 k"),
    Fault.EXPIRED_INTERMEDIATE: About("the CA between it and a trusted one has expired", _ANY, "RFC 5280 6.1.3 a 2"),
    Fault.MISSING_INTERMEDIATE: About("the CA between it and a trusted one is not sent", _ANY, "RFC 8446 4.4.2"),
    Fault.ISSUER_NOT_A_CA: About("the certificate above it says CA:FALSE", _ANY, "RFC 5280 6.1.4 k"),
    Fault.PATH_LENGTH: About("one CA more above it than the path length allows", _ANY, "RFC 5280 6.1.4 l"),
    Fault.NAME_CONSTRAINTS: About("a name outside the name constraints above it", _ANY, "RFC 5280 6.1.3 b"),
    Fault.REVOKED: About("its CA's CRL lists it", "verifiers that check revocation", "RFC 5280 6.3.3"),
    FileFault.WEAK_KEY: About(
        "an RSA key of 1,024 bits", "libraries with a security level (OpenSSL's 2)", "SP 800-131A 3", _NO_START
    ),
    FileFault.SHA1_SIGNATURE: About(
        "signed with SHA-1", "libraries with a security level (OpenSSL's 1)", "RFC 8446 4.4.2.4", _NO_START
    ),
    FileFault.KEY_MISMATCH: About(
        "the key does not match the certificate", "the program that loads both, and every peer", "RFC 8446 4.4.3",
        _NO_START
    ),
    FileFault.SAME_SERIAL: About(
        "the serial of another certificate of the same CA", "NSS, once it has seen both", "RFC 5280 4.1.2.2",
        "it is visible only with two certificates",
    ),
    FileFault.SIBLING_CA: About(
        "signed by another CA below a trusted one", _OWN_CA, "RFC 5280 6.1", _OF_A_CA
    ),
    FileFault.SAME_NAME_CA: About(
        "signed by a CA of the issuer's name under another trusted root", _OWN_CA, "RFC 5280 6.1", _OF_A_CA
    ),
}  # fmt: skip

OWN_CHAIN: Final = frozenset(
    {
        Fault.ISSUED_BY_LEAF,
        Fault.EXPIRED_INTERMEDIATE,
        Fault.MISSING_INTERMEDIATE,
        Fault.ISSUER_NOT_A_CA,
        Fault.PATH_LENGTH,
        Fault.NAME_CONSTRAINTS,
    }
)
"""Those that lie in what is sent after the certificate."""

OTHER_SIGNER: Final = OWN_CHAIN | {Fault.SELF_SIGNED, Fault.WRONG_CA, Fault.UNKNOWN_CA}
"""Those whose certificate the issuer of the topology has not signed."""

OTHER_ISSUER: Final = OTHER_SIGNER - {Fault.WRONG_CA}
"""Those whose certificate names another issuer."""


def fault(text: str) -> AnyFault | None:
    """The fault of that name; None where there is none."""
    return next((one for one in ABOUT if one == text), None)
