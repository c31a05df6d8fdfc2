"""What an app behind a front must be told of a caller, in each of the ways there are, and what it was told. Pure."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from urllib.parse import unquote

from cryptography import x509

from scaffold.pki import bundles
from scaffold.pki.names import rfc2253
from scaffold.topology.model import Forward, IdentityForm
from scaffold.topology.names import form_of

Headers = Sequence[tuple[str, str]]
"""Names and values of a request in their order, as they were spelled."""

SAYS_WHO: Final = re.compile(
    r"x-client(-.*)?|x-on-behalf-of(-.*)?|client-cert(-.*)?|x-forwarded-client-cert|x-forwarded-tls-client-cert(-.*)?"
    r"|x-arr-clientcert|x-ssl(-.*)?|ssl-client-.*|x-amzn-mtls-.*|remote-user|x-remote-.*|x-forwarded-user"
)
"""The headers by which proxies say who called: whatever of these an app is told, it is told by its front."""

_NAMES: Final = (
    "X-Client-Identity",
    "X-Client-Subject",
    "X-Client-Issuer",
    "X-Client-Roles",
    "X-On-Behalf-Of-Subject",
    "X-On-Behalf-Of-Roles",
    "Client-Cert",
    "Client-Cert-Chain",
    "X-Forwarded-Client-Cert",
    "X-ARR-ClientCert",
    "X-SSL-Client-Verify",
    "X-SSL-Client-S-DN",
    "SSL-Client-Verify",
    "X-Amzn-Mtls-Clientcert-Subject",
    "Remote-User",
    "X-Forwarded-User",
)
FORGERY: Final = "forged"
"""Stands in whatever a forged header says."""


def forged() -> Headers:
    """Every way of saying in a request who calls, in every spelling that an app may take for it.

    By case, which HTTP does not distinguish (RFC 9110 5.1); with `_`, which CGI and WSGI cannot tell from `-` (RFC 3875
    4.1.18); twice. `Connection` names them for removal by the next who passes the request on (RFC 9110 7.6.1).
    """
    spelled: list[tuple[str, str]] = []
    for number, name in enumerate(_NAMES):
        spellings = (name, name, name.lower(), name.upper(), name.replace("-", "_"), name.replace("-", "_", 1))
        spelled += [(each, f"{FORGERY}-{number}") for each in spellings]
    named = (name for name in _NAMES if name.startswith(("X-Client", "Client-Cert")))
    return (*spelled, ("Connection", ", ".join(("close", *named))))


@dataclass(frozen=True, slots=True)
class Shown:
    """A caller who was let in: what the allow list says of it, its certificate, and the CAs above without the root."""

    identity: str
    roles: tuple[str, ...]
    certificate: x509.Certificate
    signer: x509.Certificate
    chain: tuple[x509.Certificate, ...]

    def is_named_in(self, text: str) -> bool:
        """Whether a text has the identity, the subject or the certificate, as one of the ways tells them."""
        told = (self.identity, rfc2253(self.certificate.subject), _base64(self.certificate))
        return any(each in text for each in told)


@dataclass(frozen=True, slots=True)
class Told:
    """What an app must be told: whom, and by which headers."""

    caller: Shown
    forward: tuple[Forward, ...]

    def wrong(self, reached: Headers) -> str | None:
        """What the headers say otherwise than they must, as a sentence about the app goes on; None where all is right.

        They say so once, and in no other way than is asked for.
        """
        if lies := dict.fromkeys(name for name, value in reached if FORGERY in value):
            return f"received headers that the caller forged: {_some(lies)}"
        told: dict[str, list[str]] = {}
        for name, value in reached:
            if _says_who(name):
                told.setdefault(name.lower(), []).append(value)
            elif name.lower() == "connection" and (
                named := [each for each in re.split(r"[,\s]+", value) if _says_who(each)]
            ):
                return f"received a request to remove {_some(named)}"
        checks = {name: check for forward in self.forward for name, check in _CHECKS[forward](self.caller).items()}
        for name in dict.fromkeys((*checks, *told)):
            values = told.get(name, [])
            if name not in checks or len(values) > 1 or not checks[name](*values):
                return f"received {' and '.join(values)[:100] or 'nothing'} in {name}"
        return None


def _some(names: Collection[str]) -> str:
    """The first few of them."""
    more = len(names) - _SHOWN
    return ", ".join(itertools.islice(names, _SHOWN)) + (f" and {more} more" if more > 0 else "")


_SHOWN: Final = 4


def _says_who(name: str) -> bool:
    return SAYS_WHO.fullmatch(name.lower().replace("_", "-")) is not None


Check = Callable[..., bool]
"""Takes the one value of a header, or nothing where the header is not there: whether that is right."""


def _is(wanted: str) -> Check:
    """Exactly that; a header that would be empty is not there."""
    return lambda value="": value == wanted


def _x_client(caller: Shown) -> Mapping[str, Check]:
    return {
        "x-client-identity": _is(caller.identity.encode().decode("latin-1")),
        "x-client-subject": _is(rfc2253(caller.certificate.subject)),
        "x-client-issuer": _is(rfc2253(caller.signer.subject)),
        "x-client-roles": _is(",".join(caller.roles)),
    }


def _rfc9440(caller: Shown) -> Mapping[str, Check]:
    """Byte Sequences (RFC 8941 3.3.5): base64 between colons."""
    return {
        "client-cert": _is(f":{_base64(caller.certificate)}:"),
        "client-cert-chain": _is(", ".join(f":{_base64(each)}:" for each in caller.chain)),
    }


def _arr(caller: Shown) -> Mapping[str, Check]:
    return {"x-arr-clientcert": _is(_base64(caller.certificate))}


def _xfcc(caller: Shown) -> Mapping[str, Check]:
    return {"x-forwarded-client-cert": lambda value="": _is_xfcc(value, caller)}


_ELEMENT: Final = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|[^";,]*)(?:;|$)')


def _is_xfcc(value: str, caller: Shown) -> bool:
    """One element, with a proof of the certificate itself: its hash, or all of it."""
    fields = dict(_ELEMENT.findall(value))
    if "".join(found.group() for found in _ELEMENT.finditer(value)) != value:
        return False
    der = bundles.der(caller.certificate)
    pem = bundles.chain_pem([caller.certificate]).decode()
    expected = {
        "Hash": hashlib.sha256(der).hexdigest(),
        "Cert": pem,
        "Subject": rfc2253(caller.certificate.subject),
        "URI": caller.identity if form_of(caller.identity) is IdentityForm.URI else None,
    }
    said = {name: text[1:-1] if text.startswith('"') else text for name, text in fields.items()}
    if "Cert" in said:
        said["Cert"] = unquote(said["Cert"])
    proven = not said.keys().isdisjoint({"Hash", "Cert"})
    return proven and "Subject" in said and all(expected.get(name) == text for name, text in said.items())


def _base64(certificate: x509.Certificate) -> str:
    return base64.b64encode(bundles.der(certificate)).decode()


_CHECKS: Final[Mapping[Forward, Callable[[Shown], Mapping[str, Check]]]] = MappingProxyType(
    {Forward.X_CLIENT: _x_client, Forward.RFC9440: _rfc9440, Forward.XFCC: _xfcc, Forward.ARR: _arr}
)


def by_name(forward: Iterable[Forward]) -> str:
    """For people: the ways, or that there is none."""
    return ", ".join(forward) or "nothing"
